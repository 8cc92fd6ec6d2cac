//! Who leads, decided from what was seen and when. Pure: no client, no clock of its own.
//!
//! Expiry is judged by the time since *we* saw the record change, never by comparing our clock with
//! the holder's, so a wrong clock on either side cannot make two leaders. Every write that follows
//! from a [`Move`] must carry the resource version of the record it was decided on.

use std::time::Duration;

use tokio::time::Instant;

/// The times of an election.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Others may take over when the record did not change for this long.
    pub(crate) duration: Duration,
    /// Whoever did not renew for this long stops writing. Shorter than `duration`: the difference
    /// is what a write may still be under way when the next leader starts.
    pub(crate) deadline: Duration,
    /// The leader renews this often: one write in 5 s is what a control plane may be asked for.
    pub(crate) renew: Duration,
    /// Everybody else looks this often, and a leader whose renewal failed tries again. Below 2 s, so
    /// that a released lease is taken over within 2 s.
    pub(crate) retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            deadline: Duration::from_secs(10),
            renew: Duration::from_secs(5),
            retry: Duration::from_secs(1),
        }
    }
}

/// What the Lease says, as far as elections go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Who leads; `None` when released.
    pub(crate) holder: Option<String>,
    /// How long the holder asks others to wait.
    pub(crate) duration: Duration,
    /// Changes with every write of anyone.
    pub(crate) version: String,
    /// How often the holder changed.
    pub(crate) transitions: i32,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// Create the Lease, naming us.
    Create,
    /// Replace the record, naming us; the number of transitions to write.
    Take(i32),
    /// Renew the record, which names us.
    Renew,
    /// Somebody else leads.
    Wait,
}

/// One candidate.
#[derive(Debug)]
pub(crate) struct Elector {
    identity: String,
    timing: Timing,
    seen: Option<(Record, Instant)>,
    leads_until: Option<Instant>,
}

impl Elector {
    pub(crate) fn new(identity: String, timing: Timing) -> Self {
        Self {
            identity,
            timing,
            seen: None,
            leads_until: None,
        }
    }

    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    pub(crate) fn timing(&self) -> Timing {
        self.timing
    }

    /// What to do about `record`, which was read at `now` (`None`: there is no Lease).
    pub(crate) fn decide(&mut self, record: Option<Record>, now: Instant) -> Move {
        let Some(record) = record else {
            self.seen = None;
            return Move::Create;
        };
        let since = match &self.seen {
            Some((seen, since)) if *seen == record => *since,
            _ => {
                self.seen = Some((record.clone(), now));
                now
            }
        };
        match &record.holder {
            Some(holder) if *holder == self.identity => Move::Renew,
            Some(_) if now < since + record.duration => {
                self.leads_until = None;
                Move::Wait
            }
            Some(_) | None => Move::Take(record.transitions.saturating_add(1)),
        }
    }

    /// The write that `decide` asked for succeeded; it was sent at `sent`.
    pub(crate) fn wrote(&mut self, sent: Instant) {
        self.leads_until = Some(sent + self.timing.deadline);
    }

    /// Somebody else wrote first, or the record no longer names us.
    pub(crate) fn lost(&mut self) {
        self.leads_until = None;
    }

    /// Until when we lead, as far as we know at `now`.
    pub(crate) fn leads_until(&self, now: Instant) -> Option<Instant> {
        self.leads_until.filter(|until| now < *until)
    }
}

#[cfg(test)]
mod tests;

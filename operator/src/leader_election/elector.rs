//! Decides what a candidate does next. Pure: no client, no clock of its own.
//!
//! A Lease expires by the time since this replica saw the record change. The clock of the holder is never
//! compared with ours, so a wrong clock on either side cannot make two leaders. Every write that follows from
//! an [`Action`] must have the resource version of the record that it was decided on.

use std::time::Duration;

use tokio::time::Instant;

/// The times of an election.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Others may take over when the record has not changed for this long.
    pub(crate) lease_duration: Duration,
    /// A leader that could not renew for this long stops writing. Shorter than `lease_duration`: a request
    /// that is still under way then has ended when the next leader starts.
    pub(crate) renew_deadline: Duration,
    /// The leader renews this often. One write in 5 s is little for a control plane.
    pub(crate) renew_interval: Duration,
    /// The other candidates read the Lease this often, and a leader tries a failed renewal again after this
    /// time. Less than 2 s, so that a released Lease is acquired within 2 s.
    pub(crate) retry_period: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            renew_interval: Duration::from_secs(5),
            retry_period: Duration::from_secs(1),
        }
    }
}

/// The part of a Lease that an election needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ElectionRecord {
    /// The leader; `None` when the Lease was released.
    pub(crate) holder: Option<String>,
    /// Others may take over when the record has not changed for this long.
    pub(crate) duration: Duration,
    /// Resource version: changes with every write.
    pub(crate) version: String,
    /// How often the holder changed.
    pub(crate) transitions: i32,
}

/// What a candidate does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Create the Lease with this replica as holder.
    Create,
    /// Make this replica the holder, with this number of transitions.
    Acquire(i32),
    /// Renew the Lease, which this replica holds.
    Renew,
    /// Another replica leads.
    Wait,
}

/// One candidate.
#[derive(Debug)]
pub(crate) struct Elector {
    identity: String,
    timing: Timing,
    seen: Option<(ElectionRecord, Instant)>,
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

    /// Decides on `record`, which was read at `now`; `None` when there is no Lease.
    pub(crate) fn decide(&mut self, record: Option<ElectionRecord>, now: Instant) -> Action {
        let Some(record) = record else {
            self.seen = None;
            return Action::Create;
        };
        let since = match &self.seen {
            Some((seen, since)) if *seen == record => *since,
            _ => {
                self.seen = Some((record.clone(), now));
                now
            }
        };
        match &record.holder {
            Some(holder) if *holder == self.identity => Action::Renew,
            Some(_) if now < since + record.duration => {
                self.leads_until = None;
                Action::Wait
            }
            Some(_) | None => Action::Acquire(record.transitions.saturating_add(1)),
        }
    }

    /// The write that `decide` asked for succeeded; it was sent at `sent`.
    pub(crate) fn write_succeeded(&mut self, sent: Instant) {
        self.leads_until = Some(sent + self.timing.renew_deadline);
    }

    /// Another replica wrote first.
    pub(crate) fn lost(&mut self) {
        self.leads_until = None;
    }

    /// Until when this replica leads, as known at `now`; `None` when it does not.
    pub(crate) fn leads_until(&self, now: Instant) -> Option<Instant> {
        self.leads_until.filter(|until| now < *until)
    }
}

#[cfg(test)]
mod tests;

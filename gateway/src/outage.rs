//! Since when something is out of reach, and why.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

/// Longest message, in bytes: it goes into a Lease, and from there into conditions.
const LONGEST: usize = 256;

/// Something is out of reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    /// In whole seconds.
    pub(crate) since: Timestamp,
    /// What was wrong when it began: a status that changed with each attempt would tell nothing new.
    pub(crate) message: String,
}

impl Outage {
    /// One that begins now.
    pub(crate) fn begins(message: &str) -> Self {
        let end = message.floor_char_boundary(LONGEST);
        Self {
            since: Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default(),
            message: message[..end].to_owned(),
        }
    }
}

/// Knows of an outage from its beginning to its end.
#[derive(Debug, Default)]
pub(crate) struct Watchman(Mutex<Option<Outage>>);

impl Watchman {
    /// It is within reach.
    pub(crate) fn worked(&self) {
        *self.held() = None;
    }

    /// It is out of reach, for this reason.
    pub(crate) fn failed(&self, message: &str) {
        self.held().get_or_insert_with(|| Outage::begins(message));
    }

    /// What is wrong at the moment.
    pub(crate) fn outage(&self) -> Option<Outage> {
        self.held().clone()
    }

    fn held(&self) -> MutexGuard<'_, Option<Outage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_as_it_began() {
        let watchman = Watchman::default();
        assert_eq!(watchman.outage(), None);
        watchman.failed("no route");
        let first = watchman.outage().unwrap();
        watchman.failed("no answer");
        assert_eq!(watchman.outage(), Some(first.clone()));
        assert_eq!(first.message, "no route");
        watchman.worked();
        assert_eq!(watchman.outage(), None);
        watchman.failed(&"ü".repeat(1000));
        assert_eq!(watchman.outage().unwrap().message.len(), LONGEST);
    }
}

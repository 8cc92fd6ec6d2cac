//! Since when a dependency is unreachable, and why.

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};

/// Longest message, in bytes: it goes into a Lease, and from there into conditions.
const LONGEST: usize = 256;

/// A dependency is unreachable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    /// In whole seconds.
    pub(crate) since: Timestamp,
    /// The error when it began: a status that changed with each attempt would tell nothing new.
    pub(crate) message: String,
}

impl Outage {
    /// An outage that begins now.
    pub(crate) fn begins(message: &str) -> Self {
        let end = message.floor_char_boundary(LONGEST);
        Self {
            since: Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default(),
            message: message[..end].to_owned(),
        }
    }
}

/// Tracks an outage from its beginning to its end.
#[derive(Debug, Default)]
pub(crate) struct OutageTracker(Mutex<Option<Outage>>);

impl OutageTracker {
    /// The dependency works.
    pub(crate) fn worked(&self) {
        *self.held() = None;
    }

    /// The dependency failed for this reason.
    pub(crate) fn failed(&self, message: &str) {
        self.held().get_or_insert_with(|| Outage::begins(message));
    }

    /// The current outage.
    pub(crate) fn outage(&self) -> Option<Outage> {
        self.held().clone()
    }

    fn held(&self) -> MutexGuard<'_, Option<Outage>> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_as_it_began() {
        let tracker = OutageTracker::default();
        assert_eq!(tracker.outage(), None);
        tracker.failed("no route");
        let first = tracker.outage().unwrap();
        tracker.failed("no answer");
        assert_eq!(tracker.outage(), Some(first.clone()));
        assert_eq!(first.message, "no route");
        tracker.worked();
        assert_eq!(tracker.outage(), None);
        tracker.failed(&"ü".repeat(1000));
        assert_eq!(tracker.outage().unwrap().message.len(), LONGEST);
    }
}

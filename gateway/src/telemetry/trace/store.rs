//! The traces of the last hour, for the admin server.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::Trace;

/// Largest number of traces.
const MAX_TRACES: usize = 256;

/// All texts together: a pod's memory must not depend on who asks for traces.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// As long as Azure API Management keeps them.
const AGE: Duration = Duration::from_secs(3600);

/// Traces by id, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Traces(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    traces: VecDeque<Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    id: String,
    json: String,
    at: Instant,
}

impl Traces {
    /// Keeps one more, and drops the oldest for it if there is no room.
    pub(crate) fn keep(&self, trace: &Trace) {
        let Ok(json) = serde_json::to_string_pretty(trace) else {
            return;
        };
        let entry = Entry {
            id: trace.id.clone(),
            json: json + "\n",
            at: Instant::now(),
        };
        self.lock().keep(entry);
    }

    /// The JSON of a trace.
    pub(crate) fn find(&self, id: &str) -> Option<String> {
        let mut kept = self.lock();
        kept.forget(Instant::now());
        let found = kept.traces.iter().find(|entry| entry.id == id);
        found.map(|entry| entry.json.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock()
    }
}

impl Kept {
    fn keep(&mut self, entry: Entry) {
        if entry.json.len() > MAX_BYTES {
            return;
        }
        self.bytes += entry.json.len();
        self.forget(entry.at);
        self.traces.push_back(entry);
        while self.traces.len() > MAX_TRACES || self.bytes > MAX_BYTES {
            self.drop_oldest();
        }
    }

    fn forget(&mut self, now: Instant) {
        while let Some(oldest) = self.traces.front()
            && now.duration_since(oldest.at) > AGE
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.traces.pop_front() {
            self.bytes -= oldest.json.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: usize, bytes: usize, at: Instant) -> Entry {
        Entry {
            id: id.to_string(),
            json: "x".repeat(bytes),
            at,
        }
    }

    #[test]
    fn the_oldest_make_room() {
        let now = Instant::now();
        for (name, bytes, left) in [
            ("by number", 10, MAX_TRACES),
            ("by size", MAX_BYTES / 4, 4),
            ("too large", MAX_BYTES + 1, 0),
        ] {
            let mut kept = Kept::default();
            (0..2 * MAX_TRACES).for_each(|id| kept.keep(entry(id, bytes, now)));
            assert_eq!(kept.traces.len(), left, "{name}");
            let last = kept.traces.back().map(|entry| entry.id.clone());
            assert_eq!(last.is_some(), left > 0, "{name}");
            let sum: usize = kept.traces.iter().map(|entry| entry.json.len()).sum();
            assert_eq!(kept.bytes, sum, "{name}");
        }
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut kept = Kept::default();
        let now = Instant::now();
        kept.keep(entry(1, 10, now));
        kept.keep(entry(2, 10, now + AGE));
        assert_eq!(kept.traces.len(), 2);
        kept.forget(now + AGE + Duration::from_secs(1));
        let left: Vec<_> = kept.traces.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(left, ["2"]);
        assert_eq!(kept.bytes, 10);
    }
}

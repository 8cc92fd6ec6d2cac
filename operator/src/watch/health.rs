//! The state of the watches, for readiness and for metrics. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The state of one watch.
#[derive(Clone, Debug)]
struct WatchState {
    listed: bool,
    last_event: Instant,
    error: Option<String>,
}

/// The state of all watches; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct WatchHealth(Arc<Mutex<BTreeMap<String, WatchState>>>);

impl WatchHealth {
    /// Registers a watch that has not listed yet.
    pub(crate) fn register(&self, watch: &str) {
        let state = WatchState {
            listed: false,
            last_event: Instant::now(),
            error: None,
        };
        self.0.lock().insert(watch.to_owned(), state);
    }

    /// The watch received an event; `listed`: the end of a list.
    pub(crate) fn received(&self, watch: &str, listed: bool) {
        if let Some(state) = self.0.lock().get_mut(watch) {
            state.last_event = Instant::now();
            state.listed |= listed;
            state.error = None;
        }
    }

    /// The watch failed. False when it failed with the same error before.
    pub(crate) fn failed(&self, watch: &str, error: &str) -> bool {
        let mut watches = self.0.lock();
        let Some(state) = watches.get_mut(watch) else {
            return false;
        };
        let is_new = state.error.as_deref() != Some(error);
        state.error = Some(error.to_owned());
        is_new
    }

    /// Has every watch received its whole list at least once?
    pub(crate) fn all_listed(&self) -> bool {
        self.0.lock().values().all(|watch| watch.listed)
    }

    /// Why the operator is not ready: watches without a list, and watches without an event for longer than
    /// `max_silence`. A watch that fails after its list does not count: what it listed still holds.
    pub(crate) fn not_ready(&self, max_silence: Duration) -> Vec<String> {
        let now = Instant::now();
        let reason = |(name, watch): (&String, &WatchState)| {
            let error = watch.error.as_deref().unwrap_or("no answer yet");
            let silence = now - watch.last_event;
            if !watch.listed {
                Some(format!("{name}: no list yet: {error}"))
            } else if silence > max_silence {
                let seconds = silence.as_secs();
                Some(format!("{name}: no event for {seconds} s: {error}"))
            } else {
                None
            }
        };
        self.0.lock().iter().filter_map(reason).collect()
    }

    /// Time since the last event of each watch.
    pub(crate) fn ages(&self) -> Vec<(String, Duration)> {
        let now = Instant::now();
        let age = |(name, watch): (&String, &WatchState)| (name.clone(), now - watch.last_event);
        self.0.lock().iter().map(age).collect()
    }
}

#[cfg(test)]
mod tests;

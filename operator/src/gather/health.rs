//! How the watches are doing: for readiness and for metrics. Pure.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// State of one watch.
#[derive(Clone, Debug)]
struct Watch {
    listed: bool,
    heard: Instant,
    problem: Option<String>,
}

/// State of all watches.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health(Arc<Mutex<BTreeMap<String, Watch>>>);

impl Health {
    /// Registers a watch that has not listed yet.
    pub(crate) fn register(&self, watch: &str) {
        let state = Watch {
            listed: false,
            heard: Instant::now(),
            problem: None,
        };
        self.with(|watches| watches.insert(watch.to_owned(), state));
    }

    /// Something came through the watch.
    pub(crate) fn heard(&self, watch: &str, listed: bool) {
        self.with(|watches| {
            if let Some(state) = watches.get_mut(watch) {
                state.heard = Instant::now();
                state.listed |= listed;
                state.problem = None;
            }
        });
    }

    /// The watch failed. Is this news?
    pub(crate) fn failed(&self, watch: &str, problem: &str) -> bool {
        self.with(|watches| {
            let Some(state) = watches.get_mut(watch) else {
                return false;
            };
            let news = state.problem.as_deref() != Some(problem);
            state.problem = Some(problem.to_owned());
            news
        })
    }

    /// Has every watch given its whole list at least once?
    pub(crate) fn all_listed(&self) -> bool {
        self.with(|watches| watches.values().all(|watch| watch.listed))
    }

    /// What stands in the way of being ready: watches without a list, and watches not heard of for
    /// longer than `patience`. A failing watch that has listed is no obstacle: what is known still
    /// holds.
    pub(crate) fn obstacles(&self, patience: Duration) -> Vec<String> {
        let now = Instant::now();
        let obstacle = |(name, watch): (&String, &Watch)| {
            let because = watch.problem.as_deref().unwrap_or("no answer yet");
            if !watch.listed {
                Some(format!("{name}: not listed: {because}"))
            } else if now - watch.heard > patience {
                Some(format!("{name}: silent: {because}"))
            } else {
                None
            }
        };
        self.with(|watches| watches.iter().filter_map(obstacle).collect())
    }

    /// Time since each watch was last heard of.
    pub(crate) fn ages(&self) -> Vec<(String, Duration)> {
        let now = Instant::now();
        let age = |(name, watch): (&String, &Watch)| (name.clone(), now - watch.heard);
        self.with(|watches| watches.iter().map(age).collect())
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Watch>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;

//! Where configurations come from: the cluster, or a directory.
//!
//! A source publishes complete revisions only. It reports a revision that it cannot assemble as a problem; the
//! last good one stays in use.

use std::sync::Arc;

use tidegate_config::AssembleError;
use tokio::sync::watch;

use crate::configuration::update::Update;

mod cluster;
mod directory;

pub use cluster::{Ack, Cluster, ConnectError, Pod};
pub use directory::Directory;

/// Why a source cannot publish its newest revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Label of `tidegate_config_errors_total`; one of a closed set.
    pub reason: &'static str,
    /// What is wrong, for people.
    pub message: String,
}

/// The source's end of the channel to the gateway.
#[derive(Debug)]
pub struct Feed {
    updates: watch::Sender<Option<Arc<Update>>>,
    problems: watch::Sender<Option<Problem>>,
}

impl Feed {
    /// A feed and the two ends that go into [`Gateway::start`](crate::Gateway::start) and
    /// [`Options::problems`](crate::Options::problems).
    #[expect(
        clippy::type_complexity,
        reason = "a type for two receivers would say less"
    )]
    pub fn new() -> (
        Self,
        watch::Receiver<Option<Arc<Update>>>,
        watch::Receiver<Option<Problem>>,
    ) {
        let (updates, update) = watch::channel(None);
        let (problems, problem) = watch::channel(None);
        (Self { updates, problems }, update, problem)
    }

    /// Publishes a complete revision; an earlier problem is over.
    pub fn publish(&self, update: Update) {
        // In this order the new revision is never seen with the old problem.
        self.solved();
        self.updates.send_replace(Some(Arc::new(update)));
    }

    /// Reports that the newest revision cannot be assembled. The same problem is sent once.
    pub fn problem(&self, problem: Problem) {
        self.problems.send_if_modified(|current| {
            let new = current.as_ref() != Some(&problem);
            if new {
                tracing::warn!(reason = problem.reason, "{}", problem.message);
                *current = Some(problem);
            }
            new
        });
    }

    /// The published revision is the newest one.
    pub(crate) fn solved(&self) {
        self.problems
            .send_if_modified(|current| current.take().is_some());
    }

    /// Was anything published yet?
    pub(crate) fn has_published(&self) -> bool {
        self.updates.borrow().is_some()
    }
}

impl From<&AssembleError> for Problem {
    fn from(error: &AssembleError) -> Self {
        let reason = match error {
            AssembleError::Format(_) => "format",
            AssembleError::Missing(_) => "part_missing",
            AssembleError::Hash(_) => "part_corrupt",
            AssembleError::Malformed { .. } => "part_malformed",
            AssembleError::Settings(_) => "settings",
        };
        let message = match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        Self { reason, message }
    }
}

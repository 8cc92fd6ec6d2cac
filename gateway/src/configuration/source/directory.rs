//! The directory source: an `index.json` and the parts it names, in the same form as the backup in
//! the state directory.
//!
//! Parts are named by their content, so replacing the index last (by rename, as a mounted ConfigMap does)
//! replaces the configuration at once. The index is read a few times a
//! second rather than watched: renamed and re-linked directories defeat file notification, and a
//! few kilobytes cost nothing.

use std::path::PathBuf;
use std::time::Duration;

use crate::configuration::source::Feed;
use crate::configuration::source::Problem;
use crate::configuration::state_dir::{LoadError, StateDir};
use tidegate_config::error_chain;

/// Fast enough to feel immediate, slow enough to cost nothing.
const POLL: Duration = Duration::from_millis(250);

/// Serves what a directory holds.
#[derive(Debug)]
pub struct Directory {
    dir: StateDir,
}

impl Directory {
    /// The directory at `path`; it need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            dir: StateDir::new(path),
        }
    }

    /// Publishes every new configuration, for ever.
    pub async fn run(self, feed: Feed) {
        let mut published = None;
        loop {
            self.poll(&feed, &mut published).await;
            tokio::time::sleep(POLL).await;
        }
    }

    /// Reads the index; reads the rest when it is new.
    async fn poll(&self, feed: &Feed, published: &mut Option<String>) {
        let index = match self.dir.read_index().await {
            Ok(index) => index,
            Err(error) => return feed.problem(problem(&error)),
        };
        if published.as_ref() == Some(&index) {
            return feed.solved();
        }
        match self.dir.load().await {
            Ok(update) => {
                feed.publish(update);
                *published = Some(index);
            }
            Err(error) => feed.problem(problem(&error)),
        }
    }
}

fn problem(error: &LoadError) -> Problem {
    let reason = match error {
        LoadError::Assemble(source) => return Problem::from(source),
        LoadError::Read { .. } => "unreadable",
        LoadError::Index { .. } => "index_malformed",
    };
    Problem {
        reason,
        message: error_chain(error),
    }
}

//! Keeps the last good configuration on disk.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::configuration::state_dir::StateDir;
use crate::configuration::update::Update;
use tidegate_config::error_chain;

/// A burst of changes is written once: disks are slow, and the newest is what counts.
const PAUSE: Duration = Duration::from_secs(1);

impl StateDir {
    /// Saves what a gateway serves whenever that changes, until the gateway is gone.
    pub async fn keep(self, mut serving: watch::Receiver<Option<Arc<Update>>>) {
        loop {
            let update = serving.borrow_and_update().clone();
            if let Some(update) = update {
                self.save_off_thread(update).await;
                tokio::time::sleep(PAUSE).await;
            }
            if serving.changed().await.is_err() {
                return;
            }
        }
    }

    async fn save_off_thread(&self, update: Arc<Update>) {
        let dir = self.clone();
        let error = match tokio::task::spawn_blocking(move || dir.save(&update)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error_chain(&error),
            Err(error) => error_chain(&error),
        };
        tracing::warn!("failed to save the configuration: {error}");
    }
}

//! Bounded waiting: ends in what was awaited, or in an error that says so.

use std::time::Duration;

use anyhow::{Context as _, bail};

/// How long anything local may take before it counts as never: generous, for busy machines.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// Waits for one thing, no longer than [`WAIT_TIMEOUT`].
pub async fn within<T>(
    what: &str,
    awaited: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    match tokio::time::timeout(WAIT_TIMEOUT, awaited).await {
        Ok(result) => result.with_context(|| format!("awaited: {what}")),
        Err(_) => bail!("awaited: {what}; not within {WAIT_TIMEOUT:?}"),
    }
}

//! Bounded waiting: ends in what was awaited, or in an error that says so.

use std::time::Duration;

use anyhow::{Context, bail};
pub use tidegate_wire::wait::{WAIT_TIMEOUT, within};
use tokio::time::{Instant, sleep, timeout};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks again and again until `look` finds what is awaited. Its error is the state it saw.
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let end = Instant::now() + limit;
    loop {
        let seen = match timeout(limit, look()).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(seen)) => format!("{seen:#}"),
            Err(_) => "the look itself did not end".to_owned(),
        };
        if Instant::now() >= end {
            bail!("awaited: {what}; not within {limit:?}; last seen: {seen}");
        }
        sleep(PAUSE).await;
    }
}

/// Makes sure that something holds all along `period`. Its error is the state that broke it.
pub async fn throughout(
    what: &str,
    period: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let end = Instant::now() + period;
    while Instant::now() < end {
        look()
            .await
            .with_context(|| format!("should have held for {period:?}: {what}"))?;
        sleep(PAUSE).await;
    }
    Ok(())
}

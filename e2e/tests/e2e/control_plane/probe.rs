//! Asks a gateway until it answers as it should.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tidegate_e2e::scene::Served;

/// A change is enforced within this time.
const LIMIT: Duration = Duration::from_secs(120);

/// How long between two questions.
const PAUSE: Duration = Duration::from_millis(2);

/// Asks until a handshake at `target` gets this status.
pub(super) async fn until(
    edge: &Served,
    target: &str,
    key: Option<&str>,
    status: u16,
) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        let mut request = edge.request(target);
        if let Some(key) = key {
            request = request.header("ocp-apim-subscription-key", key);
        }
        let got = request.send().await?.status();
        if got == status {
            return Ok(());
        }
        ensure!(
            start.elapsed() < LIMIT,
            "{target} answers {got} instead of {status}"
        );
        tokio::time::sleep(PAUSE).await;
    }
}

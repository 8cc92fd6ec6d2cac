//! Thousands of tunnels at once whose access ends, or whose gateway does: when does each client have its
//! Close? Of Tidegate alone, since no peer closes tunnels.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use futures::{StreamExt as _, stream};
use hdrhistogram::Histogram;
use tidegate_wire::connection::Stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use crate::hold;
use crate::peer::{Kind, Peer, Scene};
use crate::wire;

/// Close codes of RFC 6455 §7.4.1.
const GOING_AWAY: u16 = 1001;
const POLICY_VIOLATION: u16 = 1008;

/// The window of a drain unless the Gateway says something else.
const WINDOW: Duration = Duration::from_secs(30);

/// A Close that is due at the window's end still has to be written and read.
const GRACE: Duration = Duration::from_millis(500);

/// Longer than any end may take: what has no Close by then has none.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(90);

/// What the clients of one end have seen.
pub(crate) struct Ends {
    tunnels: usize,
    /// Closes with the code that was due.
    right: usize,
    /// Of those: milliseconds from the cause to the Close.
    times: Histogram<u64>,
}

/// Both ends.
pub(crate) struct Both {
    revoked: Ends,
    drained: Ends,
}

/// Holds `count` tunnels twice: until their subscription is suspended, and until their gateway is told to
/// end.
pub(crate) async fn measure(scene: &Scene<'_>, count: usize) -> anyhow::Result<Both> {
    Ok(Both {
        revoked: end(scene, count, POLICY_VIOLATION, Peer::suspend).await?,
        drained: end(scene, count, GOING_AWAY, Peer::terminate).await?,
    })
}

/// Holds `count` tunnels of a gateway of their own until `cause`.
async fn end(
    scene: &Scene<'_>,
    count: usize,
    due: u16,
    cause: impl FnOnce(&Peer) -> anyhow::Result<()>,
) -> anyhow::Result<Ends> {
    let peer = Peer::start(Kind::Tidegate, scene).await?;
    let tunnels = hold::open(&peer.plain, count, 64).await?;
    let start = Instant::now();
    cause(&peer)?;
    closes(tunnels, start, due).await
}

async fn closes(tunnels: Vec<Box<dyn Stream>>, start: Instant, due: u16) -> anyhow::Result<Ends> {
    let mut ends = Ends {
        tunnels: tunnels.len(),
        right: 0,
        times: Histogram::new(3)?,
    };
    let mut waits = stream::iter(tunnels)
        .map(|tunnel| async move {
            let code = timeout(CLOSE_TIMEOUT, close_of(tunnel)).await;
            (code, start.elapsed())
        })
        .buffer_unordered(ends.tunnels);
    while let Some((code, took)) = waits.next().await {
        if matches!(code, Ok(Ok(code)) if code == due) {
            ends.right += 1;
            ends.times.record(u64::try_from(took.as_millis())?)?;
        }
    }
    Ok(ends)
}

/// The code of the first frame, which must be a Close; it is answered.
async fn close_of(mut tunnel: Box<dyn Stream>) -> anyhow::Result<u16> {
    let mut head = [0; 2];
    tunnel.read_exact(&mut head).await?;
    // RFC 6455 §5.1, §5.5: a server does not mask; a control frame has 125 bytes at most.
    anyhow::ensure!(
        head[0] == wire::CLOSE && head[1] < 126,
        "not a Close: {head:?}"
    );
    let mut payload = vec![0; usize::from(head[1])];
    tunnel.read_exact(&mut payload).await?;
    let code = payload.first_chunk().context("a Close without a code")?;
    let code = u16::from_be_bytes(*code);
    // The gateway may have left by now.
    let _ = tunnel.write_all(&wire::CLIENT_CLOSE).await;
    Ok(code)
}

impl Both {
    /// The table, in Markdown.
    pub(crate) fn table(&self) -> Result<String, std::fmt::Error> {
        let mut text = "\nEnds of many tunnels at once, seen by their clients:\n\n\
             | end | tunnels | Closes with the right code | p50 | p99 | last | target | |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | --- | --- |\n"
            .to_owned();
        let rows = [
            (
                "subscription suspended → 1008",
                &self.revoked,
                "all, p99 ≤ 2 s",
                self.revoked.all_within(0.99, Duration::from_secs(2)),
            ),
            (
                "SIGTERM → 1001, window 30 s",
                &self.drained,
                "all within the window and 0.5 s, half of them by its middle ± 3 s",
                self.drained.all_within(1.0, WINDOW + GRACE) && self.drained.even(WINDOW),
            ),
        ];
        for (name, ends, target, reached) in rows {
            let [half, most, last] = [0.5, 0.99, 1.0].map(|part| ends.after(part).as_secs_f64());
            let verdict = if reached {
                "reached"
            } else {
                "**not reached**"
            };
            writeln!(
                text,
                "| {name} | {} | {} | {half:.2} s | {most:.2} s | {last:.2} s | {target} | {verdict} |",
                ends.tunnels, ends.right,
            )?;
        }
        Ok(text)
    }
}

impl Ends {
    fn after(&self, part: f64) -> Duration {
        Duration::from_millis(self.times.value_at_quantile(part))
    }

    fn all_within(&self, part: f64, most: Duration) -> bool {
        self.right == self.tunnels && self.after(part) <= most
    }

    fn even(&self, window: Duration) -> bool {
        let half = window.mul_f64(0.5);
        self.after(0.5).abs_diff(half) <= window.mul_f64(0.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(tunnels: usize, millis: &[u64]) -> Ends {
        let mut times = Histogram::new(3).unwrap();
        for one in millis {
            times.record(*one).unwrap();
        }
        Ends {
            tunnels,
            right: millis.len(),
            times,
        }
    }

    #[test]
    fn an_end_reaches_its_target_or_does_not() {
        let even = [1_000, 15_000, 29_000];
        let cases = [
            (
                "all in time",
                ends(3, &[100, 200, 1_900]),
                ends(3, &even),
                (true, true),
            ),
            (
                "one missing",
                ends(4, &[100, 200, 300]),
                ends(4, &even),
                (false, false),
            ),
            (
                "late",
                ends(2, &[100, 2_500]),
                ends(2, &[15_000, 31_000]),
                (false, false),
            ),
            (
                "all at once",
                ends(2, &[100, 100]),
                ends(2, &[10, 20]),
                (true, false),
            ),
        ];
        for (name, revoked, drained, (first, second)) in cases {
            let table = Both { revoked, drained }.table().unwrap();
            let lines: Vec<_> = table.lines().filter(|line| line.contains('→')).collect();
            assert_eq!(lines[0].ends_with("| reached |"), first, "{name}: {table}");
            assert_eq!(lines[1].ends_with("| reached |"), second, "{name}: {table}");
        }
    }
}

//! Tunnels that are held: what they cost in memory while nothing moves, or nothing is read.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tidegate_wire::connection::Stream;
use tokio::time::sleep;

use crate::client::{self, Target};
use crate::process;

/// Handshakes under way at once.
const AT_ONCE: usize = 64;

/// How long a process may take to give back what a handshake needed.
const SETTLE: Duration = Duration::from_millis(1500);

/// How long a flood is not read: socket buffers are full long before.
const DEAF: Duration = Duration::from_secs(2);

/// Tunnels opened and closed before memory is first looked at. Few: what they leave behind free is
/// used by those that count, and makes them look smaller.
const FIRST: usize = 16;

/// Memory of each of `count` idle pairs, in bytes.
pub(crate) async fn idle(target: &Target, count: usize, pid: u32) -> anyhow::Result<f64> {
    leave(open(target, FIRST, 64).await?).await?;
    let held = hold(target, count, 64, (pid, SETTLE)).await?;
    let (tunnels, memory) = held;
    leave(tunnels).await?;
    Ok(memory)
}

/// Memory of each of `count` pairs whose clients do not read what their backend sends, in bytes.
pub(crate) async fn deaf(target: &Target, count: usize, pid: u32) -> anyhow::Result<f64> {
    leave(open(target, FIRST, 64).await?).await?;
    let (_tunnels, memory) = hold(target, count, 0, (pid, DEAF)).await?;
    Ok(memory)
}

/// Growth from the second to the last of so many cycles of `count` tunnels, in bytes.
pub(crate) async fn cycles(
    target: &Target,
    (cycles, count): (usize, usize),
    pid: u32,
) -> anyhow::Result<f64> {
    let mut levels = Vec::new();
    for _ in 0..cycles {
        leave(open(target, count, 64).await?).await?;
        sleep(SETTLE).await;
        levels.push(process::memory(pid)? as f64);
    }
    Ok(levels[levels.len() - 1] - levels[1.min(levels.len() - 1)])
}

type Streams = Vec<Box<dyn Stream>>;

async fn hold(
    target: &Target,
    count: usize,
    size: usize,
    (pid, wait): (u32, Duration),
) -> anyhow::Result<(Streams, f64)> {
    sleep(SETTLE).await;
    let before = process::memory(pid)? as f64;
    let tunnels = open(target, count, size).await?;
    sleep(wait).await;
    let each = (process::memory(pid)? as f64 - before) / count as f64;
    Ok((tunnels, each))
}

/// Opens `count` tunnels.
pub(crate) async fn open(target: &Target, count: usize, size: usize) -> anyhow::Result<Streams> {
    stream::iter(0..count)
        .map(|_| target.open(size))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

async fn leave(tunnels: Streams) -> anyhow::Result<()> {
    stream::iter(tunnels)
        .map(client::close)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

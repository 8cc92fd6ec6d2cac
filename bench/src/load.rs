//! Load: round trips as fast as they go, round trips at a rate, handshakes.

use std::time::Duration;

use anyhow::Context as _;
use futures::future::try_join_all;
use hdrhistogram::Histogram;
use tidegate_wire::connection::Stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep_until};

use crate::client::{self, Target};
use crate::process;
use crate::wire;

/// Tunnels that carry load: enough that a proxy always finds several ready.
const TUNNELS: usize = 64;

/// Handshakes under way at once.
const SHAKERS: usize = 16;

/// Before anything is counted: caches, allocators, and connections are warm then.
const WARM_UP: Duration = Duration::from_millis(300);

/// How long one side is paced before it is the other's turn: some thousand round trips.
const SLICE: Duration = Duration::from_millis(200);

/// What was done, and what it cost the process under load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub(crate) count: u64,
    pub(crate) took: Duration,
    pub(crate) cpu: Duration,
}

impl Work {
    /// Microseconds of CPU for each.
    pub(crate) fn cost(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.count.max(1) as f64
    }

    /// How many a second.
    pub(crate) fn rate(&self) -> f64 {
        self.count as f64 / self.took.as_secs_f64()
    }
}

/// A tunnel with its message and room for the answer.
struct Talker {
    stream: Box<dyn Stream>,
    message: Vec<u8>,
    answer: Vec<u8>,
}

impl Talker {
    async fn open(target: &Target, size: usize) -> anyhow::Result<Self> {
        Ok(Self {
            stream: target.open(size).await?,
            message: wire::client_frame(size),
            answer: vec![0; wire::server_frame(size).len()],
        })
    }

    async fn round_trip(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(&self.message).await?;
        self.stream.read_exact(&mut self.answer).await?;
        Ok(())
    }
}

/// Round trips of `size` bytes on all tunnels at once, as fast as they go.
pub(crate) async fn saturate(
    target: &Target,
    size: usize,
    time: Duration,
    pid: u32,
) -> anyhow::Result<Work> {
    let mut talkers = talkers(target, size).await?;
    drive(&mut talkers, WARM_UP).await?;
    let (before, start) = (process::cpu(pid)?, Instant::now());
    let count = drive(&mut talkers, time).await?;
    let work = Work {
        count,
        took: start.elapsed(),
        cpu: process::cpu(pid)? - before,
    };
    leave(talkers).await?;
    Ok(work)
}

async fn talkers(target: &Target, size: usize) -> anyhow::Result<Vec<Talker>> {
    try_join_all((0..TUNNELS).map(|_| Talker::open(target, size))).await
}

async fn drive(talkers: &mut [Talker], time: Duration) -> anyhow::Result<u64> {
    let end = Instant::now() + time;
    let counts = talkers.iter_mut().map(async |talker| {
        let mut count = 0;
        while Instant::now() < end {
            talker.round_trip().await?;
            count += 1;
        }
        anyhow::Ok(count)
    });
    Ok(try_join_all(counts).await?.into_iter().sum())
}

async fn leave(talkers: Vec<Talker>) -> anyhow::Result<()> {
    let streams = talkers.into_iter().map(|talker| talker.stream);
    try_join_all(streams.map(client::close)).await?;
    Ok(())
}

/// One slice of a paced run: latencies in microseconds, direct and through a proxy.
pub(crate) struct Paced {
    pub(crate) direct: Histogram<u64>,
    pub(crate) through: Histogram<u64>,
}

/// Latencies of 64 B round trips when `rate` of them begin each second, whether or not those before
/// have ended. Direct and through the proxy take turns of [`SLICE`], for `time` each: what the
/// machine does besides hits both alike, and single slices only.
pub(crate) async fn pace(
    [direct, through]: [&Target; 2],
    rate: f64,
    time: Duration,
) -> anyhow::Result<Vec<Paced>> {
    let mut direct = talkers(direct, 64).await?;
    let mut through = talkers(through, 64).await?;
    drive(&mut direct, WARM_UP).await?;
    drive(&mut through, WARM_UP).await?;
    let mut slices = Vec::new();
    for _ in 0..time.div_duration_f64(SLICE) as usize {
        slices.push(Paced {
            direct: pace_all(&mut direct, rate).await?,
            through: pace_all(&mut through, rate).await?,
        });
    }
    leave(direct).await?;
    leave(through).await?;
    Ok(slices)
}

async fn pace_all(talkers: &mut [Talker], rate: f64) -> anyhow::Result<Histogram<u64>> {
    let gap = Duration::from_secs_f64(TUNNELS as f64 / rate);
    let start = Instant::now();
    let histograms = talkers
        .iter_mut()
        .enumerate()
        .map(async |(number, talker)| {
            let first = start + gap.mul_f64(number as f64 / TUNNELS as f64);
            pace_one(talker, first, gap, start + SLICE).await
        });
    let mut all = Histogram::new(3)?;
    for histogram in try_join_all(histograms).await? {
        all.add(histogram)?;
    }
    Ok(all)
}

async fn pace_one(
    talker: &mut Talker,
    first: Instant,
    gap: Duration,
    end: Instant,
) -> anyhow::Result<Histogram<u64>> {
    let mut latencies = Histogram::new(3)?;
    let mut due = first;
    while due < end {
        let mut from = due;
        if Instant::now() < due {
            sleep_until(due).await;
            // The runtime's timer is up to a millisecond late: not the proxy's fault. A message that
            // is late because the one before it was is counted from when it was due.
            from = Instant::now();
        }
        talker.round_trip().await?;
        latencies.record(u64::try_from(from.elapsed().as_micros())?)?;
        due += gap;
    }
    Ok(latencies)
}

/// Connect, 101, Close, its answer: over and over.
pub(crate) async fn handshake(target: &Target, time: Duration, pid: u32) -> anyhow::Result<Work> {
    shake_until(target, Instant::now() + WARM_UP).await?;
    let (before, start) = (process::cpu(pid)?, Instant::now());
    let count = shake_until(target, start + time).await?;
    Ok(Work {
        count,
        took: start.elapsed(),
        cpu: process::cpu(pid)? - before,
    })
}

async fn shake_until(target: &Target, end: Instant) -> anyhow::Result<u64> {
    let shakers = (0..SHAKERS).map(async |_| {
        let mut count = 0;
        while Instant::now() < end {
            let stream = target.open(64).await.context("handshake")?;
            client::close(stream).await?;
            count += 1;
        }
        anyhow::Ok(count)
    });
    Ok(try_join_all(shakers).await?.into_iter().sum())
}

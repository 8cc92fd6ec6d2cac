//! What a change costs on a real API server, by the size of the world. A measurement: `make bench-control-plane`
//! prints a table and asserts no times.

#[path = "control_plane/probe.rs"]
mod probe;
#[path = "control_plane/report.rs"]
mod report;
#[path = "control_plane/usage.rs"]
mod usage;
#[path = "control_plane/world.rs"]
mod world;

use std::time::{Duration, Instant};

use anyhow::Context;
use futures::StreamExt;
use tidegate_e2e::cluster::Cluster;
use tidegate_e2e::program::Operator;
use tidegate_e2e::scene::{Scene, Served};

use self::report::{Report, spread};
use self::usage::{Usage, Writes};
use self::world::{Size, World};

/// Changes of which each waits for the one before.
const QUIET_CHANGES: usize = 40;

/// Changes in a second, and for so long.
const FLOOD: (usize, usize) = (20, 10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: run it with `make bench-control-plane`"]
async fn what_a_change_costs() -> anyhow::Result<()> {
    let size = Size::from_environment()?;
    let cluster = Cluster::start().await?;
    let operator = Operator::start(cluster.kubeconfig()).await?;
    let scene = Scene::on(&cluster, "scale").await?;
    let edge = scene.gateway("edge").await?;
    let world = World::new(&cluster, &scene, size).await?;
    let mut report = Report::new(size);

    let empty = changes(&world, &edge, 0..QUIET_CHANGES / 4).await?;
    report.row("apply → enforced, empty cluster, p50 / p99", spread(&empty));
    create(&world, &operator, &edge, &mut report).await?;
    quiet(&world, &operator, &edge, &mut report).await?;
    flood(&world, &operator, &edge, &mut report).await?;
    let revoked = revoke(&world, &edge).await?;
    report.row("suspended → refused, p50 / p99", spread(&revoked));
    memory(&operator, &edge, &mut report)?;
    restart(&world, (&cluster, operator), &edge, &mut report).await?;
    report.print()
}

/// Creates everything, and waits until nothing is written any more.
async fn create(
    world: &World,
    operator: &Operator,
    edge: &Served,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (started, usage) = (Instant::now(), Usage::of(operator, edge)?);
    world.create().await?;
    let created = started.elapsed();
    let settled = Writes::settled(operator).await?;
    let took = started.elapsed().saturating_sub(usage::STILL);
    report.row("creation", format!("{created:.1?}"));
    report.row("creation → everything settled", format!("{took:.1?}"));
    report.row("writes until settled", settled.summary(1));
    let used = Usage::of(operator, edge)?.since(usage);
    report.row("CPU until settled, operator / gateway", used.summary(1));
    Ok(())
}

/// Changes one by one.
async fn quiet(
    world: &World,
    operator: &Operator,
    edge: &Served,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (usage, writes) = (Usage::of(operator, edge)?, Writes::of(operator).await?);
    let times = changes(world, edge, 0..QUIET_CHANGES).await?;
    let after = Writes::settled(operator).await?;
    let used = Usage::of(operator, edge)?.since(usage);
    report.row("apply → enforced, quiet, p50 / p99", spread(&times));
    report.row(
        "CPU per change, operator / gateway",
        used.summary(QUIET_CHANGES),
    );
    let written = after.since(&writes);
    report.row("writes per change", written.summary(QUIET_CHANGES));
    Ok(())
}

async fn changes(
    world: &World,
    edge: &Served,
    numbers: std::ops::Range<usize>,
) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    for number in numbers {
        times.push(world.change(edge, number).await?);
    }
    Ok(times)
}

/// Changes of many APIs at a steady rate.
async fn flood(
    world: &World,
    operator: &Operator,
    edge: &Served,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (rate, seconds) = FLOOD;
    let usage = Usage::of(operator, edge)?;
    let pause = Duration::from_secs(1) / u32::try_from(rate)?;
    let start = Instant::now();
    let changes = (0..rate * seconds).map(|number| async move {
        let at = start + pause * u32::try_from(number)?;
        tokio::time::sleep_until(at.into()).await;
        world.change(edge, number).await
    });
    let changes: Vec<_> = changes.collect();
    let mut done = futures::stream::iter(changes).buffer_unordered(rate * seconds);
    let mut times = Vec::new();
    while let Some(time) = done.next().await {
        times.push(time?);
    }
    let used = Usage::of(operator, edge)?.since(usage);
    report.row("20 changes a second for 10 s, p50 / p99", spread(&times));
    report.row(
        "CPU per change then, operator / gateway",
        used.summary(rate * seconds),
    );
    Ok(())
}

/// Suspends subscriptions one by one.
async fn revoke(world: &World, edge: &Served) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    for number in 0..10 {
        times.push(world.suspend(edge, number).await?);
    }
    Ok(times)
}

fn memory(operator: &Operator, edge: &Served, report: &mut Report) -> anyhow::Result<()> {
    let of = |pid| -> anyhow::Result<String> {
        let (settled, peak) = (usage::memory(pid, "VmRSS:")?, usage::memory(pid, "VmHWM:")?);
        Ok(format!("{settled} / {peak} MiB"))
    };
    report.row(
        "operator memory, settled / peak",
        of(operator.process.id())?,
    );
    report.row(
        "gateway memory, settled / peak",
        of(edge.gateway.process.id())?,
    );
    Ok(())
}

/// Ends the operator and starts another one.
async fn restart(
    world: &World,
    (cluster, mut operator): (&Cluster, Operator),
    edge: &Served,
    report: &mut Report,
) -> anyhow::Result<()> {
    operator.process.terminate()?;
    operator.process.ended(Duration::from_secs(30)).await?;
    let started = Instant::now();
    let operator = Operator::start(cluster.kubeconfig()).await?;
    let ready = started.elapsed();
    let writes = Writes::settled(&operator).await?;
    report.row("writes of a restarted operator", writes.summary(1));
    drop(operator);
    let started = Instant::now();
    let _operator = Operator::start(cluster.kubeconfig()).await?;
    world
        .change(edge, QUIET_CHANGES)
        .await
        .context("after a crash")?;
    let enforced = started.elapsed();
    report.row("operator start → ready", format!("{ready:.1?}"));
    report.row(
        "operator crash → first change enforced",
        format!("{enforced:.1?}"),
    );
    Ok(())
}

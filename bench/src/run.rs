//! One run: all proxies at once, measured by turns.

use std::path::Path;
use std::time::Duration;

use crate::backend;
use crate::client::Target;
use crate::credentials::Credentials;
use crate::ends;
use crate::hold;
use crate::load;
use crate::peer::{Kind, Peer, Programs, Scene};
use crate::process;
use crate::row;
use crate::samples::Samples;

/// Messages of a chat, and of a document.
const SMALL: usize = 64;
const LARGE: usize = 16 * 1024;

/// What can be measured alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    Ends,
    Memory,
    Messages,
    /// Needs the rates that messages give.
    Latency,
    Handshakes,
    Checks,
}

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// How often each proxy has its turn.
    pub(crate) rounds: usize,
    /// How long a turn's load lasts.
    pub(crate) time: Duration,
    /// Idle pairs.
    pub(crate) pairs: usize,
    /// Pairs with a slow reader.
    pub(crate) deaf: usize,
    /// Tunnels that end at once, at most: the process's descriptors may allow fewer.
    pub(crate) ends: usize,
    /// Cycles of connects and disconnects.
    pub(crate) cycles: usize,
}

/// A run under way.
struct Run<'a> {
    effort: Effort,
    scene: Scene<'a>,
    peers: Vec<Peer>,
    direct: Target,
    samples: Samples,
}

/// Measures everything, or `only` some parts.
pub(crate) async fn run(
    programs: &Programs,
    effort: Effort,
    only: &[Part],
    dir: &Path,
) -> anyhow::Result<(Samples, Option<ends::Both>)> {
    let wants = |part| only.is_empty() || only.contains(&part);
    let backend = backend::start()?;
    let credentials = Credentials::generate()?;
    let scene = Scene {
        programs,
        backend,
        credentials: &credentials,
        dir,
    };
    let mut run = Run {
        effort,
        scene,
        peers: Vec::new(),
        direct: Target::plain(backend),
        samples: Samples::default(),
    };
    if wants(Part::Memory) {
        run.memory().await?;
    }
    for kind in Kind::ALL {
        run.peers.push(Peer::start(kind, &run.scene).await?);
    }
    for round in 1..=effort.rounds {
        eprintln!("round {round} of {}", effort.rounds);
        if wants(Part::Messages) || wants(Part::Latency) {
            run.messages().await?;
        }
        if wants(Part::Latency) {
            run.latency().await?;
        }
        if wants(Part::Handshakes) {
            run.handshakes().await?;
        }
        if wants(Part::Checks) {
            run.checks().await?;
        }
    }
    run.peers.clear();
    let ends = if wants(Part::Ends) {
        Some(ends::measure(&run.scene, effort.ends.min(process::tunnels()?)).await?)
    } else {
        None
    };
    Ok((run.samples, ends))
}

impl Run<'_> {
    /// Each value from a process of its own: what other load has left free in one would be used by
    /// the tunnels that count.
    async fn memory(&mut self) -> anyhow::Result<()> {
        let Effort {
            pairs,
            deaf,
            cycles,
            ..
        } = self.effort;
        for kind in Kind::ALL {
            eprintln!("memory of {}", kind.name());
            let peer = Peer::start(kind, &self.scene).await?;
            let each = hold::idle(&peer.plain, pairs, peer.pid()).await?;
            self.samples.add(&row::IDLE_WS, kind, each);
            drop(peer);
            let peer = Peer::start(kind, &self.scene).await?;
            let each = hold::idle(&peer.secure, pairs, peer.pid()).await?;
            self.samples.add(&row::IDLE_WSS, kind, each);
            drop(peer);
            let peer = Peer::start(kind, &self.scene).await?;
            let each = hold::deaf(&peer.plain, deaf, peer.pid()).await?;
            self.samples.add(&row::DEAF, kind, each);
            drop(peer);
            let peer = Peer::start(kind, &self.scene).await?;
            let growth = hold::cycles(&peer.plain, (cycles, pairs), peer.pid()).await?;
            self.samples.add(&row::CYCLES, kind, growth);
        }
        Ok(())
    }

    async fn messages(&mut self) -> anyhow::Result<()> {
        let sizes = [
            (SMALL, &row::CPU_SMALL, &row::RATE_SMALL),
            (LARGE, &row::CPU_LARGE, &row::RATE_LARGE),
        ];
        for (size, cost, rate) in sizes {
            for peer in &self.peers {
                let work = load::saturate(&peer.plain, size, self.effort.time, peer.pid()).await?;
                self.samples.add(cost, peer.kind, work.cost());
                self.samples.add(rate, peer.kind, work.rate());
            }
        }
        Ok(())
    }

    /// Half of what the slowest can do: the same for all.
    async fn latency(&mut self) -> anyhow::Result<()> {
        let rates = Kind::ALL.map(|kind| self.samples.median(&row::RATE_SMALL, kind));
        let rate = rates.into_iter().flatten().fold(f64::MAX, f64::min) / 2.0;
        let rows = [
            (&row::ADDED_50, 0.5),
            (&row::ADDED_99, 0.99),
            (&row::ADDED_999, 0.999),
        ];
        for peer in &self.peers {
            let both = [&self.direct, &peer.plain];
            for slice in load::pace(both, rate, self.effort.time).await? {
                for (row, quantile) in rows {
                    let [through, direct] = [&slice.through, &slice.direct]
                        .map(|latencies| latencies.value_at_quantile(quantile) as f64);
                    self.samples.add(row, peer.kind, through - direct);
                }
                let own = slice.direct.value_at_quantile(0.99) as f64;
                self.samples.add(&row::DIRECT_99, peer.kind, own);
            }
        }
        Ok(())
    }

    async fn handshakes(&mut self) -> anyhow::Result<()> {
        for peer in &self.peers {
            let work = load::handshake(&peer.plain, self.effort.time, peer.pid()).await?;
            self.samples.add(&row::SHAKE_CPU, peer.kind, work.cost());
            self.samples.add(&row::SHAKE_RATE, peer.kind, work.rate());
        }
        Ok(())
    }

    /// What Tidegate's checks cost.
    async fn checks(&mut self) -> anyhow::Result<()> {
        let (es256, rs256) = (&self.scene.credentials.es256, &self.scene.credentials.rs256);
        let key = self.scene.credentials.key_header();
        let tenant = format!("{key}X-Tenant: blue\r\n");
        let checks = [
            (&row::BARE, "/bare", String::new(), 0.0),
            (&row::KEY, "/echo", key, 0.0),
            (&row::EDITS, "/edits", tenant.clone(), 0.0),
            (&row::ES256, "/es256", es256.header(), es256.arithmetic()?),
            (&row::RS256, "/rs256", rs256.header(), rs256.arithmetic()?),
            (
                &row::ALL_ES256,
                "/all-es256",
                format!("{tenant}{}", es256.header()),
                es256.arithmetic()?,
            ),
            (
                &row::ALL_RS256,
                "/all-rs256",
                format!("{tenant}{}", rs256.header()),
                rs256.arithmetic()?,
            ),
        ];
        for peer in self.peers.iter().filter(|peer| peer.kind == Kind::Tidegate) {
            for (row, path, headers, arithmetic) in &checks {
                let target = Target {
                    path: (*path).to_owned(),
                    headers: headers.clone(),
                    ..peer.plain.clone()
                };
                let work = load::handshake(&target, self.effort.time, peer.pid()).await?;
                self.samples.add(row, peer.kind, work.cost() - arithmetic);
            }
        }
        Ok(())
    }
}

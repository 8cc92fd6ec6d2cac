//! `tidegate run`: serves a directory of manifests and follows its changes.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tidegate_config::error_chain;
use tidegate_gateway::{BoundListener, Ports};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::admin_token;
use crate::finding::Finding;
use crate::keys::KeyStore;
use crate::standalone::{Report, Settings, Standalone};

/// Editors and deployment tools touch several files for one change; this groups them.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// How long to wait for a Gateway to say that it has taken over a revision before reporting.
const SETTLE: Duration = Duration::from_secs(10);

/// Serves every Gateway found in a directory of manifests, without a cluster.
///
/// Reloads on change; what is broken keeps its last good version. SIGTERM or Ctrl-C drains, a second
/// one ends at once. Prints one line per bound address and per finding.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Directory with *.yaml and *.yml files: Gateways, WebSocketApis, Products, Subscriptions,
    /// Secrets, ConfigMaps; other kinds are left alone.
    pub directory: PathBuf,
    /// Address on which the listeners bind.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED), value_name = "ADDRESS")]
    pub bind_address: IpAddr,
    /// Address of the admin server (metrics, readiness); further Gateways take the next ports.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub admin_address: Option<SocketAddr>,
    /// Where generated subscription keys are kept, what quotas have counted, and the token of admin servers.
    #[arg(long, default_value = ".tidegate", value_name = "DIR")]
    pub state_dir: PathBuf,
    /// Bind free ports instead of those in the manifests.
    #[arg(long)]
    pub free_ports: bool,
}

/// Serves until a signal asks to stop.
pub async fn run(args: &RunArgs) -> anyhow::Result<()> {
    anyhow::ensure!(
        args.directory.is_dir(),
        "{} is not a directory",
        args.directory.display()
    );
    let settings = Settings {
        paths: vec![args.directory.clone()],
        bind_address: args.bind_address,
        ports: if args.free_ports {
            Ports::Ephemeral
        } else {
            Ports::AsConfigured
        },
        admin_address: args.admin_address,
        admin_token: admin_token(args),
        keys: KeyStore::new(&args.state_dir),
        quotas: Some(args.state_dir.join("quotas")),
    };
    let mut stop = Stop::new()?;
    let (_watcher, mut changes) = watch(&args.directory)?;
    let mut standalone = Standalone::new(settings.clone());
    let mut shown = Shown::default();
    let report = standalone.reload().await?;
    let mut next_change = report.next_change;
    shown.show(&standalone, &settings, report).await;
    loop {
        tokio::select! {
            () = stop.asked() => break,
            changed = changes.recv() => {
                changed.context("the directory's watcher has died")?;
                tokio::time::sleep(DEBOUNCE).await;
                while changes.try_recv().is_ok() {}
            }
            () = until(next_change) => {}
        }
        match standalone.reload().await {
            Ok(report) => {
                next_change = report.next_change;
                shown.show(&standalone, &settings, report).await;
            }
            Err(error) => say(&format!("not reloaded: {}", error_chain(error.as_ref()))),
        }
    }
    tokio::select! {
        () = standalone.shutdown() => {}
        () = stop.asked() => {}
    }
    Ok(())
}

/// The file with the token of the admin servers, if there are any. Without one they tell nobody, and
/// serve as ever.
fn admin_token(args: &RunArgs) -> Option<PathBuf> {
    args.admin_address?;
    match admin_token::ensure(&args.state_dir) {
        Ok(path) => {
            say(&format!("token of the admin server: {}", path.display()));
            Some(path)
        }
        Err(error) => {
            say(&error_chain(&error));
            None
        }
    }
}

/// Signals that ask to stop: SIGTERM and SIGINT.
pub struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// Takes over the signals.
    pub fn new() -> anyhow::Result<Self> {
        let take = |kind| signal(kind).context("failed to take over a signal");
        Ok(Self {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next of them.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Watches the directory, not its files: rename-style replacement changes what a name means.
fn watch(directory: &Path) -> anyhow::Result<(RecommendedWatcher, mpsc::Receiver<()>)> {
    // One pending notice is enough: the reload after it sees everything.
    let (sender, receiver) = mpsc::channel(1);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let is_read = event.is_ok_and(|event| event.kind.is_access());
        if !is_read {
            let _ = sender.try_send(());
        }
    })
    .context("failed to make a watcher")?;
    let watched = watcher.watch(directory, RecursiveMode::NonRecursive);
    watched.with_context(|| format!("failed to watch {}", directory.display()))?;
    Ok((watcher, receiver))
}

async fn until(moment: Option<i64>) {
    let Some(moment) = moment else {
        return std::future::pending().await;
    };
    let wait = moment
        .saturating_sub(jiff::Timestamp::now().as_second())
        .max(0);
    // One second more: at the very second, the old outcome may still hold.
    tokio::time::sleep(Duration::from_secs(wait.unsigned_abs() + 1)).await;
}

/// What was printed already: only news are printed.
#[derive(Default)]
struct Shown {
    findings: Vec<Finding>,
    bound: Vec<String>,
    errors: Vec<String>,
}

impl Shown {
    async fn show(&mut self, standalone: &Standalone, settings: &Settings, report: Report) {
        let states = standalone.settled(SETTLE).await;
        for secret in &report.generated {
            let path = settings.keys.path(secret);
            say(&format!(
                "keys of Secret {secret} generated: {}",
                path.display()
            ));
        }
        news(&mut self.findings, report.findings);
        let mut errors = Vec::new();
        for (gateway, state) in states {
            let rejected = state
                .rejected
                .iter()
                .map(|r| format!("{} {}: {}", r.kind, r.key, r.message));
            errors.extend(rejected);
            errors.extend(
                state
                    .error
                    .map(|error| format!("Gateway {gateway}: {error}")),
            );
        }
        news(&mut self.errors, errors);
        let bound = standalone.bound();
        let listeners = bound
            .iter()
            .map(|(gateway, bound)| bound_line(&gateway.name, bound));
        let admin = standalone.admin_addresses().into_iter();
        let admin =
            admin.map(|(gateway, address)| format!("{} admin http://{address}", gateway.name));
        news(&mut self.bound, listeners.chain(admin).collect());
    }
}

fn news<T: ToString + PartialEq>(shown: &mut Vec<T>, now: Vec<T>) {
    for line in now.iter().filter(|line| !shown.contains(line)) {
        say(&line.to_string());
    }
    *shown = now;
}

/// One line per bound address, for people and for scripts.
pub fn bound_line(gateway: &str, bound: &BoundListener) -> String {
    let scheme = match bound.protocol {
        tidegate_config::Protocol::Ws => "ws",
        tidegate_config::Protocol::Wss => "wss",
    };
    format!("{gateway}/{} {scheme}://{}", bound.name, bound.address)
}

/// A closed standard output ends the telling, not the serving.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

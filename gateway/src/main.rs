//! `tidegate-gateway`: one pod of a Gateway. Settings, wiring, signals; no logic.

use std::future::pending;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser as _;
use futures::FutureExt as _;
use futures::future::{BoxFuture, join};
use tidegate_config::{ObjectKey, error_chain};
use tidegate_gateway::settings::{Identity, Log, Network, Settings};
use tidegate_gateway::{
    Ack, Cluster, Directory, Feed, Gateway, LogFormat, Metrics, Options, Pod, Ports, StateDir,
};
use tikv_jemallocator::Jemalloc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// A handshake makes a hundred allocations, many of them over a kilobyte: glibc's own allocator takes 5 % more
/// CPU for it, and 7 % more memory for an idle tunnel (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// EX_USAGE of sysexits.h: restarting will not help.
const EXIT_USAGE: u8 = 64;

/// For accepting, watching and applying configurations; connections have threads of their own.
const CONTROL_THREADS: usize = 2;

/// Log lines that wait to be written: a few seconds of handshakes at full speed, some megabytes.
const LOG_LINES: usize = 16 * 1024;

/// kube's client logs every failed request as an error; the callers log it less often.
const KUBE_NOISE: &str = "kube_client::client::builder=off";

/// Below the state directory, which others may use too.
const BACKUP: &str = "config";

/// Beside it.
const QUOTAS: &str = "quotas.json";

fn main() -> ExitCode {
    let settings = match Settings::try_parse() {
        Ok(settings) => settings,
        Err(error) => {
            let is_mistake = error.use_stderr();
            // Fails only when stdout and stderr are closed.
            let _ = error.print();
            return ExitCode::from(if is_mistake { EXIT_USAGE } else { 0 });
        }
    };
    let metrics = Metrics::new();
    // Dropped last: writes what is still queued.
    let _log = start_log(&settings.log, &metrics);
    match serve(settings, metrics) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", error_chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// A thread of its own writes the lines, so that a slow reader does not delay connections. Lines that do not
/// fit into its queue are dropped and counted.
fn start_log(settings: &Log, metrics: &Metrics) -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LOG_LINES)
        .lossy(true)
        .finish(std::io::stdout());
    let dropped = writer.error_counter();
    metrics.count_dropped_log_lines(move || dropped.dropped_lines());
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .map_event_format(LogFormat::around)
        .with_env_filter(EnvFilter::new(format!(
            "{KUBE_NOISE},{}",
            settings.log_level
        )))
        .with_writer(writer)
        .init();
    guard
}

fn serve(settings: Settings, metrics: Arc<Metrics>) -> anyhow::Result<()> {
    // Fails only if a provider is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .context("failed to start the runtime")?
        .block_on(run(settings, metrics))
}

async fn run(settings: Settings, metrics: Arc<Metrics>) -> anyhow::Result<()> {
    let stop = Stop::new()?;
    let (feed, updates, problems) = Feed::new();
    let state_dir = settings.files.state_dir.as_deref();
    let options = Options {
        metrics,
        quota_file: state_dir.map(|dir| dir.join(QUOTAS)),
        token_directory: settings.files.token_dir.clone(),
        admin_token_file: settings.files.admin_token_file.clone(),
        problems: Some(problems),
        ..options(&settings.network)
    };
    let gateway = Gateway::start(options, updates).await?;
    if let Some(address) = gateway.admin_address() {
        tracing::info!(%address, "admin server listening");
    }
    let source = ConfigSource::choose(settings, feed, &gateway).await?;
    until_stopped(gateway, source, stop).await;
    Ok(())
}

fn options(network: &Network) -> Options {
    Options {
        bind_address: network.bind_address.unwrap_or_else(all_addresses),
        ports: Ports::AsConfigured,
        admin_address: Some(network.admin_address),
        workers: network.workers.into(),
        ..Options::local()
    }
}

/// `::` includes IPv4, but a node may have IPv6 disabled.
fn all_addresses() -> IpAddr {
    let v6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    match TcpListener::bind((v6, 0)) {
        Ok(_) => v6,
        Err(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    }
}

/// Where configurations come from, and how they are acknowledged.
struct ConfigSource {
    follow: BoxFuture<'static, ()>,
    ack: Option<Ack>,
}

impl ConfigSource {
    async fn choose(settings: Settings, feed: Feed, gateway: &Gateway) -> anyhow::Result<Self> {
        if let Some(dir) = settings.files.config_dir {
            return Ok(Self {
                follow: Directory::new(dir).run(feed).boxed(),
                ack: None,
            });
        }
        let (key, pod) = identity(settings.identity)?;
        let cluster = Cluster::connect(key).await?;
        let ack = Some(cluster.ack(pod));
        let backup = settings.files.state_dir.map(|dir| dir.join(BACKUP));
        let backup = backup.map(StateDir::new);
        let watch = cluster.run(feed, backup.clone());
        let follow = match backup {
            Some(dir) => join(watch, dir.keep(gateway.serving())).map(|_| ()).boxed(),
            None => watch.boxed(),
        };
        Ok(Self { follow, ack })
    }
}

fn identity(identity: Identity) -> anyhow::Result<(ObjectKey, Pod)> {
    let Identity {
        gateway,
        namespace,
        pod_name,
        pod_uid,
    } = identity;
    let key = ObjectKey::new(
        namespace.context("--namespace is missing")?,
        gateway.context("--gateway is missing")?,
    );
    let name = pod_name.context("--pod-name is missing")?;
    Ok((key, Pod { name, uid: pod_uid }))
}

/// Serves until a signal, then drains; a second signal cuts. The source is followed until the end, so that
/// access can be revoked during a drain.
async fn until_stopped(gateway: Gateway, source: ConfigSource, mut stop: Stop) {
    let ConfigSource { follow, ack } = source;
    let mut follow = pin!(follow.then(|()| pending::<()>()));
    let acknowledge = async {
        match &ack {
            Some(ack) => ack.run(gateway.status()).await,
            None => pending().await,
        }
    };
    tokio::select! {
        () = stop.asked() => {}
        () = acknowledge => {}
        () = follow.as_mut() => {}
    }
    let withdraw = async {
        if let Some(ack) = &ack {
            ack.withdraw().await;
        }
    };
    tokio::select! {
        _ = join(gateway.shutdown(), withdraw) => {}
        () = follow => {}
        () = stop.asked() => tracing::warn!("asked a second time: cutting what is left"),
    }
}

/// SIGTERM from Kubernetes, SIGINT from a terminal.
struct Stop {
    term: Signal,
    int: Signal,
}

impl Stop {
    fn new() -> anyhow::Result<Self> {
        let on = |kind| signal(kind).context("failed to listen for signals");
        Ok(Self {
            term: on(SignalKind::terminate())?,
            int: on(SignalKind::interrupt())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

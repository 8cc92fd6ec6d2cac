//! `tidegate run`: serves manifests and follows their changes.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tidegate_config::error_chain;
use tidegate_gateway::{BoundListener, Ports};
use tidegate_plan::KeyRequest;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crate::admin_token;
use crate::echo_server::Greeting;
use crate::finding::Finding;
use crate::input::{Input, InputArgs};
use crate::keys::KeyStore;
use crate::standalone::{Report, Settings, Standalone};
use crate::watch::watch;

/// Groups the events of one change: editors and deployment tools write several files.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// Directory in the state directory that keeps the counters of quotas.
const QUOTAS: &str = "quotas";

/// How long to wait until every Gateway has applied a revision, before printing what is known.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves every Gateway in some manifests, without a cluster.
///
/// Kinds that Tidegate does not read are ignored. Reloads when a file changes. A broken object keeps its last valid version. SIGTERM or Ctrl-C drains
/// the gateways; a second one stops at once. Prints one line for each bound address and each finding.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Where the manifests are.
    #[command(flatten)]
    pub input: InputArgs,
    /// Address that the listeners bind.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED), value_name = "ADDRESS")]
    pub bind_address: IpAddr,
    /// Address of the first Gateway's admin server (metrics, readiness). Each further Gateway takes the next
    /// port. Without it there is no admin server.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub admin_address: Option<SocketAddr>,
    /// Directory that keeps generated subscription keys, quota counters and the token of the admin servers.
    #[arg(long, default_value = ".tidegate", value_name = "DIR")]
    pub state_dir: PathBuf,
    /// Directory with tokens of a service account, for backendAuth and requests of policies: one file for each
    /// audience, named by the SHA-256 of the audience in hex, read again for each use.
    #[arg(long, value_name = "DIR")]
    pub token_dir: Option<PathBuf>,
    /// Bind any free ports instead of those in the manifests.
    #[arg(long)]
    pub free_ports: bool,
    /// Put echo servers in the place of all backends. With headers, each sends the target and the headers of
    /// its handshake first, as a text message with JSON. A backendAuth that gets its token from another server
    /// is not run, and sendRequest gets an answer as in a SignalR negotiation; other requests of policies are sent.
    #[arg(long, value_enum, value_name = "WHAT", num_args = 0..=1, require_equals = true, default_missing_value = "messages")]
    pub echo: Option<Echo>,
}

/// What the echo servers in the place of the backends send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Echo {
    /// Every message that they get.
    Messages,
    /// The headers of the handshake before that.
    Headers,
}

/// Serves until SIGTERM or SIGINT, then drains.
///
/// # Errors
///
/// When a path cannot be read or watched, or a gateway cannot start.
pub async fn run(args: &RunArgs) -> anyhow::Result<()> {
    let settings = settings(args, Input::open(&args.input)?);
    let mut stop = StopSignal::new()?;
    let keys = settings.keys.directory();
    let (mut watcher, mut changes) = watch(&settings.input, keys, &args.state_dir.join(QUOTAS))?;
    let mut standalone = Standalone::new(settings.clone());
    let mut printed = Printed::default();
    watch_keys(&mut watcher, &settings.keys);
    let report = standalone.reload().await?;
    let mut next = report.next;
    printed.print(&standalone, &settings, report).await;
    loop {
        tokio::select! {
            () = stop.received() => break,
            changed = changes.recv() => {
                changed.context("the file watcher stopped")?;
                tokio::time::sleep(DEBOUNCE).await;
                while changes.try_recv().is_ok() {}
            }
            () = sleep_until(next) => {}
        }
        // Its directory may have been removed, and with it the watch.
        watch_keys(&mut watcher, &settings.keys);
        match standalone.reload().await {
            Ok(report) => {
                next = report.next;
                printed.print(&standalone, &settings, report).await;
            }
            Err(error) => say(&format!("not reloaded: {}", error_chain(error.as_ref()))),
        }
    }
    tokio::select! {
        () = standalone.shutdown() => {}
        () = stop.received() => {}
    }
    Ok(())
}

fn settings(args: &RunArgs, input: Input) -> Settings {
    Settings {
        input,
        bind_address: args.bind_address,
        ports: if args.free_ports {
            Ports::Ephemeral
        } else {
            Ports::AsConfigured
        },
        admin_address: args.admin_address,
        admin_token: admin_token(args),
        keys: KeyStore::new(&args.state_dir),
        quotas: Some(args.state_dir.join(QUOTAS)),
        tokens: args.token_dir.clone(),
        echo: args.echo.map(|echo| match echo {
            Echo::Messages => Greeting::None,
            Echo::Headers => Greeting::Headers,
        }),
    }
}

/// The file with the token of the admin servers, if there are any. Without a token they answer nothing that
/// needs one.
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

/// The signals that stop the program: SIGTERM and SIGINT.
pub struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    /// Installs handlers for both signals.
    ///
    /// # Errors
    ///
    /// When the system refuses a handler.
    pub fn new() -> anyhow::Result<Self> {
        let take = |kind| signal(kind).context("failed to handle a signal");
        Ok(Self {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal.
    pub async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Watches the generated keys: who edits or removes a file means it.
fn watch_keys(watcher: &mut RecommendedWatcher, keys: &KeyStore) {
    let watched = keys.ensure().map_err(anyhow::Error::from);
    let watched =
        watched.and_then(|directory| Ok(watcher.watch(directory, RecursiveMode::NonRecursive)?));
    if let Err(error) = watched {
        say(&format!(
            "keys are not watched: {}",
            error_chain(error.as_ref())
        ));
    }
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        None => std::future::pending().await,
        Some(moment) => tokio::time::sleep_until(moment).await,
    }
}

/// What was printed already, so that each line is printed once.
#[derive(Default)]
struct Printed {
    findings: Vec<Finding>,
    bound: Vec<String>,
    stand_ins: Vec<String>,
    errors: Vec<String>,
}

impl Printed {
    async fn print(&mut self, standalone: &Standalone, settings: &Settings, report: Report) {
        let states = standalone.settled(SETTLE_TIMEOUT).await;
        for request in &report.generated {
            say(&generated_line(request, &settings.keys));
        }
        for secret in &report.removed {
            say(&format!(
                "keys of Secret {secret} removed: its Subscription is gone"
            ));
        }
        print_new(&mut self.findings, report.findings);
        let stand_ins = standalone.stand_ins();
        let stand_ins = stand_ins
            .map(|(backend, address)| format!("echo server for {backend}: ws://{address}"));
        print_new(&mut self.stand_ins, stand_ins.collect());
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
        print_new(&mut self.errors, errors);
        let bound = standalone.bound();
        let listeners = bound
            .iter()
            .map(|(gateway, bound)| bound_line(&gateway.name, bound));
        let admin = standalone.admin_addresses().into_iter();
        let admin =
            admin.map(|(gateway, address)| format!("{} admin http://{address}", gateway.name));
        print_new(&mut self.bound, listeners.chain(admin).collect());
    }
}

fn generated_line(request: &KeyRequest, keys: &KeyStore) -> String {
    let which = match (request.primary, request.secondary) {
        (Some(_), None) => "primary key",
        (None, Some(_)) => "secondary key",
        _ => "keys",
    };
    let done = if request.exists {
        "renewed"
    } else {
        "generated"
    };
    let path = keys.path(&request.secret);
    format!(
        "Subscription {}: {which} {done} in {}",
        request.subscription,
        path.display()
    )
}

fn print_new<T: ToString + PartialEq>(printed: &mut Vec<T>, now: Vec<T>) {
    for line in now.iter().filter(|line| !printed.contains(line)) {
        say(&line.to_string());
    }
    *printed = now;
}

/// One line for a bound address: `GATEWAY/LISTENER SCHEME://ADDRESS`.
pub fn bound_line(gateway: &str, bound: &BoundListener) -> String {
    let scheme = match bound.protocol {
        tidegate_config::Protocol::Ws => "ws",
        tidegate_config::Protocol::Wss => "wss",
    };
    format!("{gateway}/{} {scheme}://{}", bound.name, bound.address)
}

/// Prints a line. The program goes on when standard output is closed.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

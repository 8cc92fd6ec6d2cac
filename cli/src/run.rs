//! `tidegate run`: serves manifests and follows their changes.

mod api_lines;
mod printer;

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tidegate_config::error_chain;
use tidegate_gateway::Ports;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crate::echo_server::Greeting;
use crate::input::{Input, InputArgs};
use crate::keys::KeyStore;
use crate::standalone::{AdminAddress, Settings, Standalone};
use crate::watch::{Watch, watch};
use crate::{admin_token, state_dir};
use printer::{KeyCommand, Printer};

/// Groups the events of one change: editors and deployment tools write several files.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// Directory in the state directory that keeps the counters of quotas.
const QUOTAS: &str = "quotas";

/// Where the first admin server listens unless the user says otherwise.
const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// Serves every Gateway in some manifests, without a cluster.
///
/// Kinds that Tidegate does not read are ignored. Reloads when a file changes. A broken object keeps its last valid
/// version. SIGTERM or Ctrl-C drains the gateways; a second one stops at once. Prints the address of each listener and
/// admin server, the URLs of each API, each finding, and what each reload changed.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Where the manifests are.
    #[command(flatten)]
    pub input: InputArgs,
    /// Address that the listeners bind.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED), value_name = "ADDRESS")]
    pub bind_address: IpAddr,
    /// Address of the first Gateway's admin server (metrics, readiness, explain). Each further Gateway takes the
    /// next port. Default: 127.0.0.1:9090, or any other port if that one is taken.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub admin_address: Option<SocketAddr>,
    /// Directory that keeps generated subscription keys, quota counters and the token of the admin servers.
    /// Default: .tidegate in the directory with the manifests, or beside the file.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
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
    let own = settings.keys.directory();
    let (mut watching, mut changes) = watch(&settings.input, own, &state_dir(args).join(QUOTAS))?;
    let mut standalone = Standalone::new(settings.clone());
    let mut printer = Printer::new(settings.keys.clone(), key_command(args));
    let mut keys = WatchedKeys::default();
    keys.watch(&mut watching, &settings.keys);
    let report = standalone.reload().await?;
    let mut next = report.next;
    printer.report(&mut standalone, report).await;
    loop {
        tokio::select! {
            () = stop.received() => break,
            changed = changes.recv() => {
                changed.context("the file watcher stopped")?;
                tokio::time::sleep(DEBOUNCE).await;
                while changes.try_recv().is_ok() {}
            }
            () = sleep_until(next) => {}
            () = standalone.changed() => {
                printer.state(&mut standalone);
                continue;
            }
        }
        // Directories may have been replaced, and with them their watches.
        keys.watch(&mut watching, &settings.keys);
        match standalone.reload().await {
            Ok(report) => {
                next = report.next;
                printer.report(&mut standalone, report).await;
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
    let state_dir = state_dir(args);
    let working = std::env::current_dir().unwrap_or_default();
    if let Some(text) = state_dir::left_behind(&state_dir, &working) {
        say(&text);
    }
    Settings {
        input,
        bind_address: args.bind_address,
        ports: if args.free_ports {
            Ports::Ephemeral
        } else {
            Ports::AsConfigured
        },
        admin: match args.admin_address {
            Some(address) => AdminAddress::Required(address),
            None => AdminAddress::Preferred(DEFAULT_ADMIN),
        },
        admin_token: admin_token(&state_dir),
        keys: KeyStore::new(&state_dir),
        quotas: Some(state_dir.join(QUOTAS)),
        tokens: args.token_dir.clone(),
        echo: args.echo.map(|echo| match echo {
            Echo::Messages => Greeting::None,
            Echo::Headers => Greeting::Headers,
        }),
    }
}

fn state_dir(args: &RunArgs) -> PathBuf {
    state_dir::of(args.state_dir.as_deref(), &args.input.paths)
}

/// How `tidegate keys show` finds the keys of this run.
fn key_command(args: &RunArgs) -> KeyCommand {
    let mut options = String::new();
    for path in args
        .input
        .paths
        .iter()
        .filter(|path| *path != Path::new("-"))
    {
        options.push_str(&format!(" --dir {}", quoted(path)));
    }
    if args.input.recursive {
        options.push_str(" -R");
    }
    if let Some(directory) = &args.state_dir {
        options.push_str(&format!(" --state-dir {}", quoted(directory)));
    }
    KeyCommand {
        program: program(),
        options,
    }
}

fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    match text.contains(|letter: char| letter.is_whitespace() || letter == '\'') {
        true => format!("'{}'", text.replace('\'', r"'\''")),
        false => text,
    }
}

/// The path by which this program was started. It may not be on the PATH.
pub fn program() -> String {
    let called = std::env::args().next().filter(|called| !called.is_empty());
    quoted(Path::new(&called.unwrap_or_else(|| "tidegate".to_owned())))
}

/// The file with the token of the admin servers. Without a token they answer nothing that needs one.
fn admin_token(state_dir: &Path) -> Option<PathBuf> {
    match admin_token::ensure(state_dir) {
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

/// Watches the generated keys, because who edits or removes a file means it, and renews all other watches.
#[derive(Default)]
struct WatchedKeys {
    /// Why something is not watched; it is said once.
    problem: Option<String>,
}

impl WatchedKeys {
    fn watch(&mut self, watch: &mut Watch, keys: &KeyStore) {
        let chain = |error: anyhow::Error| error_chain(error.as_ref());
        let renewed = watch.renew().err().map(chain);
        let own = keys.ensure().map_err(anyhow::Error::from);
        let own = own.and_then(|directory| watch.also(directory)).err();
        let cure = "choose another directory with --state-dir";
        let problem = renewed.or(own.map(|error| format!("{}; {cure}", chain(error))));
        if let Some(problem) = &problem
            && self.problem.as_ref() != Some(problem)
        {
            say(problem);
        }
        self.problem = problem;
    }
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        None => std::future::pending().await,
        Some(moment) => tokio::time::sleep_until(moment).await,
    }
}

/// Prints what a command was asked for. A reader that has seen enough and closed the pipe is no failure.
///
/// # Errors
///
/// When standard output cannot be written, for example because the disk is full.
pub fn print_out(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout().lock(), "{}", text.trim_end()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("failed to write to standard output")
        }
        _ => Ok(()),
    }
}

/// Prints a line. The program goes on when standard output is closed.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

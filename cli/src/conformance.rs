//! `tidegate conformance`: does a gateway behave as documented?
//!
//! The cases lie in `conformance/`. `case` and `suite` read them, `manifests` says what must be
//! served for them, `play` does what a client does against a gateway whose backend is `recorder`,
//! `check` and `reasons` compare, `report` tells.

pub mod case;
mod check;
pub mod frame;
pub mod manifests;
pub mod play;
mod reasons;
pub mod recorder;
mod refused;
pub mod report;
pub mod suite;
mod tls;
mod token;
mod wire;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use futures::StreamExt as _;
use url::Url;

use self::case::{Case, Chapter};
use self::manifests::{Target, manifests, of_case};
use self::play::{Stage, play};
use self::recorder::Recorder;
use self::report::{Format, Outcome, Verdict, render};
use self::suite::{Places, cases, load};
use crate::connect::trust;
use crate::manifest::to_yaml;
use crate::run::say;

/// What the Gateway of the cases is called.
const GATEWAY: &str = "conformance";

/// Cases at the same time: enough that waiting cases cost nothing, few enough for a small gateway.
const AT_ONCE: usize = 16;

/// Checks that a running gateway behaves as documented.
#[derive(Debug, Args)]
pub struct ConformanceArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Manifests(ManifestsArgs),
    Run(Box<RunArgs>),
}

/// Prints what the gateway must serve before `run`: a Gateway and the objects of all cases.
///
/// Apply it in a namespace of its own and delete that afterwards: the keys in it are public.
#[derive(Debug, Args)]
pub struct ManifestsArgs {
    #[command(flatten)]
    backend: BackendArgs,
    /// Name of the Gateway.
    #[arg(long, default_value = GATEWAY)]
    name: String,
    /// Port of its listener.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Port of its listener for TLS.
    #[arg(long, default_value_t = 8443)]
    tls_port: u16,
    /// You run the gateway's process, not the operator.
    #[arg(long)]
    unmanaged: bool,
    /// Only the objects of this case, also of one whose objects must be refused.
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
}

/// Plays the cases against a gateway that serves the manifests, and reports.
///
/// Brings the backend, the services and the issuer of tokens that the manifests name. Exit status:
/// 0 all passed, 1 something failed, 2 bad arguments or no gateway.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The gateway: ws://HOST:PORT or wss://HOST:PORT.
    #[arg(long, value_name = "URL")]
    gateway: Url,
    /// Its listener for TLS, wss://HOST:PORT: cases about TLS are then played, too.
    #[arg(long, value_name = "URL")]
    secure_gateway: Option<Url>,
    /// Admin address of its only pod: reasons are then compared, too.
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin: Option<SocketAddr>,
    #[command(flatten)]
    backend: BackendArgs,
    /// Address on which the backend listens.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED), value_name = "ADDRESS")]
    bind_address: IpAddr,
    /// Namespace in which the manifests were applied.
    #[arg(long, default_value = "default")]
    namespace: String,
    /// Certificates of authorities (PEM) to trust; needed for wss://.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Only cases whose name has this text.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// How to report.
    #[arg(long, short, value_enum, default_value = "table")]
    output: Format,
}

/// Where gateways reach the backend that `run` brings along.
#[derive(Debug, Args)]
struct BackendArgs {
    /// Name or address by which gateways reach this machine.
    #[arg(long, value_name = "HOST")]
    backend_host: String,
    /// Port of the backend.
    #[arg(long, default_value_t = 9100, value_name = "PORT")]
    backend_port: u16,
    /// Port of the backend for TLS.
    #[arg(long, default_value_t = 9101, value_name = "PORT")]
    backend_tls_port: u16,
}

impl BackendArgs {
    fn places(&self, gateway: &str) -> Places {
        Places {
            gateway: gateway.to_owned(),
            host: self.backend_host.clone(),
            port: self.backend_port,
            tls_port: self.backend_tls_port,
        }
    }
}

/// Does what is asked; the exit status.
pub async fn conformance(args: &ConformanceArgs) -> anyhow::Result<u8> {
    match &args.command {
        Command::Manifests(args) => print_manifests(args).map(|()| 0),
        Command::Run(args) => run(args).await,
    }
}

fn print_manifests(args: &ManifestsArgs) -> anyhow::Result<()> {
    let chapters = load(&args.backend.places(&args.name))?;
    let target = Target {
        gateway: args.name.clone(),
        port: args.port,
        tls_port: args.tls_port,
        managed: !args.unmanaged,
    };
    let objects = match &args.case {
        None => manifests(cases(&chapters).map(|(_, case)| case), &target),
        Some(name) => {
            let mut named = cases(&chapters).filter(|(_, case)| case.name == *name);
            let (_, case) = named.next().context("there is no case of this name")?;
            of_case(case, &target)
        }
    };
    say(to_yaml(&objects)?.trim_end());
    Ok(())
}

async fn run(args: &RunArgs) -> anyhow::Result<u8> {
    let chapters = load(&args.backend.places(GATEWAY))?;
    let backend = &args.backend;
    let (port, tls_port) = (backend.backend_port, backend.backend_tls_port);
    let recorder = Recorder::start(args.bind_address, port, tls_port).await?;
    let tls = match args.gateway.scheme() {
        "ws" => None,
        "wss" => Some(trust(args.ca.as_deref().context("wss:// needs --ca")?)?),
        other => anyhow::bail!("--gateway is ws:// or wss://, not {other}://"),
    };
    let stage = Stage {
        gateway: args.gateway.clone(),
        secure: args.secure_gateway.clone(),
        tls,
        recorder: Arc::new(recorder),
        run: rand::random(),
    };
    let against = Against {
        stage,
        admin: args.admin,
        namespace: args.namespace.clone(),
    };
    let outcomes = report(&chapters, &against, &args.only).await?;
    say(render(&outcomes, args.output)?.trim_end());
    let failed = outcomes.iter().any(|o| o.result == Verdict::Failed);
    Ok(u8::from(failed))
}

/// What to play against.
pub struct Against {
    /// The gateway.
    pub stage: Stage,
    /// Where it tells its metrics; `None`: reasons are not compared.
    pub admin: Option<SocketAddr>,
    /// Namespace of the cases' APIs.
    pub namespace: String,
}

/// Plays all cases whose name has a text; what came of each, in the suite's order.
pub async fn report(
    chapters: &[Chapter],
    against: &Against,
    only: &str,
) -> anyhow::Result<Vec<Outcome>> {
    let chosen: Vec<_> = cases(chapters)
        .filter(|(_, case)| case.name.contains(only))
        .collect();
    let before = match against.admin {
        Some(admin) => reasons::counted(admin).await.context("no metrics")?,
        None => Default::default(),
    };
    let (chosen, skipped): (Vec<_>, Vec<_>) = chosen
        .into_iter()
        .partition(|(_, case)| against.stage.secure.is_some() || !case.needs_tls());
    let plays = chosen.iter().map(|(_, case)| one(&against.stage, case));
    let mut found: BTreeMap<&str, Vec<String>> = futures::stream::iter(plays)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    if let Some(admin) = against.admin {
        let all: Vec<&Case> = chosen.iter().map(|(_, case)| *case).collect();
        let after = reasons::settled(admin, &all, &against.namespace, &before).await?;
        for case in all {
            let more = reasons::differences(case, &against.namespace, &before, &after);
            found.entry(&case.name).or_default().extend(more);
        }
    }
    let outcome = |(chapter, case): &(&str, &Case)| {
        let differences = found.remove(case.name.as_str()).unwrap_or_default();
        Outcome::new(chapter, case, differences)
    };
    let mut outcomes: Vec<_> = chosen.iter().map(outcome).collect();
    outcomes.extend(skipped.iter().map(|(c, case)| Outcome::skipped(c, case)));
    Ok(outcomes)
}

async fn one<'a>(stage: &Stage, case: &'a Case) -> (&'a str, Vec<String>) {
    let differences = match &case.refused {
        Some(text) => refused::differences(case, text),
        None => play(stage, case).await,
    };
    (&case.name, differences)
}

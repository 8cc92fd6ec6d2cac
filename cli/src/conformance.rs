//! `tidegate conformance`: checks that a gateway behaves as documented.
//!
//! The cases are in `conformance/`. `case` and `suite` read them, `manifests` makes the objects that the
//! gateway must serve, `client` is the client, `recorder` is the backend, `check` and `reasons` compare, and
//! `report` prints.

pub mod case;
mod check;
pub mod client;
pub mod frame;
pub mod manifests;
mod reasons;
pub mod recorder;
mod refused;
pub mod report;
pub mod suite;
mod tls;
mod token;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use futures::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use self::case::{Case, Chapter};
use self::client::{TestBed, run_case};
use self::manifests::{Target, manifests, of_case};
use self::recorder::Recorder;
use self::report::{CaseResult, Format, Outcome, render};
use self::suite::{Parameters, cases, load};
use crate::connect::tls_config;
use crate::manifest::to_yaml;
use crate::run::say;

/// Default name of the Gateway.
const GATEWAY: &str = "conformance";

/// Cases that run at the same time: many, because some wait, and few enough for a small gateway.
const CONCURRENCY: usize = 16;

/// How long the gateway may take to answer the first request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

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

/// Prints the objects that the gateway must serve before `run`: a Gateway and the objects of all cases.
///
/// Apply them in a namespace of their own, and delete that namespace afterwards: their keys are public.
#[derive(Debug, Args)]
pub struct ManifestsArgs {
    #[command(flatten)]
    backend: BackendArgs,
    /// Name of the Gateway.
    #[arg(long, default_value = GATEWAY)]
    name: String,
    /// Port of the plain listener.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Port of the TLS listener.
    #[arg(long, default_value_t = 8443)]
    tls_port: u16,
    /// Set managed: false on the Gateway: you run the gateway's process, not the operator.
    #[arg(long)]
    unmanaged: bool,
    /// Print only the objects of this case, even if they must be rejected.
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
}

/// Runs the cases against a gateway that serves the manifests, and prints a report.
///
/// Starts the backend, the HTTP services and the token issuer that the manifests refer to. Exit status: 0
/// when all cases passed, 1 when a case failed, 2 for bad arguments or when there is no gateway.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// URL of the gateway: ws://HOST:PORT or wss://HOST:PORT.
    #[arg(long, value_name = "URL")]
    gateway: Url,
    /// URL of its TLS listener: wss://HOST:PORT. Without it, cases about TLS are skipped.
    #[arg(long, value_name = "URL")]
    secure_gateway: Option<Url>,
    /// Address of the admin server of its only pod. Without it, reasons are not checked.
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin: Option<SocketAddr>,
    #[command(flatten)]
    backend: BackendArgs,
    /// Address that the backend binds.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED), value_name = "ADDRESS")]
    bind_address: IpAddr,
    /// Namespace where the manifests were applied.
    #[arg(long, default_value = "default")]
    namespace: String,
    /// File with CA certificates (PEM) to trust. Required for wss://.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Run only cases whose name contains this text.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Format of the report.
    #[arg(long, short, value_enum, default_value = "table")]
    output: Format,
}

impl RunArgs {
    /// For the gateway, if its URL is `wss://`.
    fn tls(&self) -> anyhow::Result<Option<Arc<rustls::ClientConfig>>> {
        match self.gateway.scheme() {
            "ws" => Ok(None),
            "wss" => {
                let ca = self.ca.as_deref().context("wss:// requires --ca")?;
                tls_config(ca).map(Some)
            }
            other => anyhow::bail!("--gateway must be ws:// or wss://, not {other}://"),
        }
    }
}

/// Where gateways reach the backend that `run` starts.
#[derive(Debug, Args)]
struct BackendArgs {
    /// Host name or address at which gateways reach this machine.
    #[arg(long, value_name = "HOST")]
    backend_host: String,
    /// Port of the backend.
    #[arg(long, default_value_t = 9100, value_name = "PORT")]
    backend_port: u16,
    /// TLS port of the backend.
    #[arg(long, default_value_t = 9101, value_name = "PORT")]
    backend_tls_port: u16,
}

impl BackendArgs {
    fn parameters(&self, gateway: &str) -> Parameters {
        Parameters {
            gateway: gateway.to_owned(),
            host: self.backend_host.clone(),
            port: self.backend_port,
            tls_port: self.backend_tls_port,
        }
    }
}

/// Runs the command and returns the exit status.
///
/// # Errors
///
/// When the arguments are bad, the backend cannot start, or there is no gateway.
pub async fn conformance(args: &ConformanceArgs) -> anyhow::Result<u8> {
    match &args.command {
        Command::Manifests(args) => print_manifests(args).map(|()| 0),
        Command::Run(args) => run(args).await,
    }
}

fn print_manifests(args: &ManifestsArgs) -> anyhow::Result<()> {
    let chapters = load(&args.backend.parameters(&args.name))?;
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
            let (_, case) = named.next().context("there is no case with this name")?;
            of_case(case, &target)
        }
    };
    say(to_yaml(&objects)?.trim_end());
    Ok(())
}

async fn run(args: &RunArgs) -> anyhow::Result<u8> {
    let chapters = load(&args.backend.parameters(GATEWAY))?;
    let backend = &args.backend;
    let (port, tls_port) = (backend.backend_port, backend.backend_tls_port);
    let recorder = Recorder::start(args.bind_address, port, tls_port).await?;
    let test_bed = TestBed {
        gateway: args.gateway.clone(),
        secure: args.secure_gateway.clone(),
        tls: args.tls()?,
        recorder: Arc::new(recorder),
        run: rand::random(),
    };
    let subject = Subject {
        test_bed,
        admin: args.admin,
        namespace: args.namespace.clone(),
    };
    anyhow::ensure!(
        cases(&chapters).any(|(_, case)| case.name.contains(&args.only)),
        "no case has {:?} in its name",
        args.only
    );
    for url in std::iter::once(&args.gateway).chain(&args.secure_gateway) {
        reachable(url).await?;
    }
    let outcomes = report(&chapters, &subject, &args.only).await?;
    say(render(&outcomes, args.output)?.trim_end());
    let failed = outcomes.iter().any(|o| o.result == CaseResult::Failed);
    Ok(u8::from(failed))
}

/// Checks that somebody answers: otherwise every case would fail that expects an answer, and the others would pass.
async fn reachable(url: &Url) -> anyhow::Result<()> {
    let none = || format!("there is no gateway at {url}");
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, answer(url)).await;
    let answered = answer.context("no answer").with_context(none)?;
    anyhow::ensure!(
        answered.with_context(none)?,
        "{}: what answers there does not speak HTTP",
        none()
    );
    Ok(())
}

/// Does somebody accept a connection, and answer a request without TLS by HTTP?
async fn answer(url: &Url) -> anyhow::Result<bool> {
    let addresses = url
        .socket_addrs(|| None)
        .context("the URL has no address")?;
    let mut connection = TcpStream::connect(&*addresses).await?;
    if url.scheme() == "wss" {
        return Ok(true);
    }
    let host = url.host_str().unwrap_or_default();
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut beginning = [0; 5];
    let read = connection.read_exact(&mut beginning).await;
    Ok(read.is_ok() && beginning == *b"HTTP/")
}

/// The gateway under test.
pub struct Subject {
    /// The gateway.
    pub test_bed: TestBed,
    /// Its admin server; `None`: reasons are not checked.
    pub admin: Option<SocketAddr>,
    /// Namespace of the cases' APIs.
    pub namespace: String,
}

/// Runs all cases whose name contains a text. Outcomes are in the order of the suite.
///
/// # Errors
///
/// When the metrics cannot be read.
pub async fn report(
    chapters: &[Chapter],
    subject: &Subject,
    only: &str,
) -> anyhow::Result<Vec<Outcome>> {
    let chosen: Vec<_> = cases(chapters)
        .filter(|(_, case)| case.name.contains(only))
        .collect();
    let before = match subject.admin {
        Some(admin) => reasons::counted(admin)
            .await
            .context("failed to read metrics")?,
        None => Default::default(),
    };
    let (chosen, skipped): (Vec<_>, Vec<_>) = chosen
        .into_iter()
        .partition(|(_, case)| subject.test_bed.secure.is_some() || !case.needs_tls());
    let runs = chosen.iter().map(|(_, case)| one(&subject.test_bed, case));
    let mut found: BTreeMap<&str, Vec<String>> = futures::stream::iter(runs)
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    if let Some(admin) = subject.admin {
        let all: Vec<&Case> = chosen.iter().map(|(_, case)| *case).collect();
        let after = reasons::settled(admin, &all, &subject.namespace, &before).await?;
        for case in all {
            let more = reasons::differences(case, &subject.namespace, &before, &after);
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

async fn one<'a>(test_bed: &TestBed, case: &'a Case) -> (&'a str, Vec<String>) {
    let differences = match &case.refused {
        Some(text) => refused::differences(case, text),
        None => run_case(test_bed, case).await,
    };
    (&case.name, differences)
}

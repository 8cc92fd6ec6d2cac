//! `tidegate explain`: what happens to a handshake, step by step, and why.

mod manifests;
mod running;
mod show;

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use tidegate_gateway::Question;
use tidegate_gateway::trace::{Outcome, Trace};

use crate::run::say;
use crate::running::RunningArgs;
use crate::state_dir;

/// Shows what happens to a handshake, step by step: route, access, policies and what they change, backend,
/// outcome.
///
/// Uses the configuration of running gateways: of a pod of each Gateway of the namespace, which it reaches through
/// the API server as `kubectl port-forward` does, or of an admin server (--gateway). With manifests (--dir) it needs
/// no server, and uses the Gateway with a listener on the port in the URL; if there is none, the first that has a
/// route for it. The backend is called with --dial only. HTTP calls of policies are made. No limit or quota counts the
/// handshake. Secrets are shown as ***.
///
/// A running gateway requires its token. The token is read from the state directory of `tidegate run`, or with
/// your kubeconfig from the Secret GATEWAY-admin if you may read it.
///
/// Exit status: 0 when the handshake is accepted, or would be if the backend accepts; 1 when it is refused; 2
/// when there is no result.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// URL with ws:// or wss://, as the client would use it.
    #[arg(required_unless_present = "trace", conflicts_with = "trace")]
    pub url: Option<String>,
    /// Header that the client sends, for example -H 'Authorization: Bearer x'. Repeat it for more.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// Subscription key. It is sent where the API expects it.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Send the primary key of this Subscription. Only with --dir.
    #[arg(
        long,
        value_name = "[NAMESPACE/]NAME",
        requires = "paths",
        conflicts_with = "key"
    )]
    pub subscription: Option<String>,
    /// Subprotocol that the client offers. Repeat it for more.
    #[arg(long = "subprotocol", value_name = "NAME")]
    pub subprotocols: Vec<String>,
    /// IP address of the client.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub client: IpAddr,
    /// File or directory with manifests, or - for standard input. Repeat it for more.
    #[arg(
        long = "dir",
        value_name = "PATH",
        conflicts_with_all = ["urls", "namespace", "all_namespaces", "kubeconfig", "context", "user"],
    )]
    pub paths: Vec<PathBuf>,
    /// Read the directories below those of --dir too, except those whose name begins with a dot.
    #[arg(long, short = 'R', requires = "paths")]
    pub recursive: bool,
    /// Running gateways.
    #[command(flatten)]
    pub running: RunningArgs,
    /// Show the trace of an earlier handshake. ID is the Tidegate-Trace-Id of its response.
    #[arg(long, value_name = "ID", conflicts_with = "paths")]
    pub trace: Option<String>,
    /// Make the handshake with the backend too, and close the connection at once.
    #[arg(long)]
    pub dial: bool,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// How a trace is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people.
    #[default]
    Text,
    /// JSON as in docs/traces.md.
    Json,
}

/// Exit status of a refusal.
const REFUSED: u8 = 1;

/// Prints the trace and returns the exit status.
///
/// # Errors
///
/// When the arguments are bad, the manifests have no such Gateway, or the gateway does not answer.
pub async fn explain(args: &ExplainArgs) -> anyhow::Result<u8> {
    let trace = ask(args).await?;
    match args.output {
        Format::Text => say(show::text(&trace).trim_end()),
        Format::Json => {
            let json = serde_json::to_string_pretty(&trace)
                .context("failed to write the trace as JSON")?;
            say(&json);
        }
    }
    Ok(match trace.outcome {
        Outcome::Accepted { .. } | Outcome::WouldDial => 0,
        Outcome::Refused(_) => REFUSED,
    })
}

impl ExplainArgs {
    fn state_dir(&self) -> PathBuf {
        state_dir::of(self.running.state_dir.as_deref(), &self.paths)
    }
}

async fn ask(args: &ExplainArgs) -> anyhow::Result<Trace> {
    if !args.paths.is_empty() {
        return manifests::explain(args, question(args)?).await;
    }
    match &args.trace {
        Some(id) => running::trace(&args.running, id).await,
        None => running::explain(&args.running, &question(args)?).await,
    }
}

fn question(args: &ExplainArgs) -> anyhow::Result<Question> {
    let mut headers = Vec::new();
    for line in &args.headers {
        let Some((name, value)) = line.split_once(':') else {
            bail!("-H {line:?}: write NAME: VALUE");
        };
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    if !args.subprotocols.is_empty() {
        let offer = args.subprotocols.join(", ");
        headers.push(("Sec-WebSocket-Protocol".to_owned(), offer));
    }
    Ok(Question {
        url: args.url.clone().context("the URL is missing")?,
        headers,
        key: args.key.clone(),
        client: Some(args.client),
        dial: args.dial,
    })
}

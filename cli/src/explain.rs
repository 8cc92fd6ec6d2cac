//! `tidegate explain`: what becomes of a handshake, step by step, and why.

mod admin;
mod manifests;
mod show;
mod token;

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use tidegate_gateway::Question;
use tidegate_gateway::trace::{Outcome, Trace};

use crate::run::say;

/// Shows what becomes of a handshake, step by step: route, access, policies with what they change,
/// backend, outcome.
///
/// Either with manifests, without any server (--dir), or with the configuration of a running gateway,
/// through its admin port (--gateway): `kubectl port-forward pod/NAME 9090`. The backend is not asked
/// without --dial; what policies ask themselves is asked. Nothing is counted. Secrets are shown as ***.
///
/// A running gateway wants its token. It is taken from the state directory of `tidegate run`, or with the
/// kubeconfig from the Secret GATEWAY-admin, by whoever may read that.
///
/// Exit status: 0 accepted, or would be if the backend agrees; 1 refused; 2 no answer.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("source").required(true))]
pub struct ExplainArgs {
    /// ws:// or wss:// URL, as the client would write it.
    #[arg(required_unless_present = "trace", conflicts_with = "trace")]
    pub url: Option<String>,
    /// Header that the client sends, for example -H 'Authorization: Bearer x'; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// Subscription key, put where the API reads it from.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Take the primary key of this Subscription; with --dir only.
    #[arg(long, value_name = "[NAMESPACE/]NAME", conflicts_with_all = ["key", "gateway"])]
    pub subscription: Option<String>,
    /// Subprotocol that the client offers; may be repeated.
    #[arg(long = "subprotocol", value_name = "NAME")]
    pub subprotocols: Vec<String>,
    /// The client's address.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub client: IpAddr,
    /// File or directory with manifests; may be repeated.
    #[arg(long = "dir", value_name = "PATH", group = "source")]
    pub paths: Vec<PathBuf>,
    /// Take this Gateway of the manifests. Default: the first that has a route for the URL.
    #[arg(long, value_name = "[NAMESPACE/]NAME", requires = "paths")]
    pub on: Option<String>,
    /// Where `tidegate run` keeps generated subscription keys and the token of its admin servers.
    #[arg(long, default_value = ".tidegate", value_name = "DIR")]
    pub state_dir: PathBuf,
    /// Admin server of a running gateway, for example http://127.0.0.1:9090.
    #[arg(long, value_name = "URL", group = "source")]
    pub gateway: Option<String>,
    /// File with the token of that gateway, instead of looking for it.
    #[arg(long, value_name = "FILE", requires = "gateway")]
    pub token_file: Option<PathBuf>,
    /// Show the trace of a live handshake: the Tidegate-Trace-Id of its answer.
    #[arg(long, value_name = "ID", requires = "gateway")]
    pub trace: Option<String>,
    /// Ask the backend, too, and hang up at once.
    #[arg(long)]
    pub dial: bool,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// How a trace is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// As docs/traces.md describes it.
    Json,
}

/// Exit status of a refusal.
const REFUSED: u8 = 1;

/// Asks and prints; the exit status.
pub async fn explain(args: &ExplainArgs) -> anyhow::Result<u8> {
    let trace = ask(args).await?;
    match args.output {
        Format::Text => say(show::text(&trace).trim_end()),
        Format::Json => {
            let json = serde_json::to_string_pretty(&trace).context("a trace is no JSON")?;
            say(&json);
        }
    }
    Ok(match trace.outcome {
        Outcome::Accepted { .. } | Outcome::WouldDial => 0,
        Outcome::Refused(_) => REFUSED,
    })
}

async fn ask(args: &ExplainArgs) -> anyhow::Result<Trace> {
    let Some(url) = &args.gateway else {
        return manifests::explain(args, question(args)?).await;
    };
    let server = admin::Server {
        url,
        token_file: args.token_file.as_deref(),
        state_dir: &args.state_dir,
    };
    match &args.trace {
        Some(id) => server.trace(id).await,
        None => server.explain(&question(args)?).await,
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
        url: args.url.clone().context("which URL?")?,
        headers,
        key: args.key.clone(),
        client: Some(args.client),
        dial: args.dial,
    })
}

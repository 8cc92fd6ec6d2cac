//! `tidegate tunnels`: the live tunnels of running gateways.

mod close;
mod list;
mod row;

use std::net::IpAddr;

use clap::{Args, Subcommand};
use tidegate_config::CloseCode;
use tidegate_gateway::TunnelQuery;

use crate::print::Format;
use crate::running::RunningArgs;

/// Lists and closes live tunnels.
#[derive(Debug, Args)]
pub struct TunnelsArgs {
    #[command(subcommand)]
    command: TunnelsCommand,
}

#[derive(Debug, Subcommand)]
enum TunnelsCommand {
    List(ListArgs),
    Close(CloseArgs),
}

/// Lists live tunnels, the oldest of each gateway first.
///
/// Asks every pod, through the API server as `kubectl port-forward` does: that needs the rights to list pods, to create
/// pods/portforward, and to read the Secret GATEWAY-admin. The gateways of `tidegate run` are named with --gateway.
///
/// Exit status: 0; 1 when a gateway did not answer; 2 when the command cannot run.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").multiple(true))]
struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Tunnels of each gateway at most; 0: all.
    #[arg(long, default_value_t = 500, value_name = "NUMBER")]
    limit: usize,
    #[command(flatten)]
    running: RunningArgs,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
    /// Go on, and print tunnels that open, carry something, or end.
    #[arg(long, short)]
    watch: bool,
}

/// Closes live tunnels. What opened them stays valid: clients may connect again, unless you suspend the subscription.
///
/// Exit status: 0 when tunnels were closed; 1 when there was none, or a gateway did not answer; 2 when the command
/// cannot run.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true))]
struct CloseArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Close every tunnel.
    #[arg(
        long,
        group = "which",
        conflicts_with_all = ["id", "api", "product", "subscription", "listener", "client"],
    )]
    all: bool,
    /// Close code for the clients.
    #[arg(long, default_value = "1001", value_name = "CODE", value_parser = close_code)]
    code: CloseCode,
    /// Text of the Close, at most 123 bytes.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
    #[command(flatten)]
    running: RunningArgs,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// Which tunnels: those that have everything that is named.
#[derive(Debug, Args)]
struct FilterArgs {
    /// The tunnel with this id, as in the access log.
    #[arg(long, group = "which", value_name = "ID")]
    id: Option<String>,
    /// Tunnels of this API.
    #[arg(long, group = "which", value_name = "[NAMESPACE/]NAME")]
    api: Option<String>,
    /// Tunnels in this product's scope.
    #[arg(long, group = "which", value_name = "[NAMESPACE/]NAME")]
    product: Option<String>,
    /// Tunnels with a key of this subscription.
    #[arg(long, group = "which", value_name = "[NAMESPACE/]NAME")]
    subscription: Option<String>,
    /// Tunnels through this listener.
    #[arg(long, group = "which", value_name = "NAME")]
    listener: Option<String>,
    /// Tunnels of this client address, as trusted proxies name it.
    #[arg(long, group = "which", value_name = "ADDRESS")]
    client: Option<IpAddr>,
}

impl FilterArgs {
    /// Objects without a namespace are in `namespace`.
    fn query(&self, namespace: &str) -> TunnelQuery {
        let key = |name: &Option<String>| {
            let name = name.as_ref()?;
            match name.contains('/') {
                true => Some(name.clone()),
                false => Some(format!("{namespace}/{name}")),
            }
        };
        TunnelQuery {
            id: self.id.clone(),
            api: key(&self.api),
            product: key(&self.product),
            subscription: key(&self.subscription),
            listener: self.listener.clone(),
            client: self.client,
        }
    }
}

fn close_code(text: &str) -> Result<CloseCode, String> {
    let number: u16 = text.parse().map_err(|_| "write a number".to_owned())?;
    CloseCode::try_from(number).map_err(|error| error.to_string())
}

fn reason(text: &str) -> Result<String, String> {
    match text.len() {
        0..=123 => Ok(text.to_owned()),
        length => Err(format!("it has {length} bytes, a Close takes 123 at most")),
    }
}

/// Runs the command and returns the exit status.
///
/// # Errors
///
/// When no gateway is found.
pub async fn tunnels(args: &TunnelsArgs) -> anyhow::Result<u8> {
    match &args.command {
        TunnelsCommand::List(args) => list::list(args).await,
        TunnelsCommand::Close(args) => close::close(args).await,
    }
}

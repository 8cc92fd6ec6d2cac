//! `tidegate echo`: the echo server as a program.

use std::net::SocketAddr;

use clap::Args;

use crate::echo_server::{EchoServer, Greeting};
use crate::run::{StopSignal, say};

/// Runs a WebSocket server that returns every message, as a backend for experiments.
///
/// Prints the bound address. Stop it with SIGTERM or Ctrl-C.
#[derive(Debug, Args)]
pub struct EchoArgs {
    /// Address and port to listen on. Port 0 takes any free port.
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS:PORT")]
    pub address: SocketAddr,
    /// Send each client the target and the headers of its handshake first, as a text message with JSON. They
    /// may hold secrets.
    #[arg(long)]
    pub headers: bool,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
///
/// When the address cannot be bound.
pub async fn run_echo(args: &EchoArgs) -> anyhow::Result<()> {
    let mut stop = StopSignal::new()?;
    let greeting = match args.headers {
        true => Greeting::Headers,
        false => Greeting::None,
    };
    let server = EchoServer::start(args.address, greeting)?;
    say(&format!("echo ws://{}", server.address()));
    stop.received().await;
    Ok(())
}

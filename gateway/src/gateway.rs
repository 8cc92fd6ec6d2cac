//! A running gateway, for the binary and for whoever embeds it.
//!
//! What it serves comes through a channel; everything here happens on the caller's runtime and
//! never on a worker: taking over configurations, listening, the admin server, the way down.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use crate::configuration::Problem;
use crate::http_client::admin_ports::AdminPorts;
use crate::listener::Ports;
use crate::telemetry::metrics::Metrics;

mod admin;
mod dependencies;
mod explain;
mod handle;
mod state;
mod takeover;

pub use explain::{ExplainError, Explained, explain};
pub use handle::{Gateway, StartError};
pub(crate) use state::State;

/// How to run a gateway; what it serves comes through the updates.
#[derive(Debug)]
pub struct Options {
    /// Listeners bind here.
    pub bind_address: IpAddr,
    /// Which ports they bind.
    pub ports: Ports,
    /// Where the admin server listens; `None`: nowhere.
    pub admin_address: Option<SocketAddr>,
    /// File with the token that the admin server wants from whoever asks for more than probes and
    /// metrics; read again for every such request. `None`: nobody is told.
    pub admin_token_file: Option<PathBuf>,
    /// Ports of the admin servers of this process, which nothing that this gateway asks may lead to.
    pub admin_ports: AdminPorts,
    /// Threads that carry connections; 0: as many as cores.
    pub workers: usize,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
    /// File that keeps what quotas have counted over a restart; `None`: they start anew.
    pub quota_file: Option<PathBuf>,
    /// Directory with tokens of the pod's service account, one file for each audience; `None`: it
    /// has none.
    pub token_directory: Option<PathBuf>,
    /// What the source complains about, when there is a source that can.
    pub problems: Option<watch::Receiver<Option<Problem>>>,
}

impl Options {
    /// On the loopback address and free ports, without an admin server.
    pub fn local() -> Self {
        Self {
            bind_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: Ports::Ephemeral,
            admin_address: None,
            admin_token_file: None,
            admin_ports: AdminPorts::default(),
            workers: 0,
            metrics: Metrics::new(),
            quota_file: None,
            token_directory: None,
            problems: None,
        }
    }
}

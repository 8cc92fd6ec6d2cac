//! A running gateway, for the binary and for embedders.
//!
//! Its configurations come through a channel. Everything here runs on the caller's runtime, never on a
//! worker: applying configurations, listening, the admin server, the shutdown.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use crate::configuration::Problem;
use crate::http_client::admin_ports::AdminPorts;
use crate::listener::Ports;
use crate::telemetry::metrics::Metrics;

mod admin;
mod config_applier;
mod dependencies;
mod explain;
mod handle;
mod state;
mod tunnels;

pub use explain::{ExplainError, Explained, explain};
pub use handle::{Gateway, StartError};
pub(crate) use state::GatewayState;
pub use tunnels::{
    CloseTunnels, ClosedTunnels, InvalidRequest, Traffic, TunnelEntry, TunnelPage, TunnelQuery,
};

/// How to run a gateway; its configurations come through the updates.
#[derive(Debug)]
pub struct Options {
    /// Listeners bind here.
    pub bind_address: IpAddr,
    /// Which ports they bind.
    pub ports: Ports,
    /// Where the admin server listens; `None`: nowhere.
    pub admin_address: Option<SocketAddr>,
    /// File with the token that the admin server requires for everything except probes and metrics; read again
    /// for every such request. `None`: those requests are refused.
    pub admin_token_file: Option<PathBuf>,
    /// Ports of the admin servers of this process; policies and backends cannot connect to them.
    pub admin_ports: AdminPorts,
    /// Threads that serve connections; 0: one per core.
    pub workers: usize,
    /// Where it counts its metrics.
    pub metrics: Arc<Metrics>,
    /// File that keeps the counts of quotas over a restart; `None`: they start at 0.
    pub quota_file: Option<PathBuf>,
    /// Directory with tokens of the pod's service account, one file per audience; `None`: there are none.
    pub token_directory: Option<PathBuf>,
    /// Problems of the configuration's source, if the source reports any.
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

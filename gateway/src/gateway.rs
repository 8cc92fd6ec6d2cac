//! A running gateway, for the binary and for whoever embeds it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tidegate_config::{Protocol, Rejected};
use tokio::sync::watch;

use crate::metrics::Metrics;

/// Which port a listener binds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ports {
    /// The one that its configuration names.
    #[default]
    AsConfigured,
    /// Any free one: for tests and demos.
    Ephemeral,
}

/// How to run a gateway; what it serves comes through the updates.
#[derive(Debug)]
pub struct Options {
    /// Listeners bind here.
    pub bind_address: IpAddr,
    /// Which ports they bind.
    pub ports: Ports,
    /// Where the admin server listens; `None`: nowhere.
    pub admin_address: Option<SocketAddr>,
    /// Threads that carry connections; 0: as many as cores.
    pub workers: usize,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
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
            workers: 0,
            metrics: Metrics::new(),
            problems: None,
        }
    }
}

/// Why a source can not give its newest revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Label of `tidegate_config_errors_total`; one of a closed set.
    pub reason: &'static str,
    /// What is wrong, for people.
    pub message: String,
}

/// A listener and the address it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundListener {
    /// Its name in the configuration.
    pub name: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it listens.
    pub address: SocketAddr,
}

/// What the gateway serves at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The revision in use; 0: none yet.
    pub revision: u64,
    /// Objects of it that did not compile.
    pub rejected: Vec<Rejected>,
    /// Is that the newest revision the source has?
    pub synchronized: bool,
    /// When not: why.
    pub error: Option<String>,
}

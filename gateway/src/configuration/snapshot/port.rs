//! Listeners that share a port: told apart by the name that a client asks for.

use std::sync::Arc;

use tidegate_config::{ListenerConfig, Protocol, UrlScheme};

use super::Api;
use crate::configuration::route::{HostTable, Router};
use crate::tls::ServerTls;

/// One listener.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) config: ListenerConfig,
    /// Set when the protocol is WSS.
    pub(crate) tls: Option<Arc<ServerTls>>,
    pub(crate) router: Router<Arc<Api>>,
}

/// Protocol and PROXY setting of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PortProtocol {
    protocol: Protocol,
    proxy_protocol: bool,
}

/// All listeners of one port.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) protocol: Protocol,
    /// Does every connection begin with a PROXY header?
    pub(crate) proxy_protocol: bool,
    /// In the order of the configuration; never empty.
    pub(crate) listeners: Vec<Arc<Listener>>,
    by_host: HostTable<Option<usize>>,
}

impl Port {
    /// A port with its first listener.
    pub(super) fn new(listener: Listener) -> Self {
        let mut port = Self {
            protocol: listener.config.protocol,
            proxy_protocol: listener.config.proxy_protocol,
            listeners: Vec::new(),
            by_host: HostTable::default(),
        };
        port.add(listener);
        port
    }

    /// Protocol and PROXY setting.
    pub(crate) const fn port_protocol(&self) -> PortProtocol {
        PortProtocol {
            protocol: self.protocol,
            proxy_protocol: self.proxy_protocol,
        }
    }

    /// Does a connection begin the same way for this listener as for the others here?
    pub(super) fn suits(&self, config: &ListenerConfig) -> bool {
        self.protocol == config.protocol && self.proxy_protocol == config.proxy_protocol
    }

    /// One more listener that [`suits`](Self::suits). Of two for the same host the first answers.
    pub(super) fn add(&mut self, listener: Listener) {
        let at = self.listeners.len();
        if listener.config.hostnames.is_empty() {
            self.by_host.any().get_or_insert(at);
        }
        for host in &listener.config.hostnames {
            self.by_host.entry(host).get_or_insert(at);
        }
        self.listeners.push(Arc::new(listener));
    }

    /// The listener for a host (lower case, without port): the most specific one only.
    pub(crate) fn listener(&self, host: &str) -> Option<&Arc<Listener>> {
        let at = self.by_host.matching(host).flatten().next()?;
        self.listeners.get(*at)
    }

    /// TLS for a client that asks for `name`: of the listener for that name, or of the first.
    pub(crate) fn tls(&self, name: Option<&str>) -> Option<&Arc<ServerTls>> {
        let listener = name.and_then(|name| self.listener(&name.to_ascii_lowercase()));
        listener.or(self.listeners.first())?.tls.as_ref()
    }

    /// May a client speak HTTP/2 before its host is known?
    pub(crate) fn http2(&self) -> bool {
        self.listeners.iter().any(|listener| listener.config.http2)
    }

    /// The scheme of URLs that lead to this port.
    pub(crate) fn scheme(&self) -> UrlScheme {
        match self.protocol {
            Protocol::Ws => UrlScheme::Ws,
            Protocol::Wss => UrlScheme::Wss,
        }
    }
}

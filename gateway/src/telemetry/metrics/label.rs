//! The closed sets of label values.

/// How a handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandshakeResult {
    /// 101.
    Accepted,
    /// Refused by the gateway or the backend.
    Refused,
    /// Something did not work: the backend could not be reached, the client went away.
    Failed,
}

impl HandshakeResult {
    /// The label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Why a connection is closed before a handshake begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// Its address has many more than `maxConnectionsPerIp` allows.
    AddressLimit,
    /// It was pending and was evicted for another connection.
    MadeRoom,
    /// There was no descriptor left.
    NoDescriptor,
}

impl Rejection {
    pub(super) const ALL: [Self; 3] = [Self::AddressLimit, Self::MadeRoom, Self::NoDescriptor];

    /// The label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AddressLimit => "address_limit",
            Self::MadeRoom => "made_room",
            Self::NoDescriptor => "no_descriptor",
        }
    }
}

/// A part of a handshake whose time is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// TLS with the client.
    Tls,
    /// Reading the request head.
    Head,
    /// Access and inbound policies.
    Inbound,
    /// Connecting to the backend, its TLS included.
    Connect,
    /// The backend's answer, from the request written to the head read.
    Backend,
    /// Outbound policies and writing the answer.
    Outbound,
    /// Everything, from the accepted connection to the answer written.
    Total,
}

impl Phase {
    /// The label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Head => "head",
            Self::Inbound => "inbound",
            Self::Connect => "connect",
            Self::Backend => "backend",
            Self::Outbound => "outbound",
            Self::Total => "total",
        }
    }
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    /// From the client to the backend.
    ToBackend,
    /// From the backend to the client.
    ToClient,
}

impl Direction {
    pub(super) const ALL: [Self; 2] = [Self::ToBackend, Self::ToClient];

    /// The label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ToBackend => "to_backend",
            Self::ToClient => "to_client",
        }
    }
}

/// Peers choose codes from 3000 on freely, so these share a label (RFC 6455 §7.4.2).
pub(super) fn code_label(code: Option<u16>) -> &'static str {
    match code {
        None => "none",
        Some(1000) => "1000",
        Some(1001) => "1001",
        Some(1002) => "1002",
        Some(1003) => "1003",
        Some(1007) => "1007",
        Some(1008) => "1008",
        Some(1009) => "1009",
        Some(1010) => "1010",
        Some(1011) => "1011",
        Some(1012) => "1012",
        Some(1013) => "1013",
        Some(1014) => "1014",
        Some(3000..=3999) => "3xxx",
        Some(4000..=4999) => "4xxx",
        Some(_) => "other",
    }
}

/// Members that get no handshakes at the moment, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UnavailableBackends {
    pub(crate) circuit_open: u32,
    /// By active checks.
    pub(crate) unhealthy: u32,
    pub(crate) ejected: u32,
}

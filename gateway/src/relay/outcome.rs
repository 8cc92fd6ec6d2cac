//! How a tunnel ended, and what went through it.

use std::time::Duration;

/// One of the two peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Who connected to us.
    Client,
    /// Whom we connected to.
    Backend,
}

impl Side {
    /// The one across.
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Backend,
            Self::Backend => Self::Client,
        }
    }
}

/// Who ended a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Initiator {
    /// The client, by a Close or by going away.
    Client,
    /// The backend, by a Close or by going away.
    Backend,
    /// We did.
    Gateway,
}

impl Initiator {
    /// As metric label and log field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Backend => "backend",
            Self::Gateway => "gateway",
        }
    }
}

impl From<Side> for Initiator {
    fn from(side: Side) -> Self {
        match side {
            Side::Client => Self::Client,
            Side::Backend => Self::Backend,
        }
    }
}

/// Messages and bytes that one side sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Text messages (first frames).
    pub text: u64,
    /// Binary messages (first frames).
    pub binary: u64,
    /// Continuation frames.
    pub fragments: u64,
    /// Pings.
    pub pings: u64,
    /// Pongs, without those that answer our own pings.
    pub pongs: u64,
    /// Close frames.
    pub closes: u64,
    /// Bytes on the wire (inside TLS) that were passed on.
    pub bytes: u64,
}

impl Counts {
    /// What came since they were `before`.
    pub(super) const fn since(&self, before: &Self) -> Self {
        Self {
            text: self.text - before.text,
            binary: self.binary - before.binary,
            fragments: self.fragments - before.fragments,
            pings: self.pings - before.pings,
            pongs: self.pongs - before.pongs,
            closes: self.closes - before.closes,
            bytes: self.bytes - before.bytes,
        }
    }
}

/// Learns what goes through a tunnel while it lives: after every burst, not after every frame.
pub trait Meter: Send + Sync {
    /// `sender` sent so much more.
    fn passed(&self, sender: Side, more: &Counts);
}

/// How a tunnel ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Who ended it.
    pub initiator: Initiator,
    /// Why.
    pub cause: CloseCause,
    /// Code of the first Close on the client's leg, in whichever direction.
    pub client_code: Option<u16>,
    /// Code of the first Close on the backend's leg, in whichever direction.
    pub backend_code: Option<u16>,
    /// The peer's reason text, or ours.
    pub reason: String,
    /// What the client sent.
    pub from_client: Counts,
    /// What the backend sent.
    pub from_backend: Counts,
    /// How long the tunnel lived.
    pub duration: Duration,
}

/// Why a tunnel ended. The closed set behind the metric label and the log field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseCause {
    /// The client sent a Close.
    ClientClosed,
    /// The backend sent a Close.
    BackendClosed,
    /// The client went away without a Close.
    ClientLost,
    /// The backend went away without a Close.
    BackendLost,
    /// No bytes in either direction for too long.
    Idle,
    /// The tunnel reached its maximum age.
    MaxDuration,
    /// A side did not answer a ping.
    PongTimeout,
    /// This gateway pod goes away.
    Drain,
    /// The API changed, and says that its tunnels then go.
    ApiChanged,
    /// The API is no longer on this gateway or listener.
    ApiRemoved,
    /// The token expired.
    TokenExpired,
    /// The subscription expired.
    SubscriptionExpired,
    /// The subscription is gone or does not open this API any more.
    SubscriptionEnded,
    /// The key that opened the tunnel is not valid any more.
    KeyRotated,
    /// The product is gone or does not contain this API any more.
    ProductEnded,
    /// A message above the limit.
    MessageTooBig,
    /// Messages above the rate.
    MessageRate,
    /// Bytes above the rate.
    ByteRate,
    /// The bandwidth quota is used up.
    QuotaExceeded,
    /// A side took no byte for too long.
    WriteStall,
    /// A side broke RFC 6455.
    ProtocolViolation,
    /// Time was up: the sockets were cut.
    Cut,
    /// The gateway is at fault.
    Fault,
}

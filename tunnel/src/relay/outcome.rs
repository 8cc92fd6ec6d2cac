//! How a tunnel ended, and what went through it.

use std::ops::{Index, IndexMut};
use std::time::Duration;

use crate::close_cause::CloseCause;

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

/// What kind of frame passes: the five of Azure API Management's pages, and what keeps a connection
/// alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// A text message (its first frame).
    #[default]
    Text,
    /// A binary message (its first frame).
    Binary,
    /// A further frame of a text message.
    TextFragment,
    /// A further frame of a binary message.
    BinaryFragment,
    /// A ping.
    Ping,
    /// A pong.
    Pong,
    /// A close.
    Close,
}

impl FrameKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Text,
        Self::Binary,
        Self::TextFragment,
        Self::BinaryFragment,
        Self::Ping,
        Self::Pong,
        Self::Close,
    ];

    /// As metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Binary => "binary",
            Self::TextFragment => "text_fragment",
            Self::BinaryFragment => "binary_fragment",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Close => "close",
        }
    }
}

/// A number for each kind of frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerKind([u64; FrameKind::ALL.len()]);

impl PerKind {
    /// Of all kinds together.
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    fn since(&self, before: &Self) -> Self {
        Self(std::array::from_fn(|kind| self.0[kind] - before.0[kind]))
    }
}

impl<const N: usize> From<[(FrameKind, u64); N]> for PerKind {
    fn from(numbers: [(FrameKind, u64); N]) -> Self {
        let mut all = Self::default();
        for (kind, number) in numbers {
            all[kind] += number;
        }
        all
    }
}

impl Index<FrameKind> for PerKind {
    type Output = u64;

    fn index(&self, kind: FrameKind) -> &u64 {
        &self.0[kind as usize]
    }
}

impl IndexMut<FrameKind> for PerKind {
    fn index_mut(&mut self, kind: FrameKind) -> &mut u64 {
        &mut self.0[kind as usize]
    }
}

/// Frames and bytes that one side sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames; pongs without those that answer our own pings.
    pub frames: PerKind,
    /// Bytes on the wire (inside TLS) that were passed on, headers included.
    pub bytes: PerKind,
}

impl Counts {
    /// Messages that began.
    pub fn messages(&self) -> u64 {
        self.frames[FrameKind::Text] + self.frames[FrameKind::Binary]
    }

    /// What came since they were `before`.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            frames: self.frames.since(&before.frames),
            bytes: self.bytes.since(&before.bytes),
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

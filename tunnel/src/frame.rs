//! WebSocket frames seen from between the two endpoints (RFC 6455 §5): only their headers.
//!
//! A [`Tracker`] follows one direction of a tunnel. It keeps no bytes: its caller shows it the
//! input again from the first byte that did not become a whole header. Payload is never unmasked,
//! copied or joined; only Close frames, and pongs that may be ours, are read (`control`).

mod control;
#[cfg(test)]
mod tests;

pub(crate) use control::{Close, carries, read_close, write_ping};
pub use control::{write_close, write_text};

/// Longest payload of a control frame (RFC 6455 §5.5).
pub(crate) const MAX_CONTROL: usize = 125;

/// What a frame is (RFC 6455 §11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    const fn parse(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    pub(crate) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) fin: bool,
    pub(crate) opcode: Opcode,
    pub(crate) mask: Option<[u8; 4]>,
    /// Bytes of payload.
    pub(crate) length: u64,
    /// Bytes of the header itself.
    pub(crate) size: usize,
}

impl Header {
    /// Bytes of a control frame, header and payload.
    pub(crate) fn control_size(&self) -> usize {
        debug_assert!(self.opcode.is_control() && self.length <= MAX_CONTROL as u64);
        self.size + self.length as usize
    }
}

/// What is wrong with a frame. Every one of these is answered with Close 1002.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// RSV bits without an extension (§5.2).
    ReservedBits,
    /// Opcodes 3–7 and 11–15 (§5.2).
    ReservedOpcode,
    /// A frame of a client without a mask (§5.1).
    NotMasked,
    /// A frame of a server with a mask (§5.1).
    Masked,
    /// A control frame without FIN (§5.5).
    FragmentedControl,
    /// A control frame above 125 bytes (§5.5).
    LongControl,
    /// A 64-bit length with its highest bit set (§5.2).
    Length,
    /// A continuation of nothing (§5.4).
    StrayContinuation,
    /// A new message inside a fragmented one (§5.4).
    InterruptedMessage,
    /// A Close with half a code, or one that may not be sent (§7.4).
    CloseCode,
    /// A Close with a reason that is not UTF-8 (§5.5.1).
    CloseReason,
}

impl Violation {
    /// For the Close frame and the log.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::ReservedBits => "reserved bits without an extension",
            Self::ReservedOpcode => "reserved opcode",
            Self::NotMasked => "frame is not masked",
            Self::Masked => "frame is masked",
            Self::FragmentedControl => "fragmented control frame",
            Self::LongControl => "control frame is too long",
            Self::Length => "frame length is out of range",
            Self::StrayContinuation => "continuation of nothing",
            Self::InterruptedMessage => "new message inside a fragmented one",
            Self::CloseCode => "invalid close code",
            Self::CloseReason => "close reason is not UTF-8",
        }
    }
}

/// Where one direction of a tunnel stands.
#[derive(Clone, Debug)]
pub(crate) struct Tracker {
    /// Frames of this direction carry a mask: it is the client's.
    masked: bool,
    /// An extension was agreed on, so RSV bits may mean something to the endpoints.
    extensions: bool,
    /// Bytes to come of the current frame's payload.
    payload: u64,
    /// Bytes so far of the message whose last fragment has not come.
    message: Option<u64>,
    /// Is the message that came last binary?
    binary: bool,
}

impl Tracker {
    pub(crate) const fn new(masked: bool, extensions: bool) -> Self {
        Self {
            masked,
            extensions,
            payload: 0,
            message: None,
            binary: false,
        }
    }

    /// Would a frame that is injected here stand between two others?
    pub(crate) const fn at_boundary(&self) -> bool {
        self.payload == 0
    }

    /// Takes up to `available` bytes of the current frame's payload; says how many.
    pub(crate) fn take_payload(&mut self, available: usize) -> usize {
        let taken = self.payload.min(available as u64);
        self.payload -= taken;
        taken as usize
    }

    /// Reads the header at the start of `input`; `None` when it is not whole. What two bytes
    /// already tell is judged at once. Nothing is taken: see [`enter`](Self::enter).
    pub(crate) fn header(&self, input: &[u8]) -> Result<Option<Header>, Violation> {
        let &[first, second, ref rest @ ..] = input else {
            return Ok(None);
        };
        let (opcode, fin) = self.judge_first(first)?;
        let masked = second & 0x80 != 0;
        if masked != self.masked {
            return Err(if masked {
                Violation::Masked
            } else {
                Violation::NotMasked
            });
        }
        let short = second & 0x7F;
        if opcode.is_control() && short as usize > MAX_CONTROL {
            return Err(Violation::LongControl);
        }
        let Some((length, rest)) = read_length(short, rest) else {
            return Ok(None);
        };
        // Judged before the mask has come: the endpoint behind us might read it as a negative number.
        if length >> 63 != 0 {
            return Err(Violation::Length);
        }
        let mask = match (masked, rest.first_chunk::<4>()) {
            (true, None) => return Ok(None),
            (true, Some(mask)) => Some(*mask),
            (false, _) => None,
        };
        let size = input.len() - rest.len() + mask.map_or(0, |mask| mask.len());
        Ok(Some(Header {
            fin,
            opcode,
            mask,
            length,
            size,
        }))
    }

    fn judge_first(&self, first: u8) -> Result<(Opcode, bool), Violation> {
        if first & 0x70 != 0 && !self.extensions {
            return Err(Violation::ReservedBits);
        }
        let fin = first & 0x80 != 0;
        let opcode = Opcode::parse(first & 0x0F).ok_or(Violation::ReservedOpcode)?;
        match (opcode, self.message) {
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) if !fin => {
                Err(Violation::FragmentedControl)
            }
            (Opcode::Continuation, None) => Err(Violation::StrayContinuation),
            (Opcode::Text | Opcode::Binary, Some(_)) => Err(Violation::InterruptedMessage),
            _ => Ok((opcode, fin)),
        }
    }

    /// Is the message binary whose last fragment has not come?
    pub(crate) const fn in_binary(&self) -> bool {
        self.binary
    }

    /// How large the message is with this frame; 0 for control frames.
    pub(crate) fn message_size_with(&self, header: &Header) -> u64 {
        if header.opcode.is_control() {
            return 0;
        }
        // Three fragments of almost 2⁶³ bytes would overflow to a small message.
        self.message
            .unwrap_or_default()
            .saturating_add(header.length)
    }

    /// Enters a frame: its header is taken, its payload comes next.
    pub(crate) fn enter(&mut self, header: &Header) {
        self.payload = header.length;
        if !header.opcode.is_control() {
            let size = self.message_size_with(header);
            self.message = (!header.fin).then_some(size);
            self.binary = match header.opcode {
                Opcode::Continuation => self.binary,
                opcode => opcode == Opcode::Binary,
            };
        }
    }
}

/// The length that the 7 bits announce, and what follows it; `None` when it is not whole.
fn read_length(short: u8, rest: &[u8]) -> Option<(u64, &[u8])> {
    match short {
        126 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            Some((u16::from_be_bytes(*length).into(), rest))
        }
        127 => {
            let (length, rest) = rest.split_first_chunk::<8>()?;
            Some((u64::from_be_bytes(*length), rest))
        }
        short => Some((short.into(), rest)),
    }
}

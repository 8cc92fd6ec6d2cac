//! WebSocket frames (RFC 6455 §5.2).

use std::fmt;

/// Opcodes.
pub const CONTINUATION: u8 = 0x0;
/// A text message or its first fragment.
pub const TEXT: u8 = 0x1;
/// A binary message or its first fragment.
pub const BINARY: u8 = 0x2;
/// Close.
pub const CLOSE: u8 = 0x8;
/// Ping.
pub const PING: u8 = 0x9;
/// Pong.
pub const PONG: u8 = 0xA;

/// In the first byte: the last frame of its message.
pub const FIN: u8 = 0x80;
/// In the second byte: a masking key follows.
const MASKED: u8 = 0x80;

/// One frame, its payload unmasked.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// Last frame of its message?
    pub fin: bool,
    /// First reserved bit: set by permessage-deflate.
    pub rsv1: bool,
    /// What it is.
    pub opcode: u8,
    /// The masking key, in frames from a client.
    pub mask: Option<[u8; 4]>,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A whole message or control frame, not masked.
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            fin: true,
            rsv1: false,
            opcode,
            mask: None,
            payload: payload.into(),
        }
    }

    /// A text message.
    pub fn text(text: &str) -> Self {
        Self::new(TEXT, text)
    }

    /// A Close with code and reason.
    pub fn close(code: u16, reason: &str) -> Self {
        Self::new(CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
    }

    /// The same as a fragment that others follow.
    pub fn unfinished(self) -> Self {
        Self { fin: false, ..self }
    }

    /// The same as a client sends it.
    pub fn masked(self) -> Self {
        let mask = Some(rand::random());
        Self { mask, ..self }
    }

    /// The same as the other side of a proxy sees it, which masks for itself.
    pub fn unmasked(self) -> Self {
        Self { mask: None, ..self }
    }

    /// The frame that an echo returns, as a server sends it: the same one, or a pong for a ping.
    pub fn echoed(mut self) -> Self {
        if self.opcode == PING {
            self.opcode = PONG;
        }
        self.unmasked()
    }

    /// Code and reason when it is a Close; code 1005 without one (RFC 6455 §7.1.5).
    pub fn closing(&self) -> Option<(u16, String)> {
        if self.opcode != CLOSE {
            return None;
        }
        let code = self.payload.first_chunk().map(|c| u16::from_be_bytes(*c));
        let reason = self.payload.get(2..).unwrap_or_default();
        let reason = String::from_utf8_lossy(reason).into_owned();
        Some((code.unwrap_or(1005), reason))
    }

    /// As it stands on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let first = u8::from(self.fin) << 7 | u8::from(self.rsv1) << 6 | self.opcode;
        encode(first, &self.payload, self.mask)
    }

    /// The first frame in `bytes` and its length there; `None` when it is not whole yet.
    pub fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        let (length, mut at) = match second & !MASKED {
            126 => (u64::from(u16::from_be_bytes(array(bytes, 2)?)), 4),
            127 => (u64::from_be_bytes(array(bytes, 2)?), 10),
            short => (u64::from(short), 2),
        };
        let mask = match second & MASKED {
            0 => None,
            _ => Some(array(bytes, at)?),
        };
        at += mask.map_or(0, |mask| mask.len());
        let end = at.checked_add(usize::try_from(length).ok()?)?;
        let frame = Self {
            fin: first & FIN != 0,
            rsv1: first & 0x40 != 0,
            opcode: first & 0x0f,
            mask,
            payload: apply_mask(mask, bytes.get(at..end)?).collect(),
        };
        Some((frame, end))
    }
}

/// Long payloads are shortened.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 60;
        let kind = match self.opcode {
            CONTINUATION => "continuation",
            TEXT => "text",
            BINARY => "binary",
            CLOSE => "close",
            PING => "ping",
            PONG => "pong",
            _ => "reserved",
        };
        let fin = if self.fin { "" } else { " unfinished" };
        let rsv = if self.rsv1 { " rsv1" } else { "" };
        let length = self.payload.len();
        let start = String::from_utf8_lossy(&self.payload[..length.min(SHOWN)]);
        write!(f, "{kind}{fin}{rsv} of {length} bytes {start:?}")
    }
}

/// A frame with this first byte (FIN, reserved bits, opcode) as it stands on the wire, its length as short
/// as it can be written.
pub fn encode(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if mask.is_some() { MASKED } else { 0 };
    let length = payload.len();
    let mut bytes = Vec::with_capacity(length + 14);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => bytes.extend([first, masked | short]),
        (_, Ok(medium)) => {
            bytes.extend([first, masked | 126]);
            bytes.extend(medium.to_be_bytes());
        }
        _ => {
            bytes.extend([first, masked | 127]);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(mask.iter().flatten());
    bytes.extend(apply_mask(mask, payload));
    bytes
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn apply_mask(mask: Option<[u8; 4]>, payload: &[u8]) -> impl Iterator<Item = u8> {
    let key = mask.unwrap_or_default().into_iter().cycle();
    payload.iter().zip(key).map(|(byte, key)| byte ^ key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_as_short_as_it_can_be_and_is_read_back() {
        for (length, header) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let mut frame = Frame::new(BINARY, vec![7; length]).unfinished();
                frame.mask = mask;
                let mut bytes = frame.bytes();
                let whole = header + mask.map_or(0, |mask| mask.len()) + length;
                assert_eq!(bytes.len(), whole);
                assert_eq!(Frame::parse(&bytes[..whole - 1]), None);
                bytes.extend([1, 2, 3]);
                assert_eq!(Frame::parse(&bytes), Some((frame, whole)));
            }
        }
    }

    #[test]
    fn a_length_beyond_reason_is_not_whole() {
        let header = [0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(Frame::parse(&header), None);
    }

    #[test]
    fn a_close_says_its_code_and_reason() {
        let said = Frame::close(4001, "bye").closing();
        assert_eq!(said, Some((4001, "bye".to_owned())));
        assert_eq!(Frame::new(CLOSE, []).closing(), Some((1005, String::new())));
        assert_eq!(Frame::text("bye").closing(), None);
    }
}

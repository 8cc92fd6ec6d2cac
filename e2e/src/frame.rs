//! WebSocket frames byte for byte (RFC 6455 §5.2), for tests that look at the wire.

use anyhow::ensure;

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

/// One frame, its payload unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend(reason.as_bytes());
        Self::new(CLOSE, payload)
    }

    /// The same as a fragment that others follow.
    pub fn unfinished(self) -> Self {
        Self { fin: false, ..self }
    }

    /// The same with the bit that permessage-deflate sets.
    pub fn compressed(self) -> Self {
        Self { rsv1: true, ..self }
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

    /// Code and reason of a Close.
    pub fn closing(&self) -> anyhow::Result<(u16, String)> {
        ensure!(self.opcode == CLOSE, "not a Close: {self:?}");
        ensure!(self.payload.len() >= 2, "a Close without code");
        let code = u16::from_be_bytes([self.payload[0], self.payload[1]]);
        Ok((code, String::from_utf8(self.payload[2..].to_vec())?))
    }

    /// As it stands on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let first = u8::from(self.fin) << 7 | u8::from(self.rsv1) << 6 | self.opcode;
        let mask_bit = u8::from(self.mask.is_some()) << 7;
        let mut bytes = vec![first];
        let length = self.payload.len();
        if length < 126 {
            bytes.push(mask_bit | length as u8);
        } else if let Ok(length) = u16::try_from(length) {
            bytes.push(mask_bit | 126);
            bytes.extend(length.to_be_bytes());
        } else {
            bytes.push(mask_bit | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
        bytes.extend(self.mask.iter().flatten());
        bytes.extend(apply_mask(self.mask, &self.payload));
        bytes
    }

    /// The first frame in `bytes` and its length there; `None` when it is not whole yet.
    pub fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        let (length, mut at) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(array(bytes, 2)?)), 4),
            127 => (u64::from_be_bytes(array(bytes, 2)?), 10),
            short => (u64::from(short), 2),
        };
        let mask = if second & 0x80 == 0 {
            None
        } else {
            at += 4;
            Some(array(bytes, at - 4)?)
        };
        let end = at + usize::try_from(length).ok()?;
        let frame = Self {
            fin: first & 0x80 != 0,
            rsv1: first & 0x40 != 0,
            opcode: first & 0x0f,
            mask,
            payload: apply_mask(mask, bytes.get(at..end)?),
        };
        Some((frame, end))
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn apply_mask(mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mask = mask.unwrap_or_default();
    let masked = payload.iter().zip(mask.iter().cycle());
    masked.map(|(byte, key)| byte ^ key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            for masked in [false, true] {
                let mut frame = Frame::new(BINARY, vec![7; length]).unfinished();
                if masked {
                    frame = frame.masked();
                }
                let mut bytes = frame.bytes();
                assert!(Frame::parse(&bytes[..bytes.len() - 1]).is_none());
                let whole = bytes.len();
                bytes.extend([1, 2, 3]);
                assert_eq!(Frame::parse(&bytes), Some((frame, whole)));
            }
        }
    }
}

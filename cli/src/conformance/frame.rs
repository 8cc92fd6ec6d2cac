//! WebSocket frames byte for byte (RFC 6455 §5.2): cases send frames that no library sends.

use std::fmt;

use serde::Deserialize;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// Longer frames are errors: no case sends them.
const MAX_PAYLOAD: usize = 1 << 20;

/// One frame, its payload unmasked.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    fin: bool,
    rsv1: bool,
    opcode: u8,
    payload: Vec<u8>,
}

/// A frame as cases write it, with exactly one kind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FrameText {
    text: Option<String>,
    binary: Option<String>,
    continuation: Option<String>,
    ping: Option<String>,
    pong: Option<String>,
    close: Option<u16>,
    reason: Option<String>,
    #[serde(default = "yes")]
    fin: bool,
    #[serde(default)]
    rsv1: bool,
    /// How often the payload is repeated.
    #[serde(default = "once")]
    times: usize,
}

impl FrameText {
    /// A whole text message.
    pub(super) fn text(text: &str) -> Self {
        Self {
            text: Some(text.to_owned()),
            fin: true,
            times: 1,
            ..Self::default()
        }
    }

    /// The frame.
    pub(super) fn frame(&self) -> Frame {
        let kinds = [
            (CONTINUATION, &self.continuation),
            (BINARY, &self.binary),
            (PING, &self.ping),
            (PONG, &self.pong),
            (TEXT, &self.text),
        ];
        let found = kinds
            .into_iter()
            .find_map(|(kind, text)| Some((kind, text.as_ref()?)));
        let (opcode, payload) = match (self.close, found) {
            (Some(code), _) => {
                let mut payload = code.to_be_bytes().to_vec();
                payload.extend(self.reason.as_deref().unwrap_or_default().bytes());
                (CLOSE, payload)
            }
            (None, Some((opcode, text))) => (opcode, text.repeat(self.times).into_bytes()),
            (None, None) => (TEXT, Vec::new()),
        };
        Frame {
            fin: self.fin,
            rsv1: self.rsv1,
            opcode,
            payload,
        }
    }
}

impl Frame {
    /// A Close.
    pub(super) fn close(code: u16) -> Self {
        Self {
            fin: true,
            rsv1: false,
            opcode: CLOSE,
            payload: code.to_be_bytes().to_vec(),
        }
    }

    /// The frame that an echo returns: the same one, or a pong for a ping.
    pub(super) fn echoed(mut self) -> Self {
        if self.opcode == PING {
            self.opcode = PONG;
        }
        self
    }

    /// Whether it is a pong, which no echo returns.
    pub(super) fn is_pong(&self) -> bool {
        self.opcode == PONG
    }

    /// Code and reason when it is a Close; code 1005 without one (RFC 6455 §7.1.5).
    pub(super) fn closing(&self) -> Option<(u16, String)> {
        if self.opcode != CLOSE {
            return None;
        }
        let code = self.payload.first_chunk().map(|c| u16::from_be_bytes(*c));
        let reason = self.payload.get(2..).unwrap_or_default();
        let reason = String::from_utf8_lossy(reason).into_owned();
        Some((code.unwrap_or(1005), reason))
    }

    /// Its bytes on the wire, masked if there is a mask, as a client must.
    pub(super) fn bytes(&self, mask: Option<[u8; 4]>) -> Vec<u8> {
        let mask_bit = u8::from(mask.is_some()) << 7;
        let mut bytes = vec![u8::from(self.fin) << 7 | u8::from(self.rsv1) << 6 | self.opcode];
        let length = self.payload.len();
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short), _) if short < 126 => bytes.push(mask_bit | short),
            (_, Ok(medium)) => {
                bytes.push(mask_bit | 126);
                bytes.extend(medium.to_be_bytes());
            }
            _ => {
                bytes.push(mask_bit | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(mask.iter().flatten());
        bytes.extend(masked(&self.payload, mask.unwrap_or_default()));
        bytes
    }

    /// The first frame and its length in bytes; `None` if it is incomplete.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, TooLong> {
        let (Some(first), Some(second)) = (bytes.first(), bytes.get(1)) else {
            return Ok(None);
        };
        let (length, mut at) = match second & 0x7f {
            126 => (array(bytes, 2).map(|b| u64::from(u16::from_be_bytes(b))), 4),
            127 => (array(bytes, 2).map(u64::from_be_bytes), 10),
            short => (Some(u64::from(short)), 2),
        };
        let Some(length) = length else {
            return Ok(None);
        };
        let length = usize::try_from(length).map_err(|_| TooLong)?;
        if length > MAX_PAYLOAD {
            return Err(TooLong);
        }
        let mut mask = [0; 4];
        if second & 0x80 != 0 {
            let Some(key) = array(bytes, at) else {
                return Ok(None);
            };
            mask = key;
            at += 4;
        }
        let Some(payload) = bytes.get(at..at + length) else {
            return Ok(None);
        };
        let frame = Self {
            fin: first & 0x80 != 0,
            rsv1: first & 0x40 != 0,
            opcode: first & 0x0f,
            payload: masked(payload, mask).collect(),
        };
        Ok(Some((frame, at + length)))
    }
}

/// The frame is longer than any case sends.
#[derive(Debug, thiserror::Error)]
#[error("a frame of more than {MAX_PAYLOAD} bytes")]
pub(super) struct TooLong;

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

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn masked(payload: &[u8], mask: [u8; 4]) -> impl Iterator<Item = u8> {
    let key = (0..payload.len()).map(move |at| mask[at % 4]);
    payload.iter().zip(key).map(|(byte, key)| byte ^ key)
}

fn yes() -> bool {
    true
}

fn once() -> usize {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_never_too_early() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let mut text = FrameText::text("x");
                text.times = length;
                let frame = text.frame();
                let mut bytes = frame.bytes(mask);
                let whole = bytes.len();
                assert!(Frame::parse(&bytes[..whole - 1]).unwrap().is_none());
                bytes.extend([1, 2, 3]);
                assert_eq!(Frame::parse(&bytes).unwrap(), Some((frame, whole)));
            }
        }
    }

    #[test]
    fn a_close_says_its_code_and_reason() {
        let close: FrameText =
            serde_json::from_value(serde_json::json!({"close": 4001, "reason": "bye"})).unwrap();
        let said = close.frame().closing();
        assert_eq!(said, Some((4001, "bye".to_owned())));
    }
}

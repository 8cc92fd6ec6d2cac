//! The second reading of RFC 6455 §5: over the whole stream at once, one frame after the other,
//! without a state that could go wrong at a split.

use tidegate_config::CloseCode;

use super::{Close, Counts, End, PINGS, Setup, TAG, Told};
use crate::relay::FrameKind;

/// A stream, read to its end.
pub(super) struct Walk {
    pub(super) told: Told,
    /// Where frames begin or end: 0, and behind each frame.
    pub(super) boundaries: Vec<usize>,
    /// The message that goes on is binary.
    binary: bool,
}

/// A frame whose header is whole.
struct Frame {
    fin: bool,
    opcode: u8,
    mask: [u8; 4],
    header: usize,
    length: u64,
}

impl Walk {
    pub(super) fn over(stream: &[u8], setup: Setup) -> Self {
        let mut walk = Self {
            told: Told {
                passed: Vec::new(),
                counts: Counts::default(),
                end: None,
                at_boundary: true,
            },
            boundaries: vec![0],
            binary: false,
        };
        let mut at = 0;
        let mut message: Option<u64> = None;
        let mut pings = if setup.pinged { PINGS } else { 0 };
        while let Some(size) = walk.step(&stream[at..], setup, &mut message, &mut pings) {
            at += size;
            walk.boundaries.push(at);
        }
        walk
    }

    /// Reads one frame; says how long it was, if another may follow.
    fn step(
        &mut self,
        rest: &[u8],
        setup: Setup,
        message: &mut Option<u64>,
        pings: &mut u8,
    ) -> Option<usize> {
        let Ok(frame) = read(rest, setup, message.is_some()) else {
            self.told.end = Some(End::Violation);
            return None;
        };
        let frame = frame?;
        let control = frame.opcode >= 8;
        let end = usize::try_from(frame.length.saturating_add(frame.header as u64));
        let whole = end.ok().filter(|&end| end <= rest.len());
        if frame.opcode == 8 {
            self.close(&rest[..whole?], &frame);
            return None;
        }
        if frame.opcode == 10 && frame.length == 8 && *pings > 0 {
            let payload = plain(&rest[frame.header..whole?], frame.mask);
            if payload == TAG.to_be_bytes() {
                *pings -= 1;
                return whole;
            }
        }
        if !control {
            let size = message.unwrap_or(0).saturating_add(frame.length);
            if setup.max_message.is_some_and(|max| size > max) {
                self.told.end = Some(End::TooBig);
                return None;
            }
            *message = (!frame.fin).then_some(size);
        }
        let taken = whole.unwrap_or(rest.len());
        self.count(frame.opcode, taken);
        self.told.passed.extend_from_slice(&rest[..taken]);
        self.told.at_boundary = whole.is_some();
        whole
    }

    fn close(&mut self, bytes: &[u8], frame: &Frame) {
        let payload = plain(&bytes[frame.header..], frame.mask);
        let (code, reason) = match payload.len() {
            0 => (None, &payload[..]),
            1 => (Some(0), &payload[..0]),
            _ => (
                Some(u16::from(payload[0]) << 8 | u16::from(payload[1])),
                &payload[2..],
            ),
        };
        let valid = code.is_none_or(CloseCode::is_sendable);
        match String::from_utf8(reason.to_vec()) {
            Ok(reason) if valid => {
                self.count(frame.opcode, bytes.len());
                self.told.passed.extend_from_slice(bytes);
                self.told.end = Some(End::Close(Close { code, reason }));
            }
            _ => self.told.end = Some(End::Violation),
        }
    }

    fn count(&mut self, opcode: u8, bytes: usize) {
        let kind = match opcode {
            0 if self.binary => FrameKind::BinaryFragment,
            0 => FrameKind::TextFragment,
            1 => FrameKind::Text,
            2 => FrameKind::Binary,
            8 => FrameKind::Close,
            9 => FrameKind::Ping,
            _ => FrameKind::Pong,
        };
        if matches!(opcode, 1 | 2) {
            self.binary = opcode == 2;
        }
        self.told.counts.frames[kind] += 1;
        self.told.counts.bytes[kind] += bytes as u64;
    }
}

/// A header; `Err`: it breaks a rule, which two bytes may be enough to see.
fn read(bytes: &[u8], setup: Setup, open: bool) -> Result<Option<Frame>, ()> {
    if bytes.len() < 2 {
        return Ok(None);
    }
    let fin = bytes[0] >= 0x80;
    let opcode = bytes[0] % 16;
    let masked = bytes[1] >= 0x80;
    let short = bytes[1] % 128;
    let reserved = bytes[0] & 0x70 != 0;
    let allowed = match opcode {
        0 => open,
        1 | 2 => !open,
        8..=10 => fin && short <= 125,
        _ => false,
    };
    if !allowed || masked != setup.masked || (reserved && !setup.extensions) {
        return Err(());
    }
    let wide = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let Some(length) = bytes.get(2..2 + wide) else {
        return Ok(None);
    };
    let length = match wide {
        0 => u64::from(short),
        _ => length
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    };
    if length > u64::MAX / 2 {
        return Err(());
    }
    let header = 2 + wide + if masked { 4 } else { 0 };
    let Some(mask) = bytes.get(2 + wide..header) else {
        return Ok(None);
    };
    Ok(Some(Frame {
        fin,
        opcode,
        mask: mask.try_into().unwrap_or_default(),
        header,
        length,
    }))
}

fn plain(payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let bytes = payload.iter().enumerate();
    bytes.map(|(at, byte)| byte ^ mask[at % 4]).collect()
}

//! The few frames that are read or written here: Close, our own pings with their pongs, and the
//! greeting of a policy.

use tidegate_config::CloseCode;

use super::{Header, MAX_CONTROL, Opcode, Violation};

/// What a Close frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Close {
    /// `None`: the frame is empty.
    pub(crate) code: Option<u16>,
    pub(crate) reason: String,
}

/// Reads the payload of a Close frame (RFC 6455 §5.5.1, §7.4).
pub(crate) fn read_close(header: &Header, payload: &[u8]) -> Result<Close, Violation> {
    let mut plain = [0; MAX_CONTROL];
    let plain = &mut plain[..payload.len()];
    plain.copy_from_slice(payload);
    apply_mask(plain, header.mask);
    let (code, reason) = match plain {
        [] => (None, &[][..]),
        [_] => return Err(Violation::CloseCode),
        [high, low, reason @ ..] => (Some(u16::from_be_bytes([*high, *low])), &*reason),
    };
    if code.is_some_and(|code| !CloseCode::is_sendable(code)) {
        return Err(Violation::CloseCode);
    }
    let reason = std::str::from_utf8(reason).map_err(|_| Violation::CloseReason)?;
    Ok(Close {
        code,
        reason: reason.to_owned(),
    })
}

/// Is the payload of this frame `tag`?
pub(crate) fn carries(header: &Header, payload: &[u8], tag: u64) -> bool {
    let Ok(mut plain) = <[u8; 8]>::try_from(payload) else {
        return false;
    };
    apply_mask(&mut plain, header.mask);
    plain == tag.to_be_bytes()
}

/// Writes a Close; without a code it is empty, and the reason is not sent.
pub fn write_close(out: &mut Vec<u8>, code: Option<u16>, reason: &str, mask: Option<[u8; 4]>) {
    let mut payload = [0; MAX_CONTROL];
    let mut length = 0;
    if let Some(code) = code {
        payload[..2].copy_from_slice(&code.to_be_bytes());
        let reason = &reason.as_bytes()[..reason.floor_char_boundary(MAX_CONTROL - 2)];
        payload[2..2 + reason.len()].copy_from_slice(reason);
        length = 2 + reason.len();
    }
    write_control(out, Opcode::Close, &mut payload[..length], mask);
}

/// Writes a Ping with `tag` as payload.
pub(crate) fn write_ping(out: &mut Vec<u8>, tag: u64, mask: Option<[u8; 4]>) {
    write_control(out, Opcode::Ping, &mut tag.to_be_bytes(), mask);
}

/// Writes a whole text message, masked.
pub fn write_text(out: &mut Vec<u8>, text: &str, mask: [u8; 4]) {
    let length = text.len();
    out.push(0x80 | Opcode::Text.bits());
    // RFC 6455 §5.2: the shortest form that holds the length.
    match length {
        0..=125 => out.push(0x80 | length as u8),
        126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(text.as_bytes());
    apply_mask(&mut out[start..], Some(mask));
}

pub(super) fn write_control(
    out: &mut Vec<u8>,
    opcode: Opcode,
    payload: &mut [u8],
    mask: Option<[u8; 4]>,
) {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    out.extend_from_slice(&[0x80 | opcode.bits(), masked | payload.len() as u8]);
    if let Some(mask) = mask {
        out.extend_from_slice(&mask);
    }
    apply_mask(payload, mask);
    out.extend_from_slice(payload);
}

/// Masks or unmasks (RFC 6455 §5.3).
fn apply_mask(bytes: &mut [u8], mask: Option<[u8; 4]>) {
    let Some(mask) = mask else { return };
    for (byte, key) in bytes.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= key;
    }
}

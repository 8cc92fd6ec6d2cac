//! Paths of URLs: one spelling for those that are equal, and what a reader behind us might take them for.
//!
//! Routes, `rewritePath` and URL templates share these rules, so that a path which one of them refuses
//! does not pass another.

use std::borrow::Cow;

#[cfg(test)]
mod tests;

/// One spelling for equal paths: encoded unreserved characters are decoded, and the digits of other
/// encodings are in upper case (RFC 3986 §6.2.2). `/%61/%2f` becomes `/a/%2F`. Nothing else changes:
/// case matters, `//` stays, and so does a `%` that encodes nothing.
///
/// What comes out is not changed by another round: `%%36%31` is `%61` after one, which is `a`.
pub fn normalized(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut out = Vec::with_capacity(path.len());
    for byte in path.bytes() {
        out.push(byte);
        // What was decoded may complete an encoding.
        while let Some(decoded) = encoded_tail(&out) {
            if !is_unreserved(decoded) {
                let at = out.len() - 2;
                out[at..].make_ascii_uppercase();
                break;
            }
            out.truncate(out.len() - 3);
            out.push(decoded);
        }
    }
    // Only ASCII was taken out and put in.
    String::from_utf8(out).map_or_else(|_| Cow::Borrowed(path), Cow::Owned)
}

/// Whether some reader would resolve a segment of this path to its parent or to itself: also if the
/// dots are encoded, once or more often, followed by `;parameters`, or behind a backslash.
pub fn has_dot_segment(path: &str) -> bool {
    let decoded = decoded(path);
    decoded
        .split(|byte| matches!(byte, b'/' | b'\\'))
        .any(is_dots)
}

/// The path as the most lenient reader sees it: decoded as often as possible, with backslashes as
/// slashes, without empty segments, and without `;parameters`, control characters, dots and spaces
/// at the ends of segments. `None` if that is the same path.
pub fn lenient_reading(path: &str) -> Option<String> {
    let is_plain = !path.contains(['%', ';', '\\', ' ']) && path.is_ascii();
    if is_plain && !path.contains("//") && !path.contains("./") && !path.ends_with('.') {
        return None;
    }
    let decoded = decoded(path);
    // A reader that decodes before it splits ends the path here.
    let end = decoded.iter().position(|byte| matches!(byte, b'?' | b'#'));
    let decoded = &decoded[..end.unwrap_or(decoded.len())];
    let mut out = String::with_capacity(path.len());
    let segments = decoded.split(|byte| matches!(byte, b'/' | b'\\'));
    for segment in segments.map(name_of).filter(|name| !name.is_empty()) {
        out.push('/');
        segment
            .iter()
            .for_each(|byte| push_encoded(&mut out, *byte));
    }
    if out.is_empty() || decoded.ends_with(b"/") {
        out.push('/');
    }
    (out != path).then_some(out)
}

/// Whether some reader would see nothing of these segments: slashes, spaces, parameters, encoded or
/// not.
pub(crate) fn leaves_nothing(text: &str) -> bool {
    let decoded = decoded(text);
    decoded
        .split(|byte| matches!(byte, b'/' | b'\\'))
        .all(|segment| name_of(segment).is_empty())
}

/// A segment without parameters, control characters, and dots and spaces at its end.
fn name_of(segment: &[u8]) -> Vec<u8> {
    let end = segment.iter().position(|byte| matches!(byte, b';' | 0));
    let name = segment[..end.unwrap_or(segment.len())].iter().copied();
    let mut name: Vec<u8> = name.filter(|byte| !byte.is_ascii_control()).collect();
    while matches!(name.last(), Some(b'.' | b' ')) {
        name.pop();
    }
    name
}

fn is_dots(segment: &[u8]) -> bool {
    let is_end = |byte: &u8| matches!(byte, b';' | b'?' | b'#' | 0);
    let end = segment.iter().position(is_end).unwrap_or(segment.len());
    let is_left = |byte: &&u8| !byte.is_ascii_control() && **byte != b' ';
    let mut left = segment[..end].iter().filter(is_left);
    let first = [left.next(), left.next(), left.next()];
    matches!(first, [Some(b'.'), None | Some(b'.'), None])
}

/// All encodings taken away, those around each other too, and what lenient readers take for ASCII.
fn decoded(path: &str) -> Cow<'_, [u8]> {
    if !path.contains('%') && path.is_ascii() {
        return Cow::Borrowed(path.as_bytes());
    }
    let mut out = Vec::with_capacity(path.len());
    for byte in path.bytes() {
        out.push(byte);
        while let Some((length, byte)) = reduced_tail(&out) {
            out.truncate(out.len() - length);
            out.push(byte);
        }
    }
    Cow::Owned(out)
}

/// The byte that the last bytes stand for, and how many they are.
fn reduced_tail(bytes: &[u8]) -> Option<(usize, u8)> {
    if let Some(byte) = encoded_tail(bytes) {
        return Some((3, byte));
    }
    match *bytes {
        // `%u002e`, as IIS and old JavaScript read it.
        [.., b'%', b'u' | b'U', a, b, c, d] => {
            let digits = [a, b, c, d].map(|digit| char::from(digit).to_digit(16));
            let [Some(a), Some(b), Some(c), Some(d)] = digits else {
                return None;
            };
            folded((a << 12) | (b << 8) | (c << 4) | d).map(|byte| (6, byte))
        }
        // ASCII in more bytes than it needs (RFC 3629 §3 forbids it).
        [.., first @ (0xc0 | 0xc1), second @ 0x80..=0xbf] => {
            Some((2, ((first & 1) << 6) | (second & 0x3f)))
        }
        [.., 0xe0, second @ (0x80 | 0x81), third @ 0x80..=0xbf] => {
            Some((3, ((second & 1) << 6) | (third & 0x3f)))
        }
        [
            ..,
            first @ 0xe2..=0xef,
            second @ 0x80..=0xbf,
            third @ 0x80..=0xbf,
        ] => {
            let high = (u32::from(first & 0xf) << 12) | (u32::from(second & 0x3f) << 6);
            let character = high | u32::from(third & 0x3f);
            folded(character)
                .filter(|_| character >= 0x80)
                .map(|byte| (3, byte))
        }
        _ => None,
    }
}

/// ASCII, and what compatibility mappings make of dots and slashes (Unicode, NFKC).
fn folded(character: u32) -> Option<u8> {
    match character {
        0..=0x7f => u8::try_from(character).ok(),
        0xff0e | 0x2024 => Some(b'.'),
        0xff0f => Some(b'/'),
        0xff3c => Some(b'\\'),
        _ => None,
    }
}

/// What the last three bytes encode, where they are `%` and two digits.
fn encoded_tail(bytes: &[u8]) -> Option<u8> {
    let [.., b'%', high, low] = *bytes else {
        return None;
    };
    let digit = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from((digit(high)? << 4) | digit(low)?).ok()
}

/// RFC 3986 §2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// As a segment has it (RFC 3986 §3.3).
fn push_encoded(out: &mut String, byte: u8) {
    if is_unreserved(byte) || b"!$&'()*+,;=:@".contains(&byte) {
        out.push(char::from(byte));
    } else {
        out.push_str(&format!("%{byte:02X}"));
    }
}

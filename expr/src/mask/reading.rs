//! What a text says when its escapes are decoded, and where in the text that stands.

use std::borrow::Cow;

/// How often one encoding may lie in another: a JSON text in a query in a JSON text.
const DEEPEST: usize = 3;

/// Readings of one text. Whoever nests more kinds of escapes hides something on purpose.
const MOST: usize = 12;

/// Adds what stands at the beginning, decoded, and says how many bytes that took; 0: nothing is encoded.
type Decode = fn(&[u8], &mut Vec<u8>) -> usize;

const DECODERS: [Decode; 3] = [percent, form, escape];

/// One reading of a text.
pub(super) struct Reading<'t> {
    bytes: Cow<'t, [u8]>,
    /// Where in the text each byte begins, and where the last one ends; empty: it is the text.
    starts: Vec<usize>,
}

impl<'t> Reading<'t> {
    /// The text as it is, and all that comes of decoding it.
    pub(super) fn all(text: &'t str) -> Vec<Self> {
        let mut readings = vec![Self {
            bytes: Cow::Borrowed(text.as_bytes()),
            starts: Vec::new(),
        }];
        let mut first = 0;
        for _ in 0..DEEPEST {
            let last = readings.len();
            for at in first..last {
                for decode in DECODERS {
                    let new = readings[at].decoded(decode);
                    let known = |new: &Self| readings.iter().any(|old| old.bytes == new.bytes);
                    if let Some(new) = new.filter(|new| readings.len() < MOST && !known(new)) {
                        readings.push(new);
                    }
                }
            }
            first = last;
        }
        readings
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The place in the text of a part of this reading, widened to whole characters.
    pub(super) fn place(&self, text: &str, start: usize, end: usize) -> (usize, usize) {
        let (start, end) = (self.origin(start), self.origin(end));
        (
            text.floor_char_boundary(start),
            text.ceil_char_boundary(end),
        )
    }

    fn origin(&self, index: usize) -> usize {
        self.starts.get(index).copied().unwrap_or(index)
    }

    /// `None`: nothing is different.
    fn decoded(&self, decode: Decode) -> Option<Self> {
        let mut bytes = Vec::new();
        let mut starts = Vec::new();
        let (mut at, mut changed) = (0, false);
        while at < self.bytes.len() {
            let taken = decode(&self.bytes[at..], &mut bytes);
            if taken == 0 {
                bytes.push(self.bytes[at]);
            }
            changed |= taken > 0;
            starts.resize(bytes.len(), self.origin(at));
            at += taken.max(1);
        }
        starts.push(self.origin(at));
        changed.then_some(Self {
            bytes: Cow::Owned(bytes),
            starts,
        })
    }
}

/// `%41` (RFC 3986 §2.1).
fn percent(text: &[u8], out: &mut Vec<u8>) -> usize {
    let [b'%', high, low, ..] = text else {
        return 0;
    };
    let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
        return 0;
    };
    out.push((high * 16 + low) as u8);
    3
}

/// The same as forms are written, with `+` for a space.
fn form(text: &[u8], out: &mut Vec<u8>) -> usize {
    if text.starts_with(b"+") {
        out.push(b' ');
        return 1;
    }
    percent(text, out)
}

/// The escapes of JSON (RFC 8259 §7), and those of messages that quote a text as Rust writes it.
fn escape(text: &[u8], out: &mut Vec<u8>) -> usize {
    let [b'\\', kind, ..] = text else {
        return 0;
    };
    let plain = match kind {
        b'"' | b'\\' | b'/' | b'\'' => *kind,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'0' => 0,
        b'x' => return two_digits(text, out),
        b'u' => return unicode(text, out),
        _ => return 0,
    };
    out.push(plain);
    2
}

/// `\x41`
fn two_digits(text: &[u8], out: &mut Vec<u8>) -> usize {
    let Some(code) = text.get(2..4).and_then(number) else {
        return 0;
    };
    out.push(code as u8);
    4
}

/// `\u0041`, a pair of them, `\u{41}`
fn unicode(text: &[u8], out: &mut Vec<u8>) -> usize {
    let (code, taken) = if text.get(2) == Some(&b'{') {
        let digits = text[3..].iter().take(7).position(|byte| *byte == b'}');
        let digits = digits.map(|end| &text[3..3 + end]);
        (digits.and_then(number), digits.map_or(0, <[u8]>::len) + 4)
    } else {
        four_digits(text)
    };
    match code.and_then(char::from_u32) {
        Some(character) => {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            taken
        }
        None => 0,
    }
}

fn four_digits(text: &[u8]) -> (Option<u32>, usize) {
    let first = text.get(2..6).and_then(number);
    let second = text.get(6..8).filter(|mark| *mark == br"\u");
    let second = second.and_then(|_| text.get(8..12)).and_then(number);
    match (first, second) {
        (Some(high @ 0xD800..=0xDBFF), Some(low @ 0xDC00..=0xDFFF)) => {
            let code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
            (Some(code), 12)
        }
        (first, _) => (first, 6),
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    let add = |sum: u32, byte: &u8| Some(sum * 16 + digit(*byte)?);
    (!digits.is_empty()).then_some(0)?;
    digits.iter().try_fold(0, add)
}

fn digit(byte: u8) -> Option<u32> {
    char::from(byte).to_digit(16)
}

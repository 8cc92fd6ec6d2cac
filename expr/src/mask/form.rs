//! The forms that are made of a secret: itself, hexadecimal, base64.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;

use super::{CUTS, MIN_PART_BYTES};

/// Of a longer secret the encoded forms are made of its beginning; what follows in the same alphabet is
/// hidden with it.
const LONGEST_ENCODED: usize = 1024;

/// Fewer characters of base64 stand in any text.
const MIN_BASE64: usize = 4;

/// One form of a secret.
pub(super) struct Form {
    bytes: Vec<u8>,
    around: Around,
}

/// What is hidden around a place where it is found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    Nothing,
    /// Characters of base64 that hold some of its bits besides others', and padding.
    Base64 {
        before: bool,
        behind: bool,
    },
    /// All that follows in the same alphabet: it is the beginning of a longer one.
    Rest,
}

impl Form {
    /// Adds all forms of a secret.
    pub(super) fn all(secret: &str, forms: &mut Vec<Self>) {
        let mut add = |bytes: Vec<u8>, around| {
            if !forms.iter().any(|form| form.bytes == bytes) {
                forms.push(Self { bytes, around });
            }
        };
        add(secret.as_bytes().to_vec(), Around::Nothing);
        let is_long = secret.len() > LONGEST_ENCODED;
        let start = &secret.as_bytes()[..secret.len().min(LONGEST_ENCODED)];
        let around = |around| if is_long { Around::Rest } else { around };
        add(hex::encode(start).into_bytes(), around(Around::Nothing));
        add(
            hex::encode_upper(start).into_bytes(),
            around(Around::Nothing),
        );
        for shift in 0..3 {
            let mut shifted = vec![0; shift];
            shifted.extend_from_slice(start);
            // The characters that hold bits of the secret only.
            let first = (8 * shift).div_ceil(6);
            let last = 8 * shifted.len() / 6;
            if last < first + MIN_BASE64 {
                continue;
            }
            let around = around(Around::Base64 {
                before: shift > 0,
                behind: shifted.len() % 3 > 0,
            });
            for text in [
                STANDARD_NO_PAD.encode(&shifted),
                URL_SAFE_NO_PAD.encode(&shifted),
            ] {
                add(text.as_bytes()[first..last].to_vec(), around);
            }
        }
    }

    /// Every occurrence, also those that overlap each other (`aa` twice in `aaa`).
    pub(super) fn whole(&self, text: &[u8], found: &mut impl FnMut(usize, usize)) {
        let finder = memmem::Finder::new(&self.bytes);
        let mut from = 0;
        while let Some(at) = finder.find(&text[from..]) {
            let start = from + at;
            let (first, end) = self.widened(text, start, start + self.bytes.len());
            found(first, end);
            from = match self.around {
                // What is hidden anyway need not be looked through.
                Around::Rest => end,
                _ => start + 1,
            };
        }
    }

    /// Its beginning in front of a cut: a mark of one, or the end of a text that `is_cut`.
    pub(super) fn cut(&self, text: &[u8], is_cut: bool, found: &mut impl FnMut(usize, usize)) {
        if is_cut {
            self.beginning_before(text, text.len(), found);
        }
        for mark in CUTS {
            for at in memmem::find_iter(text, mark) {
                self.beginning_before(text, at, found);
            }
        }
    }

    fn beginning_before(&self, text: &[u8], end: usize, found: &mut impl FnMut(usize, usize)) {
        let Some(part) = self.bytes.get(..MIN_PART_BYTES) else {
            return;
        };
        let from = end.saturating_sub(self.bytes.len());
        let starts = memmem::find_iter(&text[from..end], part);
        let mut starts = starts.map(|at| from + at);
        if let Some(start) = starts.find(|start| self.bytes.starts_with(&text[*start..end])) {
            found(self.widened(text, start, end).0, end);
        }
    }

    fn widened(&self, text: &[u8], start: usize, end: usize) -> (usize, usize) {
        let run = |from: usize, most: usize, is_part: fn(u8) -> bool| {
            let rest = text[from..].iter().take(most);
            rest.take_while(|byte| is_part(**byte)).count()
        };
        match self.around {
            Around::Nothing => (start, end),
            Around::Rest => (start, end + run(end, usize::MAX, is_base64)),
            Around::Base64 { before, behind } => {
                let before = before && start > 0 && is_base64(text[start - 1]);
                let end = end + run(end, usize::from(behind), is_base64);
                (
                    start - usize::from(before),
                    end + run(end, 2, |byte| byte == b'='),
                )
            }
        }
    }
}

/// Of either alphabet (RFC 4648 §4, §5), which has that of hexadecimal in it.
fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

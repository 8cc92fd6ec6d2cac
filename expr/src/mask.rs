//! Hides secret texts in whatever is printed: as they are, and in the encodings in which they travel.
//!
//! Encodings that leave many spellings (percent-encoding, the escapes of JSON and of Rust) are decoded
//! in the text, those that leave few (hexadecimal, base64 at each alignment) are made of the secret. So
//! the cost is bounded by the readings of a text, a handful, times the forms of the secrets, eight each.

mod form;
mod reading;
#[cfg(test)]
mod tests;

use form::Form;
use reading::Reading;

/// What stands where a secret stood.
const MASK: &str = "***";

/// Shorter secrets are not masked: replacing every `1` of a log line would spoil the line and give the
/// secret away by its gaps. Keys and tokens worth hiding are longer.
const MIN_SECRET_BYTES: usize = 4;

/// Less of a secret, in front of a cut, gives nothing away that words would not have in common.
const MIN_PART_BYTES: usize = 8;

/// How much more of a long text is read than is shown: as much as the longest form of a usual secret.
/// A longer one is found by its beginning.
const READ_BEYOND_BYTES: usize = 8 * 1024;

/// Of longer texts a piece at a time is read: readings take several times the memory of the text.
const PIECE_BYTES: usize = 64 * 1024;

/// What one byte of a secret takes at the most, as `\u0041`.
const LONGEST_ESCAPE: usize = 6;

/// Marks of texts that others have cut.
const CUTS: [&[u8]; 2] = ["…".as_bytes(), b"..."];

/// The text with every occurrence of a secret replaced by `***`, encoded ones included; overlapping
/// secrets become one mask. Half a secret is hidden only in front of `…` or `...`.
pub fn mask<S: AsRef<str>>(text: &str, secrets: &[S]) -> String {
    replaced(text, hidden(text, secrets, false))
}

/// The beginning of a text, masked: everything that `longest` bytes of it show, and perhaps more. It
/// costs no more for a longer text. Secrets across the cut are hidden as well.
pub fn mask_beginning<S: AsRef<str>>(text: &str, secrets: &[S], longest: usize) -> String {
    let end = text.floor_char_boundary(longest.saturating_add(READ_BEYOND_BYTES));
    let start = &text[..end];
    replaced(start, hidden(start, secrets, end < text.len()))
}

/// Where secrets stand, in no order. `cut`: the text is the beginning of a longer one.
fn hidden<S: AsRef<str>>(text: &str, secrets: &[S], cut: bool) -> Vec<(usize, usize)> {
    let mut hidden = Vec::new();
    let secrets = secrets.iter().map(|secret| core(secret.as_ref()));
    let mut forms: Vec<Form> = Vec::new();
    let mut longest = 0;
    for secret in secrets.filter(|secret| secret.len() >= MIN_SECRET_BYTES) {
        Form::all(secret, &mut forms);
        longest = longest.max(secret.len());
    }
    if forms.is_empty() {
        return hidden;
    }
    let mut start = 0;
    loop {
        // Pieces overlap, so that each secret is whole in one of them.
        let end = start + PIECE_BYTES + longest * LONGEST_ESCAPE;
        let end = text.ceil_char_boundary(end.min(text.len()));
        let is_last = end == text.len();
        let found = |first: usize, last: usize| hidden.push((start + first, start + last));
        in_piece(&text[start..end], &forms, cut && is_last, found);
        if is_last {
            return hidden;
        }
        start = text.floor_char_boundary(start + PIECE_BYTES);
    }
}

/// A secret without the white space around it, which is lost on many ways.
fn core(secret: &str) -> &str {
    Some(secret.trim())
        .filter(|core| core.len() >= MIN_SECRET_BYTES)
        .unwrap_or(secret)
}

fn in_piece(text: &str, forms: &[Form], cut: bool, mut hide: impl FnMut(usize, usize)) {
    for reading in Reading::all(text) {
        let mut found = |start, end| {
            let (start, end) = reading.place(text, start, end);
            hide(start, end);
        };
        for form in forms {
            form.whole(reading.bytes(), &mut found);
            form.cut(reading.bytes(), cut, &mut found);
        }
    }
}

fn replaced(text: &str, mut hidden: Vec<(usize, usize)>) -> String {
    hidden.sort_unstable();
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (start, end) in hidden {
        if start >= done {
            out.push_str(&text[done..start]);
            out.push_str(MASK);
        }
        done = done.max(end);
    }
    out.push_str(&text[done..]);
    out
}

//! Hides secret texts in whatever is printed.

/// What stands where a secret stood.
const MASK: &str = "***";

/// Shorter secrets are not masked: replacing every `1` of a log line would spoil the line and give the
/// secret away by its gaps. Keys and tokens worth hiding are longer.
const MIN_SECRET_BYTES: usize = 4;

/// The text with every occurrence of a secret replaced by `***`; overlapping secrets become one mask.
pub fn mask<S: AsRef<str>>(text: &str, secrets: &[S]) -> String {
    let mut hidden: Vec<(usize, usize)> = Vec::new();
    for secret in secrets.iter().map(AsRef::as_ref) {
        if secret.len() >= MIN_SECRET_BYTES {
            hidden.extend(occurrences(text, secret));
        }
    }
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

/// Every occurrence, also those that overlap each other (`aa` twice in `aaa`).
fn occurrences(text: &str, secret: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find(secret) {
        let start = from + at;
        found.push((start, start + secret.len()));
        from = start + secret.chars().next().map_or(1, char::len_utf8);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_occurrence_of_every_secret_is_hidden() {
        let cases: [(&str, &str, &[&str], &str); 8] = [
            ("no secrets", "plain", &[], "plain"),
            ("one", "key=hunter2!", &["hunter2"], "key=***!"),
            ("twice", "abcd abcd", &["abcd"], "*** ***"),
            ("overlapping", "xabcdefx", &["abcd", "cdef"], "x***x"),
            (
                "one inside another",
                "abcdefgh",
                &["cdef", "abcdefgh"],
                "***",
            ),
            ("touching itself", "aaaaa", &["aaaa"], "***"),
            ("empty and too short", "a1b", &["", "1"], "a1b"),
            ("not ascii", "häßlich-ü", &["äßli"], "h***ch-ü"),
        ];
        for (name, text, secrets, expected) in cases {
            assert_eq!(mask(text, secrets), expected, "{name}");
        }
    }
}

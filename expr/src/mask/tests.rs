use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::*;

#[test]
fn every_occurrence_of_every_secret_is_hidden() {
    let cases: [(&str, &str, &[&str], &str); 10] = [
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
        (
            "with a line end of its own",
            "a hunter2 b",
            &["hunter2\n"],
            "a *** b",
        ),
        (
            "many escapes of nothing",
            "100% \\ +1 %zz \\u12",
            &["hunter2"],
            "100% \\ +1 %zz \\u12",
        ),
    ];
    for (name, text, secrets, expected) in cases {
        assert_eq!(mask(text, secrets), expected, "{name}");
    }
}

#[test]
fn a_secret_is_hidden_in_other_encodings_too() {
    let secret = "p@ss \"wörd\"/&+é";
    let json = serde_json::to_string(secret).unwrap();
    let percent = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let all = |text: &str, one: fn(u32) -> String| -> String {
        let units = text.encode_utf16();
        units.map(|unit| one(u32::from(unit))).collect()
    };
    for (name, text) in [
        ("percent", percent.clone()),
        ("percent, small letters", percent.to_ascii_lowercase()),
        (
            "percent, partly",
            "p@ss%20%22w%C3%B6rd\"/%26%2B%c3%a9".to_owned(),
        ),
        ("percent twice", percent.replace('%', "%25")),
        ("a form", "p%40ss+%22w%C3%B6rd%22/%26%2B%C3%A9".to_owned()),
        ("JSON", json[1..json.len() - 1].to_owned()),
        (
            "JSON that escapes all",
            all(secret, |unit| format!("\\u{unit:04x}")),
        ),
        (
            "JSON that escapes slashes",
            r#"p@ss \"wörd\"\/\u0026+é"#.to_owned(),
        ),
        ("JSON in JSON", r#"p@ss \\\"wörd\\\"/&+é"#.to_owned()),
        (
            "JSON in a URL",
            utf8_percent_encode(&json[1..json.len() - 1], NON_ALPHANUMERIC).to_string(),
        ),
        ("Rust", format!("{secret:?}").trim_matches('"').to_owned()),
        ("hexadecimal", hex::encode(secret)),
        ("hexadecimal, capitals", hex::encode_upper(secret)),
        ("base64", STANDARD.encode(secret)),
        ("base64url", URL_SAFE_NO_PAD.encode(secret)),
        (
            "base64 in a URL",
            utf8_percent_encode(&STANDARD.encode(secret), NON_ALPHANUMERIC).to_string(),
        ),
    ] {
        let shown = mask(&format!("<{text}>"), &[secret]);
        assert_eq!(shown, "<***>", "{name}: {text}");
    }
    let emoji = "k😀y-of-all";
    let escaped = all(emoji, |unit| format!("\\u{unit:04X}"));
    assert_eq!(mask(&escaped, &[emoji]), "***");
}

#[test]
fn base64_of_more_than_the_secret_shows_none_of_it() {
    for secret in ["hunter2", "s3cr", "a-much-longer-secret-of-somebody"] {
        for user in ["", "u", "us", "use", "user"] {
            let text = STANDARD.encode(format!("{user}:{secret}"));
            let shown = mask(&format!("Basic {text}"), &[secret]);
            assert!(shown.ends_with("***"), "{user} {secret}: {shown}");
            let begun = shown.trim_end_matches("***").trim_start_matches("Basic ");
            assert_eq!(
                begun.len(),
                (user.len() + 1) * 8 / 6,
                "bits of the user only"
            );
            let text = URL_SAFE_NO_PAD.encode(format!("{user}{secret}; and more"));
            let shown = mask(&text, &[secret]);
            assert!(shown.contains("***"), "{user} {secret}: {shown}");
        }
    }
    assert_eq!(
        mask("aHVudGVy is a word", &["hunter2"]),
        "aHVudGVy is a word"
    );
}

#[test]
fn a_secret_that_a_cut_divides_is_hidden() {
    let secret = "0123456789abcdef";
    for (name, text, expected) in [
        (
            "by an ellipsis",
            "token 0123456789ab… is bad",
            "token ***… is bad",
        ),
        (
            "by points",
            "token 0123456789ab... is bad",
            "token ***... is bad",
        ),
        ("hexadecimal", "30313233343536… x", "***… x"),
        ("not its beginning", "token 3456789ab…", "token 3456789ab…"),
        ("a word", "0123…", "0123…"),
        ("no cut", "0123456789ab", "0123456789ab"),
    ] {
        assert_eq!(mask(text, &[secret]), expected, "{name}");
    }
    let long = "0123456789".repeat(3 * READ_BEYOND_BYTES);
    let shown = mask_beginning(&format!("x{long}"), &[&long], 16);
    assert_eq!(shown, "x***");
    let encoded = STANDARD.encode(format!("ab{long}"));
    let shown = mask_beginning(&format!("x {encoded}"), &[&long], 16);
    assert!(
        shown.starts_with("x ") && shown.ends_with("***") && shown.len() < 10,
        "{shown}"
    );
}

#[test]
fn nested_escapes_without_end_are_bounded() {
    let text = "%25".repeat(50_000) + &"\\\\".repeat(50_000) + &"+".repeat(10_000);
    assert_eq!(mask(&text, &["hunter2"]), text);
    assert!(Reading::all(&text).len() <= 12);
    let text = "x".repeat(PIECE_BYTES - 3) + "hunter2" + &"y".repeat(PIECE_BYTES);
    assert_eq!(mask(&text, &["hunter2"]), text.replace("hunter2", "***"));
}

proptest! {
    #[test]
    fn masking_never_fails_and_shows_no_secret(
        before in "\\PC{0,20}", secret in "[a-zA-Z0-9+/%\\\\\"é😀 ]{6,40}", behind in "\\PC{0,20}"
    ) {
        let secret = secret.trim().to_owned();
        prop_assume!(secret.len() >= MIN_SECRET_BYTES);
        let text = format!("{before}{secret}{behind}");
        let shown = mask(&text, &[&secret]);
        // What is left may spell it again only across a mask.
        prop_assert!(shown.contains(MASK));
        for part in shown.split(MASK) {
            prop_assert!(!part.contains(&secret));
        }
    }
}

use proptest::prelude::*;

use super::*;

const ENOUGH: &[u8] = b"thirty-two bytes, as HS256 needs";

fn parse(bytes: &[u8]) -> Result<HmacSecret, InvalidSecret> {
    HmacSecret::parse(bytes, SecretLength::OfHash)
}

#[test]
fn a_secret_has_at_least_the_bytes_of_the_hash() {
    use JwtAlgorithm as A;
    for (bytes, fits) in [
        (32, &[A::HS256][..]),
        (47, &[A::HS256]),
        (48, &[A::HS256, A::HS384]),
        (63, &[A::HS256, A::HS384]),
        (64, &[A::HS256, A::HS384, A::HS512]),
    ] {
        let secret = parse(&vec![b'x'; bytes]).unwrap();
        for algorithm in [A::HS256, A::HS384, A::HS512, A::RS256, A::EdDSA] {
            let expected = fits.contains(&algorithm);
            assert_eq!(secret.fits(algorithm), expected, "{bytes} {algorithm:?}");
        }
    }
    for bytes in [1, 16, 31] {
        let why = parse(&vec![b'x'; bytes]).unwrap_err();
        assert_eq!(
            why.to_string(),
            format!(
                "it has {bytes} bytes, and HS256 needs 32 or more (RFC 7518 §3.2): use a longer one"
            )
        );
    }
}

#[test]
fn a_short_secret_needs_its_authors_word_and_other_kinds_have_none() {
    let secret = HmacSecret::parse(b"x", SecretLength::Any).unwrap();
    assert!(secret.fits(JwtAlgorithm::HS512) && !secret.fits(JwtAlgorithm::RS256));
    let jwk = br#"{"kty":"oct","k":"eA"}"#.as_slice();
    for bytes in [b"".as_slice(), b"\n", b"x\n", jwk] {
        assert!(
            HmacSecret::parse(bytes, SecretLength::Any).is_err(),
            "{bytes:?}"
        );
    }
}

#[test]
fn what_a_tool_left_in_a_text_is_named() {
    let with = |before: &[u8], after: &[u8]| [before, ENOUGH, after].concat();
    for (bytes, why) in [
        (with(b"", b"\n"), InvalidSecret::LineEnd),
        (with(b"", b"\r\n"), InvalidSecret::LineEnd),
        (with(b"two\nlines ", b"\n\n"), InvalidSecret::LineEnd),
        (with(b"\xef\xbb\xbf", b""), InvalidSecret::ByteOrderMark),
        (Vec::new(), InvalidSecret::Empty),
        (vec![b' '; 32], InvalidSecret::Empty),
        (vec![0; 64], InvalidSecret::Empty),
        (b"\n".to_vec(), InvalidSecret::Empty),
    ] {
        assert_eq!(parse(&bytes), Err(why), "{bytes:?}");
    }
    // Random bytes end with 0x0A as with any other.
    let mut binary = vec![0x80; 32];
    binary[31] = b'\n';
    assert_eq!(parse(&binary).unwrap().expose(), binary);
    // Nothing is cut off.
    assert_eq!(parse(&with(b" ", b"")).unwrap().expose(), with(b" ", b""));
}

#[test]
fn a_secret_is_not_printed() {
    assert!(!format!("{:?}", parse(ENOUGH)).contains("thirty"));
}

proptest! {
    #[test]
    fn texts_of_generators_are_secrets(
        base64 in "[A-Za-z0-9+/]{43}=",
        hex in "[0-9a-f]{64}",
        words in "[a-z]{3,8}( [a-z]{3,8}){5,9}",
        uuid in "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}",
    ) {
        for text in [base64, hex, words, uuid] {
            prop_assert!(HmacSecret::parse(text.as_bytes(), SecretLength::Any).is_ok(), "{}", text);
        }
    }
}

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};

use super::*;

#[test]
fn a_key_signs_with_the_algorithm_it_was_parsed_for() {
    use InvalidSigningKey as Why;
    use JwtAlgorithm as A;
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let (private, public) = (pair.serialize_pem(), pair.public_key_pem());
    let secret = "a secret that has the 48 bytes that HS384 demands";
    let with_text = format!("\u{feff}Bag Attributes\n    friendlyName: a\n{private}");
    for (name, algorithm, bytes, expected) in [
        ("a private key", A::ES256, &*private, None),
        ("with text in front", A::ES256, &*with_text, None),
        ("of another curve", A::ES384, &*private, Some(Why::P384)),
        ("of another kind", A::RS256, &*private, Some(Why::Rsa)),
        ("a public key", A::ES256, &*public, Some(Why::P256)),
        ("a secret", A::HS384, secret, None),
        ("no PEM", A::EdDSA, secret, Some(Why::Ed25519)),
    ] {
        let parsed = SigningKey::parse(algorithm, bytes.as_bytes(), SecretLength::OfHash);
        assert_eq!(parsed.err(), expected, "{name}");
    }
    let parse = |algorithm, bytes: &str| {
        let parsed = SigningKey::parse(algorithm, bytes.as_bytes(), SecretLength::OfHash);
        parsed.map(|_| ()).unwrap_err().to_string()
    };
    assert!(parse(A::HS512, secret).contains("HS512 needs 64"));
    assert!(parse(A::HS256, &private).contains("it looks like PEM"));
    let short = SigningKey::parse(A::HS512, b"short", SecretLength::Any);
    assert!(short.is_ok());
}

use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    PKCS_RSA_SHA256, RsaKeySize,
};
use tidegate_config::policy::JwtAlgorithm as A;

use super::*;

fn from(bytes: &[u8]) -> Result<VerificationKey, InvalidKey> {
    VerificationKey::from_secret(None, bytes, SecretLength::OfHash)
}

fn certificate(pair: &KeyPair) -> String {
    let parameters = CertificateParams::new(vec!["idp.example".to_owned()]).unwrap();
    parameters.self_signed(pair).unwrap().pem()
}

#[test]
fn a_public_key_in_pem_is_itself_whatever_stands_around_it() {
    let pairs = [
        (
            KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap(),
            A::RS256,
        ),
        (
            KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
            A::ES256,
        ),
        (
            KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap(),
            A::ES384,
        ),
        (KeyPair::generate_for(&PKCS_ED25519).unwrap(), A::EdDSA),
    ];
    for (pair, algorithm) in &pairs {
        for pem in [pair.public_key_pem(), certificate(pair)] {
            let bag = "Bag Attributes\n    friendlyName: idp\nsubject=CN = idp\nissuer=CN = idp\n";
            let latin1 = [b"friendlyName: f\xfcr\n".as_slice(), pem.as_bytes()].concat();
            let parameters =
                "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
            for (name, bytes) in [
                ("bare", pem.clone().into_bytes()),
                ("behind blanks", format!("\n \t{pem}").into_bytes()),
                ("behind a mark", format!("\u{feff}{pem}").into_bytes()),
                ("behind attributes", format!("{bag}{pem}").into_bytes()),
                ("behind Latin-1", latin1),
                (
                    "behind parameters",
                    format!("{parameters}{pem}").into_bytes(),
                ),
                ("before text", format!("{pem}\nand so on\n").into_bytes()),
                (
                    "first of a chain",
                    format!("{pem}{}", certificate(&pairs[1].0)).into_bytes(),
                ),
                (
                    "with line ends of Windows",
                    pem.replace('\n', "\r\n").into_bytes(),
                ),
            ] {
                let key = from(&bytes).unwrap();
                assert!(key.fits(*algorithm), "{name} {algorithm:?}");
                for hmac in [A::HS256, A::HS384, A::HS512] {
                    assert!(!key.fits(hmac), "{name} {hmac:?}");
                }
            }
        }
    }
}

#[test]
fn what_holds_no_usable_key_is_nothing_at_all() {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let (private, public) = (pair.serialize_pem(), pair.public_key_pem());
    let escaped = public.replace('\n', "\\n");
    for (name, text, expected) in [
        ("a private key", private.clone(), InvalidKey::Private),
        ("both", format!("{public}{private}"), InvalidKey::Private),
        ("no end", public[..60].to_owned(), InvalidKey::Pem),
        ("escaped line ends", escaped, InvalidKey::Pem),
        (
            "another label",
            public.replace("PUBLIC KEY", "MESSAGE"),
            InvalidKey::Pem,
        ),
    ] {
        let found = VerificationKey::from_secret(None, text.as_bytes(), SecretLength::Any);
        assert_eq!(found.unwrap_err(), expected, "{name}");
    }
    let der = pair.serialize_der();
    let why = from(&der).unwrap_err().to_string();
    assert!(
        why.contains("looks like a certificate or key in DER"),
        "{why}"
    );
    assert!(why.contains("there as bare PEM"), "{why}");
}

#[test]
fn a_secret_verifies_what_it_is_long_enough_for() {
    let key = from(&[b'x'; 40]).unwrap();
    assert!(key.fits(A::HS256) && !key.fits(A::HS384) && !key.fits(A::RS256));
    let why = key.too_short_for(A::HS384).unwrap().to_string();
    assert!(why.contains("it has 40 bytes, and HS384 needs 48"), "{why}");
    assert_eq!(key.too_short_for(A::HS256), None);
    assert!(!format!("{key:?}").contains("xxxx"));
    let short = VerificationKey::from_secret(None, b"short", SecretLength::Any).unwrap();
    assert!(short.fits(A::HS512));
}

use rcgen::{CertificateParams, KeyPair};

use super::*;

fn id(name: &str, part: &str) -> SecretDataId {
    SecretDataId::secret("shop", name, part)
}

/// A listener with one self-signed certificate for each name.
fn listener(names: &[&str]) -> (ListenerTlsConfig, SecretData) {
    let mut secret_data = SecretData::default();
    let mut certificates = Vec::new();
    for name in names {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![(*name).to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        secret_data.insert(id(name, "tls.crt"), certificate.pem().into_bytes());
        secret_data.insert(id(name, "tls.key"), key.serialize_pem().into_bytes());
        certificates.push((id(name, "tls.crt"), id(name, "tls.key")));
    }
    let tls = ListenerTlsConfig {
        certificates,
        min_version: TlsVersion::V1_2,
        client_auth: None,
    };
    (tls, secret_data)
}

#[test]
fn names_are_matched_exactly_then_by_one_label() {
    let (tls, secret_data) = listener(&["*.a.test", "x.a.test", "b.test"]);
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let all = Certificates::load(&tls, &secret_data, &provider).unwrap();
    let names = |name: &str| all.choose(name).map(|found| dns_names(found).join(","));
    for (asked, expected) in [
        ("x.a.test", Some("x.a.test")),
        ("y.a.test", Some("*.a.test")),
        ("y.z.a.test", None),
        ("a.test", None),
        ("b.test", Some("b.test")),
        ("c.b.test", None),
    ] {
        assert_eq!(names(asked).as_deref(), expected, "{asked}");
    }
    assert_eq!(dns_names(&all.default), ["*.a.test"]);
}

#[test]
fn what_did_not_change_is_taken_over() {
    let basis = TlsBasis::new().unwrap();
    let (mut tls, secret_data) = listener(&["a.test"]);
    let first = ServerTls::compile(&tls, false, &secret_data, &basis, None).unwrap();
    let same = ServerTls::compile(&tls, false, &secret_data, &basis, Some(&first)).unwrap();
    assert!(Arc::ptr_eq(&first, &same));
    tls.min_version = TlsVersion::V1_3;
    let other = ServerTls::compile(&tls, false, &secret_data, &basis, Some(&first)).unwrap();
    assert!(!Arc::ptr_eq(&first, &other));
    let (tls, secret_data) = listener(&["a.test"]);
    let renewed = ServerTls::compile(&tls, false, &secret_data, &basis, Some(&first)).unwrap();
    assert!(!Arc::ptr_eq(&first, &renewed));
}

#[test]
fn an_unusable_certificate_says_which_piece_is_wrong() {
    let basis = TlsBasis::new().unwrap();
    let (tls, good) = listener(&["a.test", "b.test"]);
    let broken = |part: &str, bytes: Option<&[u8]>| {
        let mut secret_data = SecretData::default();
        for (known, content) in good
            .iter()
            .filter(|(known, _)| **known != id("b.test", part))
        {
            secret_data.insert(known.clone(), content.to_vec());
        }
        if let Some(bytes) = bytes {
            secret_data.insert(id("b.test", part), bytes.to_vec());
        }
        ServerTls::compile(&tls, false, &secret_data, &basis, None)
            .unwrap_err()
            .to_string()
    };
    let other_key = KeyPair::generate().unwrap().serialize_pem();
    for (name, part, bytes, expected) in [
        (
            "no chain",
            "tls.crt",
            None,
            "secret/shop/b.test/tls.crt is missing",
        ),
        (
            "no key",
            "tls.key",
            None,
            "secret/shop/b.test/tls.key is missing",
        ),
        (
            "an empty chain",
            "tls.crt",
            Some(&b""[..]),
            "secret/shop/b.test/tls.crt holds no certificate",
        ),
        (
            "a key that is none",
            "tls.key",
            Some(b"x"),
            "secret/shop/b.test/tls.key is not PEM",
        ),
        (
            "another key",
            "tls.key",
            Some(other_key.as_bytes()),
            "secret/shop/b.test/tls.crt and its private key cannot be used",
        ),
    ] {
        assert_eq!(broken(part, bytes), expected, "{name}");
    }
}

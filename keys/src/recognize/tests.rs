use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    PKCS_RSA_SHA256, RsaKeySize,
};

use super::*;

fn form(bytes: &[u8]) -> Option<Form> {
    recognize(bytes).map(|foreign| foreign.form)
}

fn pairs() -> Vec<KeyPair> {
    vec![
        KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap(),
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
        KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap(),
        KeyPair::generate_for(&PKCS_ED25519).unwrap(),
    ]
}

/// Public keys, certificates and private keys in DER.
fn ders() -> Vec<Vec<u8>> {
    let mut ders = Vec::new();
    for pair in pairs() {
        let parameters = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        ders.push(parameters.self_signed(&pair).unwrap().der().to_vec());
        let request = CertificateParams::default()
            .serialize_request(&pair)
            .unwrap();
        ders.push(request.der().to_vec());
        ders.push(pair.serialize_der());
        let pem = pair.public_key_pem();
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        ders.push(STANDARD.decode(body).unwrap());
        // PKCS#1 for RSA; a point for EC.
        let raw = pair.public_key_raw().to_vec();
        if raw.len() != 32 {
            ders.push(raw);
        }
    }
    ders
}

fn lines(text: &str, width: usize) -> String {
    let lines = text.as_bytes().chunks(width);
    let lines: Vec<_> = lines
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    lines.join("\n") + "\n"
}

#[test]
fn keys_and_certificates_are_found_in_every_wrapping() {
    for der in ders() {
        let base64 = STANDARD.encode(&der);
        let hex = hex::encode(&der);
        let colons: Vec<_> = der.iter().map(|byte| format!("{byte:02X}")).collect();
        let c: Vec<_> = der.iter().map(|byte| format!("0x{byte:02x}")).collect();
        let wide: Vec<u8> = base64.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (name, bytes) in [
            ("bare", der.clone()),
            ("with a line end", [&*der, b"\n"].concat()),
            (
                "behind a byte order mark",
                [b"\xef\xbb\xbf", &*der].concat(),
            ),
            ("behind blanks", [b" \r\n\0", &*der].concat()),
            ("base64", base64.clone().into_bytes()),
            ("base64 in lines", lines(&base64, 64).into_bytes()),
            ("base64 in short lines", lines(&base64, 40).into_bytes()),
            ("base64url", URL_SAFE_NO_PAD.encode(&der).into_bytes()),
            ("base64 twice", STANDARD.encode(&base64).into_bytes()),
            ("base64 in UTF-16", wide),
            ("hex", hex.clone().into_bytes()),
            ("hex in upper case", hex.to_uppercase().into_bytes()),
            ("hex with colons", colons.join(":").into_bytes()),
            (
                "hex as C has it",
                format!("{{{}}}", c.join(", ")).into_bytes(),
            ),
        ] {
            assert!(form(&bytes).is_some(), "{name}: {}", hex::encode(&bytes));
        }
        if der.len() > 100 {
            let record = format!("v=DKIM1x; k=rsa; p={base64}");
            assert_eq!(form(record.as_bytes()), Some(Form::Der), "{record}");
            assert_eq!(form(&der[..60]), Some(Form::Der), "cut off");
        }
    }
}

#[test]
fn texts_that_hold_keys_are_found() {
    let token = format!(
        "{}.{}.{}",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#),
        URL_SAFE_NO_PAD.encode(r#"{"sub":"1234567890"}"#),
        "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
    );
    let jwk = r#"{"kty":"RSA","use":"sig","e":"AQAB","n":"vvvv"}"#;
    for (text, expected) in [
        (jwk, Form::Json),
        (r#"{"keys":[]}"#, Form::Json),
        (r#"[{"a":1}]"#, Form::Json),
        (r#"{"kty":"RSA","n":"vvvv"#, Form::Json),
        ("{kty: 'RSA', n: 'vvvv'}", Form::Json),
        ("kty: RSA\nn: vvvv\n", Form::Json),
        (r#"{\"kty\":\"EC\",\"x\":\"vvvv\"}"#, Form::Json),
        (&URL_SAFE_NO_PAD.encode(jwk), Form::Json),
        (&token, Form::Token),
        ("ssh-rsa AAAAB3NzaC1yc2E= me@here", Form::Ssh),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPPl", Form::Ssh),
        (
            "AAAAC3NzaC1lZDI1NTE5AAAAIPPlvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv",
            Form::Ssh,
        ),
        ("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA", Form::Pem),
        ("-----begin public key-----\nMIIB", Form::Pem),
        ("\u{2014}BEGIN PUBLIC KEY\u{2014}\nMIIB", Form::Pem),
        (
            &STANDARD.encode("-----BEGIN PUBLIC KEY-----\nMIIB\n"),
            Form::Pem,
        ),
        (
            &hex::encode("-----BEGIN PUBLIC KEY-----\nMIIB\n"),
            Form::Pem,
        ),
        ("Bag Attributes\n    friendlyName: idp\n", Form::Printed),
        (
            "Certificate:\n  Data:\n    Signature Algorithm: sha256",
            Form::Printed,
        ),
        (
            "Public-Key: (2048 bit)\nModulus:\n    00:c3:",
            Form::Printed,
        ),
        ("Modulus=C3A1", Form::Printed),
        (
            "Sun RSA public key, 2048 bits\n  modulus: 2345",
            Form::Printed,
        ),
        (
            "<RSAKeyValue><Modulus>vvvv</Modulus></RSAKeyValue>",
            Form::Xml,
        ),
        ("<ds:X509Certificate>MIIC</ds:X509Certificate>", Form::Xml),
    ] {
        assert_eq!(form(text.as_bytes()), Some(expected), "{text}");
        let marked = format!("\u{feff}{text}\n");
        assert!(form(marked.as_bytes()).is_some(), "{text}");
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert!(form(&wide).is_some(), "{text}");
    }
}

#[test]
fn binary_containers_are_found() {
    let ssh = [b"\0\0\0\x0bssh-ed25519\0\0\0\x20".as_slice(), &[7; 32]].concat();
    let pgp = [&[0x99, 1, 13, 4, 0x5e, 1, 2, 3, 1], [9; 64].as_slice()].concat();
    let pkcs7 = [
        &[
            0x30, 0x80, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2,
        ],
        [0; 40].as_slice(),
    ]
    .concat();
    let pkcs12 = [
        &[0x30, 0x82, 9, 0, 2, 1, 3, 0x30, 0x82, 8, 0],
        [0; 40].as_slice(),
    ]
    .concat();
    let jks = [&[0xfe, 0xed, 0xfe, 0xed], [0; 40].as_slice()].concat();
    for (bytes, expected) in [
        (ssh, Form::Ssh),
        (pgp, Form::Pgp),
        (pkcs7, Form::Der),
        (pkcs12, Form::Der),
        (jks, Form::KeyStore),
    ] {
        assert_eq!(form(&bytes), Some(expected), "{bytes:?}");
        let base64 = STANDARD.encode(&bytes);
        assert_eq!(form(base64.as_bytes()), Some(expected), "{base64}");
    }
}

#[test]
fn the_place_of_a_key_set_is_no_secret() {
    for text in ["https://id.example/.well-known/jwks.json", "HTTP://ID/k\n"] {
        assert_eq!(form(text.as_bytes()), Some(Form::Url), "{text}");
    }
    assert_eq!(form(b"https is what it is about, and more"), None);
}

#[test]
fn a_finding_says_what_and_in_what() {
    let der = [
        &[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0],
        [7; 32].as_slice(),
    ]
    .concat();
    let said = |bytes: &[u8]| recognize(bytes).unwrap().to_string();
    assert_eq!(said(&der), "a certificate or key in DER");
    assert_eq!(
        said(STANDARD.encode(&der).as_bytes()),
        "a certificate or key in DER, in base64"
    );
}

#[test]
fn random_bytes_are_secrets() {
    // A generator of one's own: the same bytes each time.
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as u8
    };
    let mut found = 0;
    for length in [32, 48, 64, 65] {
        for _ in 0..2_500 {
            let bytes: Vec<u8> = (0..length).map(|_| next()).collect();
            found += usize::from(form(&bytes).is_some());
            let text = STANDARD.encode(&bytes);
            found += usize::from(form(text.as_bytes()).is_some());
        }
    }
    assert!(found <= 1, "{found} of 20,000");
}

#[test]
fn a_megabyte_is_looked_at_without_taking_long() {
    for text in ["A", "30", "{\"a\":", "x.", "%", "kty"] {
        let _ = recognize(text.repeat(1024 * 1024 / text.len()).as_bytes());
    }
}

//! Key material that is no text.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256K1_SHA256_FIXED, ECDSA_P384_SHA384_FIXED,
    ECDSA_P521_SHA512_FIXED, EcdsaVerificationAlgorithm, ParsedPublicKey,
};

use super::Form;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const IDENTIFIER: u8 = 0x06;
/// `[0]`, constructed: the version of a certificate, the content of PKCS#7, parameters of SEC 1.
const CONTEXT: u8 = 0xa0;

/// The shortest DER that matters: an Ed25519 public key has 44 bytes, its private key 48.
const MIN_DER: usize = 24;

/// A modulus of 512 bits, shorter than any in use.
const MIN_MODULUS: usize = 64;

pub(super) fn form(bytes: &[u8]) -> Option<Form> {
    if is_der(bytes) {
        Some(Form::Der)
    } else if is_ssh(bytes) {
        Some(Form::Ssh)
    } else if is_pgp(bytes) {
        Some(Form::Pgp)
    } else if is_key_store(bytes) {
        Some(Form::KeyStore)
    } else if is_point(bytes) {
        Some(Form::Point)
    } else {
        None
    }
}

/// Does it begin as keys, certificates, requests, PKCS#7 and PKCS#12 do? Only the beginning is looked
/// at: it may be cut off, or something may follow.
fn is_der(bytes: &[u8]) -> bool {
    let Some((SEQUENCE, length, body)) = header(bytes) else {
        return false;
    };
    let Some((tag, first, inside)) = header(body).filter(|_| length >= MIN_DER) else {
        return false;
    };
    match tag {
        _ if first >= length => false,
        // PKCS#7, and parameters by name.
        IDENTIFIER => is_identifier(first, inside),
        // Versions of private keys and of PKCS#12.
        INTEGER if first == 1 => {
            matches!(inside, [0..=3, INTEGER | OCTETS | SEQUENCE | CONTEXT, ..])
        }
        // The modulus of an RSA public key.
        INTEGER => first >= MIN_MODULUS,
        SEQUENCE => match header(inside) {
            // Public keys, and private keys with a password.
            Some((IDENTIFIER, length, name)) => is_identifier(length, name),
            // Certificates: a version, or at once the serial number.
            Some((CONTEXT, 3, version)) => version.starts_with(&[INTEGER, 1]),
            Some((INTEGER, number, _)) => first >= MIN_MODULUS && number <= 32,
            Some((SEQUENCE, _, name)) => {
                first >= MIN_MODULUS
                    && matches!(header(name), Some((IDENTIFIER, length, name)) if is_identifier(length, name))
            }
            _ => false,
        },
        _ => false,
    }
}

/// An object identifier below ISO's member bodies and organizations, or the directory's attributes.
fn is_identifier(length: usize, value: &[u8]) -> bool {
    (3..=16).contains(&length) && matches!(value.first(), Some(0x2a | 0x2b | 0x55 | 0x60 | 0x67))
}

/// Tag, length and what follows the header (X.690 §8.1). An indefinite length is what is there.
fn header(bytes: &[u8]) -> Option<(u8, usize, &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    match *first {
        short @ 0..=0x7f => Some((*tag, usize::from(short), rest)),
        0x80 => Some((*tag, rest.len(), rest)),
        long @ 0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(long - 0x80))?;
            let length = length
                .iter()
                .fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
            Some((*tag, length, rest))
        }
        _ => None,
    }
}

/// RFC 4253 §6.6: the name of the algorithm, behind its length.
fn is_ssh(bytes: &[u8]) -> bool {
    let Some(([0, 0, 0, 7..=64], name)) = bytes.split_first_chunk() else {
        return false;
    };
    let names: [&[u8]; 3] = [b"ssh-", b"ecdsa-sha2-", b"sk-"];
    names.iter().any(|start| name.starts_with(start))
}

/// A key packet (RFC 9580 §5.5): tag, length, version, time, algorithm.
fn is_pgp(bytes: &[u8]) -> bool {
    let ([0x94 | 0x98, _, body @ ..]
    | [0x95 | 0x99, _, _, body @ ..]
    | [0xc5 | 0xc6, 0..=0xbf, body @ ..]
    | [0xc5 | 0xc6, 0xc0..=0xdf, _, body @ ..]) = bytes
    else {
        return false;
    };
    // From 1995 on.
    matches!(
        body,
        [
            3..=6,
            0x30..=0x7f,
            _,
            _,
            _,
            1..=3 | 16..=19 | 22 | 25..=28,
            ..,
        ]
    ) && bytes.len() > 40
}

fn is_key_store(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xfe, 0xed, 0xfe, 0xed]) || bytes.starts_with(&[0xce, 0xce, 0xce, 0xce])
}

/// An uncompressed point (SEC 1 §2.3.3) of a curve in use: no random bytes lie on one.
fn is_point(bytes: &[u8]) -> bool {
    let bytes = match bytes.len() {
        66 | 98 | 134 => bytes.strip_suffix(b"\n").unwrap_or(bytes),
        _ => bytes,
    };
    let on: &[&'static EcdsaVerificationAlgorithm] = match (bytes.first(), bytes.len()) {
        (Some(4), 65) => &[&ECDSA_P256_SHA256_FIXED, &ECDSA_P256K1_SHA256_FIXED],
        (Some(4), 97) => &[&ECDSA_P384_SHA384_FIXED],
        (Some(4), 133) => &[&ECDSA_P521_SHA512_FIXED],
        _ => return false,
    };
    on.iter()
        .any(|curve| ParsedPublicKey::new(*curve, bytes).is_ok())
}

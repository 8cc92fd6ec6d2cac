//! Does this look like key material of another kind than an HMAC secret?
//!
//! A public key in some wrapping, taken for the bytes of a secret, lets everybody who knows that key
//! sign tokens. Nothing here decides what is a good secret; it finds what nobody means as one. A
//! random secret is taken for something else once in more than 100,000 times, and its owner is told.
//! What has no structure at all, as the 32 bytes of a raw Ed25519 key, cannot be told from a secret.

mod binary;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const ALPHABETS: [GeneralPurpose; 2] = [
    GeneralPurpose::new(&STANDARD, LENIENT),
    GeneralPurpose::new(&URL_SAFE, LENIENT),
];

/// Encodings around encodings that are opened: base64 of PEM, which is base64 of DER, and one more.
const MAX_DEPTH: usize = 3;

/// The shortest run of base64 inside other text that is opened: 24 characters are 18 bytes, of which
/// every kind of key needs more.
const MIN_RUN: usize = 24;

/// What of a secret is looked at. Keys and certificates show themselves in their first bytes; a Secret
/// may have a megabyte.
const MAX_BYTES: usize = 64 * 1024;

/// Key material of another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// What it is.
    pub form: Form,
    /// What stands around it.
    pub wrapping: Wrapping,
}

/// Kinds of key material.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `-----BEGIN …-----`.
    Pem,
    /// Keys, certificates and containers in ASN.1.
    Der,
    /// A JSON Web Key, a set of them, or other JSON.
    Json,
    /// A JSON Web Token.
    Token,
    /// A public key of SSH.
    Ssh,
    /// A key of OpenPGP.
    Pgp,
    /// A keystore of Java.
    KeyStore,
    /// A key or certificate in XML.
    Xml,
    /// What openssl, keytool and others print for people.
    Printed,
    /// The raw point of an EC key.
    Point,
    /// Text in UTF-16 or UTF-32.
    WideText,
    /// Where a key set is, not a key.
    Url,
}

/// What stands around key material.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Wrapping {
    None,
    Base64,
    Hex,
    WideText,
}

impl Form {
    const fn name(self) -> &'static str {
        match self {
            Self::Pem => "PEM",
            Self::Der => "a certificate or key in DER",
            Self::Json => "JSON, such as a JSON Web Key",
            Self::Token => "a JSON Web Token",
            Self::Ssh => "an SSH public key",
            Self::Pgp => "an OpenPGP key",
            Self::KeyStore => "a Java keystore",
            Self::Xml => "a key or certificate in XML",
            Self::Printed => "a key or certificate as a tool prints it",
            Self::Point => "the raw point of an EC public key",
            Self::WideText => "text in UTF-16 or UTF-32",
            Self::Url => "a URL",
        }
    }

    /// What its owner may do.
    pub(crate) const fn advice(self) -> &'static str {
        match self {
            Self::Json => {
                "a public key goes in as PEM, an RSA key also as n and e, a key set as a URL in jwks; \
                 of a symmetric key (kty oct) put the decoded bytes of k there"
            }
            Self::Ssh => "convert it to PEM (ssh-keygen -e -m PKCS8)",
            Self::WideText => "save it as UTF-8 without a byte order mark",
            Self::Url => "put the URL of a key set into jwks",
            Self::Token => "put the key that signs tokens there",
            _ => "put a public key or certificate there as bare PEM",
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.form.name())?;
        f.write_str(match self.wrapping {
            Wrapping::None => "",
            Wrapping::Base64 => ", in base64",
            Wrapping::Hex => ", in hexadecimal",
            Wrapping::WideText => ", in UTF-16 or UTF-32",
        })
    }
}

/// What the bytes look like, unless they may be a secret.
pub(crate) fn recognize(bytes: &[u8]) -> Option<Foreign> {
    look(&bytes[..bytes.len().min(MAX_BYTES)], MAX_DEPTH)
}

fn look(bytes: &[u8], depth: usize) -> Option<Foreign> {
    let bare = |form| Foreign {
        form,
        wrapping: Wrapping::None,
    };
    if let Some(form) = binary::form(bytes).or_else(|| binary::form(without_lead(bytes))) {
        return Some(bare(form));
    }
    if let Some(narrow) = text::narrowed(bytes) {
        let inside = depth.checked_sub(1).and_then(|depth| look(&narrow, depth));
        return Some(inside.map_or(bare(Form::WideText), |inside| Foreign {
            form: inside.form,
            wrapping: Wrapping::WideText,
        }));
    }
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{feff}').trim();
    if let Some(form) = text::form(text) {
        return Some(bare(form));
    }
    encoded(text, depth.checked_sub(1)?)
}

/// Without what editors and tools put in front: a byte order mark, blanks, line ends, zeros.
fn without_lead(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let start = bytes
        .iter()
        .position(|byte| !byte.is_ascii_whitespace() && *byte != 0);
    &bytes[start.unwrap_or(bytes.len())..]
}

/// What stands in the text in base64 or hexadecimal, alone or with something around it.
fn encoded(text: &str, depth: usize) -> Option<Foreign> {
    let wrapped = |bytes: &[u8], wrapping| {
        look(bytes, depth).map(|inside| Foreign {
            form: inside.form,
            wrapping,
        })
    };
    if let Some(bytes) = text::hexadecimal(text)
        && let Some(found) = wrapped(&bytes, Wrapping::Hex)
    {
        return Some(found);
    }
    let compact: String = text.split_whitespace().collect();
    let runs = text.split(|c: char| !is_base64(c));
    let runs = runs.filter(|run| run.len() >= MIN_RUN);
    for run in std::iter::once(&*compact).chain(runs) {
        for alphabet in &ALPHABETS {
            // A run may be the first line of many: what is left over of its last group is not needed.
            let whole = run.trim_end_matches('=').as_bytes();
            let cut = &whole[..whole.len() - usize::from(whole.len() % 4 == 1)];
            if let Ok(bytes) = alphabet.decode(cut)
                && let Some(found) = wrapped(&bytes, Wrapping::Base64)
            {
                let is_token = found.form == Form::Json && text::is_token(text);
                let form = if is_token { Form::Token } else { found.form };
                return Some(Foreign { form, ..found });
            }
        }
    }
    None
}

const fn is_base64(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_')
}

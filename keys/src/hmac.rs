//! HMAC secrets.

#[cfg(test)]
mod tests;

use std::fmt;

use tidegate_config::policy::JwtAlgorithm;

use crate::algorithm::hash_bytes;
use crate::recognize::{Foreign, recognize};

/// The shortest hash of RFC 7518's HMAC algorithms, HS256's: a secret below that fits none.
const SHORTEST: JwtAlgorithm = JwtAlgorithm::HS256;

/// How long a secret must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecretLength {
    /// At least as long as the algorithm's hash (RFC 7518 §3.2).
    #[default]
    OfHash,
    /// Whatever its author says, one byte at least.
    Any,
}

impl SecretLength {
    /// The rule that `allowShortSecret` sets.
    pub const fn allowing_short(is_allowed: bool) -> Self {
        if is_allowed { Self::Any } else { Self::OfHash }
    }
}

/// Why bytes are not an HMAC secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// It has no byte other than white space.
    #[error("it is empty or blank")]
    Empty,
    /// Key material of another kind.
    #[error("it looks like {0}, which is not an HMAC secret: {advice}", advice = .0.form.advice())]
    Foreign(Foreign),
    /// Text that begins with U+FEFF.
    #[error(
        "it begins with a byte order mark, which would be a part of the secret: save it without one"
    )]
    ByteOrderMark,
    /// Text that ends with a line end.
    #[error(
        "it ends with a line end, as echo and editors write it, which would be a part of the secret: \
         write it without one (echo -n, printf %s, kubectl create secret --from-literal)"
    )]
    LineEnd,
    /// Fewer bytes than the hash has.
    #[error(
        "it has {bytes} bytes, and {algorithm:?} needs {needed} or more (RFC 7518 §3.2): use a longer one"
    )]
    TooShort {
        /// Length of the secret.
        bytes: usize,
        /// The algorithm that asks for more.
        algorithm: JwtAlgorithm,
        /// Length of its hash.
        needed: usize,
    },
}

/// A secret that HMAC algorithms may use: no key material of another kind, no leftover of an editor,
/// and long enough for one algorithm at least.
#[derive(Clone, PartialEq, Eq)]
pub struct HmacSecret {
    bytes: Box<[u8]>,
    length: SecretLength,
}

impl HmacSecret {
    /// Takes the bytes as they are; nothing is cut off or decoded.
    ///
    /// # Errors
    ///
    /// When the bytes look like something else, or are too few for every algorithm.
    pub fn parse(bytes: &[u8], length: SecretLength) -> Result<Self, InvalidSecret> {
        if bytes
            .iter()
            .all(|byte| byte.is_ascii_whitespace() || *byte == 0)
        {
            return Err(InvalidSecret::Empty);
        }
        if let Some(foreign) = recognize(bytes) {
            return Err(InvalidSecret::Foreign(foreign));
        }
        check_text(bytes)?;
        let secret = Self {
            bytes: bytes.into(),
            length,
        };
        secret.require(SHORTEST).map(|()| secret)
    }

    /// Whether `algorithm` is one of HMAC and the secret is long enough for it.
    pub fn fits(&self, algorithm: JwtAlgorithm) -> bool {
        hash_bytes(algorithm).is_some() && self.require(algorithm).is_ok()
    }

    /// As [`Self::fits`], with the reason.
    ///
    /// # Errors
    ///
    /// When the secret is shorter than the algorithm's hash and nobody has allowed that.
    pub fn require(&self, algorithm: JwtAlgorithm) -> Result<(), InvalidSecret> {
        let needed = hash_bytes(algorithm).unwrap_or_default();
        let bytes = self.bytes.len();
        if self.length == SecretLength::Any || bytes >= needed {
            return Ok(());
        }
        Err(InvalidSecret::TooShort {
            bytes,
            algorithm,
            needed,
        })
    }

    /// The secret itself.
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for HmacSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HmacSecret")
            .field("bytes", &self.bytes.len())
            .field("length", &self.length)
            .finish()
    }
}

/// A line end behind text, and a mark in front of it, come from tools, and no other party has them in
/// its copy of the secret. Random bytes may end with 0x0A as with any other.
fn check_text(bytes: &[u8]) -> Result<(), InvalidSecret> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Ok(());
    };
    if text.starts_with('\u{feff}') {
        return Err(InvalidSecret::ByteOrderMark);
    }
    let is_text = |text: &str| !text.contains(|c: char| c.is_control() && !"\t\r\n".contains(c));
    if text.ends_with(['\n', '\r']) && is_text(text) {
        return Err(InvalidSecret::LineEnd);
    }
    Ok(())
}

//! Hashes that stand in for a text: of parts, subscription keys and token audiences.

use sha2::{Digest, Sha256};

/// SHA-256 of a text, in lower-case hexadecimal digits: the hash that an index names a part by.
pub fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// Hash of a subscription key, as configurations carry it: its [`sha256`].
pub fn key_hash(key: &str) -> String {
    sha256(key)
}

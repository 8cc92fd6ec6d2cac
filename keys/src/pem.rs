//! Blocks of PEM inside whatever text stands around them (RFC 7468 §2 allows explanatory text).

use std::borrow::Cow;

/// How a block begins.
const BEGIN: &str = "-----BEGIN ";

/// One block, from its first dash to its last.
pub(crate) struct Block<'a> {
    pub(crate) label: &'a str,
    pub(crate) text: &'a str,
}

/// The bytes as text, when a block begins somewhere in them.
pub(crate) fn text(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let is_there = bytes
        .windows(BEGIN.len())
        .any(|window| window == BEGIN.as_bytes());
    // Text around a block may be of any encoding; the block itself is ASCII.
    is_there.then(|| String::from_utf8_lossy(bytes))
}

/// All whole blocks, in their order.
pub(crate) fn blocks(text: &str) -> impl Iterator<Item = Block<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(BEGIN)?;
        let body = &rest[start + BEGIN.len()..];
        let label = &body[..body.find("-----")?];
        let end = format!("-----END {label}-----");
        let end = start + rest[start..].find(&end)? + end.len();
        let text = &rest[start..end];
        rest = &rest[end..];
        Some(Block { label, text })
    })
}

/// Does anything in the text say that it is a private key, whole or not?
pub(crate) fn has_private_key(text: &str) -> bool {
    text.contains("PRIVATE KEY-----")
}

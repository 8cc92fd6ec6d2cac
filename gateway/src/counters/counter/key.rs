//! What is counted, and whose counts these are.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// The owner of keys, hashed: the Gateway for its own policies, or one namespace for all Products and
/// APIs of one namespace. Equal values in two spaces are two counts, and no space makes another one
/// forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Space([u8; 8]);

impl Space {
    /// Of a Gateway's own policies.
    pub(crate) fn of_gateway(namespace: &str) -> Self {
        Self(hashed(&["gateway", namespace]))
    }

    /// Of the policies of a namespace's Products and APIs.
    pub(crate) fn of_namespace(namespace: &str) -> Self {
        Self(hashed(&["namespace", namespace]))
    }
}

/// What is counted, as half of a SHA-256: collisions cannot be found, and the hash does not reveal who was
/// counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    space: Space,
    hash: [u8; 16],
}

impl Key {
    /// From all that makes it; `["a", "bc"]` and `["ab", "c"]` differ.
    pub(crate) fn new(space: Space, parts: &[&str]) -> Self {
        let space_of = [&space.0[..]].into_iter();
        let parts = parts.iter().map(|part| part.as_bytes());
        Self {
            space,
            hash: hashed_bytes(space_of.chain(parts)),
        }
    }

    /// A key below this one.
    pub(crate) fn of_part(self, part: &str) -> Self {
        Self::new(self.space, &[&self.to_string(), part])
    }

    pub(crate) fn space(self) -> Space {
        self.space
    }

    /// Tells it from all others, of other spaces as well.
    pub(crate) fn bytes(self) -> [u8; 16] {
        self.hash
    }
}

/// The first bytes of a hash of all parts.
pub(crate) fn hashed<const N: usize>(parts: &[&str]) -> [u8; N] {
    hashed_bytes(parts.iter().map(|part| part.as_bytes()))
}

fn hashed_bytes<'p, const N: usize>(parts: impl Iterator<Item = &'p [u8]>) -> [u8; N] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut first = [0; N];
    first.copy_from_slice(&digest[..N]);
    first
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = u64::from_be_bytes(self.space.0);
        let hash = u128::from_be_bytes(self.hash);
        write!(f, "{space:016x}{hash:032x}")
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (mut space, mut hash) = ([0; 8], [0; 16]);
        let parts = text.split_at_checked(16);
        let (first, second) = parts.ok_or_else(|| D::Error::custom("too short for a key"))?;
        hex::decode_to_slice(first, &mut space).map_err(D::Error::custom)?;
        hex::decode_to_slice(second, &mut hash).map_err(D::Error::custom)?;
        Ok(Self {
            space: Space(space),
            hash,
        })
    }
}

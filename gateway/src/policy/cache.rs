//! Values that handshakes leave for later ones: cacheLookup, cacheStore and cacheRemove use them.
//!
//! One store per namespace, with a limit on memory: one team can neither read nor evict another team's values.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;
use sha2::{Digest, Sha256};
use tidegate_expr::{Value, to_json};

use super::compile::{Compiler, InvalidPolicy};
use super::expression::{Computed, expression_failed};
use super::per_namespace::PerNamespace;
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// The weights of all values of a namespace together. What was used least goes first.
const MAX_KEPT: u64 = 32 * 1024 * 1024;

/// SHA-256: keys may be secret, and long.
type Key = [u8; 32];

/// All values that a namespace keeps.
pub(super) type Values = Cache<Key, Kept>;

/// A value that is kept.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(super) value: Value,
    ttl: Duration,
    /// Bytes that the value takes, roughly.
    weight: u32,
}

impl Kept {
    /// # Errors
    /// The refusal: the value has no JSON form, so that nobody can say how large it is.
    pub(super) fn new(value: Value, ttl: Duration) -> Result<Self, Refusal> {
        let json = to_json(&value).map_err(|error| expression_failed(error.to_string()))?;
        // A short text or number takes more than it shows.
        let bytes = 256 + 16 * json.to_string().len();
        let weight = u32::try_from(bytes).unwrap_or(u32::MAX);
        Ok(Self { value, ttl, weight })
    }
}

struct Age;

impl Expiry<Key, Kept> for Age {
    fn expire_after_create(&self, _: &Key, kept: &Kept, _: Instant) -> Option<Duration> {
        Some(kept.ttl)
    }

    fn expire_after_update(
        &self,
        _: &Key,
        kept: &Kept,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(kept.ttl)
    }
}

/// Nothing kept yet.
pub(super) fn values() -> PerNamespace<Values> {
    PerNamespace::new(|| {
        Cache::builder()
            .max_capacity(MAX_KEPT)
            .weigher(|_, kept: &Kept| kept.weight)
            .expire_after(Age)
            .build()
    })
}

/// The store and the key of a step's value.
#[derive(Debug)]
pub(super) struct CacheSlot {
    pub(super) values: Arc<Values>,
    key: Computed,
}

impl CacheSlot {
    pub(super) fn compile(
        field: &str,
        key: &str,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        Ok(Self {
            values: compiler
                .context
                .services
                .values
                .of(compiler.context.namespace),
            key: compiler.computed(field, key)?,
        })
    }

    pub(super) fn key(&self, exchange: &mut Exchange) -> Result<Key, Refusal> {
        Ok(Sha256::digest(self.key.text(exchange)?).into())
    }
}

#[cfg(test)]
mod tests;

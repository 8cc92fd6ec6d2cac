//! cacheLookup, cacheStore, cacheRemove: values that handshakes leave for later ones.
//!
//! One store per namespace, with a limit on memory: one team can neither read nor evict another team's values.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;
use sha2::{Digest, Sha256};
use tidegate_config::policy;
use tidegate_expr::{Value, to_json};

use super::Services;
use super::compile::{Compiler, InvalidPolicy};
use super::expression::{Computed, expression_failed, keep};
use super::per_namespace::PerNamespace;
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// All values of a namespace together, as [`weight`] tells. What was used least goes first.
const MAX_KEPT: u64 = 32 * 1024 * 1024;

/// SHA-256: keys may be secret, and long.
type Key = [u8; 32];

/// All values that a namespace keeps.
pub(super) type Values = Cache<Key, Kept>;

/// A value that is kept.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    value: Value,
    ttl: Duration,
    weight: u32,
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
struct CacheSlot {
    values: Arc<Values>,
    key: Computed,
}

impl CacheSlot {
    fn compile(field: &str, key: &str, compiler: &Compiler<'_>) -> Result<Self, InvalidPolicy> {
        Ok(Self {
            values: compiler
                .context
                .services
                .values
                .of(compiler.context.namespace),
            key: compiler.computed(field, key)?,
        })
    }

    fn key(&self, exchange: &mut Exchange) -> Result<Key, Refusal> {
        Ok(Sha256::digest(self.key.text(exchange)?).into())
    }
}

/// The policy, compiled.
#[derive(Debug)]
pub(super) struct CacheLookup {
    slot: CacheSlot,
    variable: String,
}

impl CacheLookup {
    pub(super) fn compile(
        policy: &policy::CacheLookup,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        Ok(Self {
            slot: CacheSlot::compile("cacheLookup.key", &policy.key, compiler)?,
            variable: policy.variable.clone(),
        })
    }

    pub(super) async fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        let key = self.slot.key(exchange)?;
        let kept = self.slot.values.get(&key).await;
        let value = kept.map_or(Value::Null, |kept| kept.value);
        keep(exchange, &self.variable, value)
    }
}

/// The policy, compiled.
#[derive(Debug)]
pub(super) struct CacheStore {
    slot: CacheSlot,
    value: Computed,
    ttl: Duration,
}

impl CacheStore {
    pub(super) fn compile(
        policy: &policy::CacheStore,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        Ok(Self {
            slot: CacheSlot::compile("cacheStore.key", &policy.key, compiler)?,
            value: compiler.computed("cacheStore.value", &policy.value)?,
            ttl: policy.ttl.get(),
        })
    }

    pub(super) async fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        let key = self.slot.key(exchange)?;
        let value = self.value.value(exchange)?;
        let kept = Kept {
            weight: weight(&value)?,
            value,
            ttl: self.ttl,
        };
        if !exchange.evaluation.is_dry_run() {
            self.slot.values.insert(key, kept).await;
        }
        Ok(())
    }
}

/// The policy, compiled.
#[derive(Debug)]
pub(super) struct CacheRemove {
    slot: CacheSlot,
}

impl CacheRemove {
    pub(super) fn compile(
        policy: &policy::CacheRemove,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let slot = CacheSlot::compile("cacheRemove.key", &policy.key, compiler)?;
        Ok(Self { slot })
    }

    pub(super) async fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        let key = self.slot.key(exchange)?;
        if !exchange.evaluation.is_dry_run() {
            self.slot.values.invalidate(&key).await;
        }
        Ok(())
    }
}

/// Bytes that a value takes, roughly: a short text or number takes more than it shows.
fn weight(value: &Value) -> Result<u32, Refusal> {
    let json = to_json(value).map_err(|error| expression_failed(error.to_string()))?;
    let bytes = 256 + 16 * json.to_string().len();
    Ok(u32::try_from(bytes).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;

//! cacheStore: leaves a value for later handshakes.

use std::time::Duration;

use tidegate_config::policy;

use super::Services;
use super::action::{Action, Compile, Later};
use super::cache::{CacheSlot, Kept};
use super::compile::{Compiler, InvalidPolicy};
use super::expression::Computed;
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// The policy, compiled.
#[derive(Debug)]
struct CacheStore {
    slot: CacheSlot,
    value: Computed,
    ttl: Duration,
}

impl Compile for policy::CacheStore {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        Ok(Action::later(CacheStore {
            slot: CacheSlot::compile("cacheStore.key", &self.key, compiler)?,
            value: compiler.computed("cacheStore.value", &self.value)?,
            ttl: self.ttl.get(),
        }))
    }
}

impl Later for CacheStore {
    async fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        let key = self.slot.key(exchange)?;
        let kept = Kept::new(self.value.value(exchange)?, self.ttl)?;
        if !exchange.evaluation.is_dry_run() {
            self.slot.values.insert(key, kept).await;
        }
        Ok(())
    }
}

//! cacheRemove: removes a value that an earlier handshake left.

use tidegate_config::policy;

use super::Services;
use super::action::{Action, Compile, Later};
use super::cache::CacheSlot;
use super::compile::{Compiler, InvalidPolicy};
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// The policy, compiled.
#[derive(Debug)]
struct CacheRemove {
    slot: CacheSlot,
}

impl Compile for policy::CacheRemove {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        let slot = CacheSlot::compile("cacheRemove.key", &self.key, compiler)?;
        Ok(Action::later(CacheRemove { slot }))
    }
}

impl Later for CacheRemove {
    async fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        let key = self.slot.key(exchange)?;
        if !exchange.evaluation.is_dry_run() {
            self.slot.values.invalidate(&key).await;
        }
        Ok(())
    }
}

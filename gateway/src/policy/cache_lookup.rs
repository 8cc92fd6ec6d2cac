//! cacheLookup: reads a value that an earlier handshake left.

use tidegate_config::policy;
use tidegate_expr::Value;

use super::Services;
use super::action::{Action, Compile, Later};
use super::cache::CacheSlot;
use super::compile::{Compiler, InvalidPolicy};
use super::expression::keep;
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// The policy, compiled.
#[derive(Debug)]
struct CacheLookup {
    slot: CacheSlot,
    variable: String,
}

impl Compile for policy::CacheLookup {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        Ok(Action::later(CacheLookup {
            slot: CacheSlot::compile("cacheLookup.key", &self.key, compiler)?,
            variable: self.variable.clone(),
        }))
    }
}

impl Later for CacheLookup {
    async fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        let key = self.slot.key(exchange)?;
        let kept = self.slot.values.get(&key).await;
        let value = kept.map_or(Value::Null, |kept| kept.value);
        keep(exchange, &self.variable, value)
    }
}

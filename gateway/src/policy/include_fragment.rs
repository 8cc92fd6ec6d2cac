//! includeFragment: a place. The planner has put the fragment's steps behind it, and the pipeline skips them
//! when its condition does not hold.

use tidegate_config::policy;

use super::Services;
use super::action::{Action, Compile, Now};
use super::compile::{Compiler, InvalidPolicy};
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// The policy, compiled.
#[derive(Debug)]
struct IncludeFragment;

impl Compile for policy::IncludeFragment {
    fn compile(&self, _: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        Ok(Action::now(IncludeFragment))
    }
}

impl Now for IncludeFragment {
    fn run(&self, _: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        Ok(())
    }
}

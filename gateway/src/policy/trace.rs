//! trace: an entry of the handshake's trace, and a line of the gateway's log at level debug.

use tidegate_config::policy;

use super::action::{Action, Compile};
use super::compile::{Compiler, InvalidPolicy};
use super::log::Log;

impl Compile for policy::Trace {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        Log::tracing(self, compiler).map(Action::now)
    }
}

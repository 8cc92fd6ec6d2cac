//! setVariable: keeps a value for later steps.

use tidegate_config::policy;

use super::Services;
use super::action::{Action, Compile, Now};
use super::compile::{Compiler, InvalidPolicy};
use super::expression::{Computed, keep};
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// The policy, compiled.
#[derive(Debug)]
struct SetVariable {
    name: String,
    value: Computed,
}

impl SetVariable {
    fn compile(
        policy: &policy::SetVariable,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        Ok(Self {
            name: policy.name.clone(),
            value: compiler.computed("setVariable.value", &policy.value)?,
        })
    }
}

impl Compile for policy::SetVariable {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        SetVariable::compile(self, compiler).map(Action::now)
    }
}

impl Now for SetVariable {
    fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        let value = self.value.value(exchange)?;
        keep(exchange, &self.name, value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::policy::tests::{exchange, run_inbound};

    #[tokio::test]
    async fn later_steps_read_the_value() {
        let steps = [
            json!({"setVariable": {"name": "n", "value": "[1, 2].map(i, i * 10)"}}),
            json!({"setVariable": {"name": "n", "value": "vars.n[1] + 1"}}),
            json!({"setHeader": {"name": "x-n", "values": ["${vars.n}"]}}),
        ];
        let mut exchange = exchange(&[]);
        run_inbound(&steps, &mut exchange).await.unwrap();
        assert_eq!(exchange.upstream.headers["x-n"], "21");
    }
}

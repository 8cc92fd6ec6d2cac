//! setQueryParameter: changes a parameter of the backend's URL; all others stay byte for byte.

use tidegate_config::policy::{self, IfExists};

use super::Services;
use super::action::{Action, Compile, Now};
use super::compile::{Compiler, InvalidPolicy};
use super::expression::{Text, render_all};
use super::size::upstream_fits;
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// The policy, compiled.
#[derive(Debug)]
struct SetQueryParameter {
    name: String,
    values: Vec<Text>,
    if_exists: IfExists,
}

impl SetQueryParameter {
    fn compile(
        policy: &policy::SetQueryParameter,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        Ok(Self {
            name: policy.name.clone(),
            values: compiler.texts("setQueryParameter.values", &policy.values)?,
            if_exists: policy.if_exists,
        })
    }
}

impl Compile for policy::SetQueryParameter {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        SetQueryParameter::compile(self, compiler).map(Action::now)
    }
}

impl Now for SetQueryParameter {
    fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        let values = render_all(&self.values, exchange)?;
        exchange
            .upstream
            .query
            .change(&self.name, &values, self.if_exists);
        upstream_fits(exchange)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::policy::tests::{exchange_to, run_inbound};

    #[tokio::test]
    async fn parameters_of_the_backends_url_change() {
        for (name, step, expected) in [
            (
                "override",
                json!({"name": "a", "values": ["${client.ip} &"]}),
                "/b?k=1&a=192.0.2.7%20%26&b=%2F",
            ),
            (
                "append",
                json!({"name": "a", "values": ["2"], "ifExists": "Append"}),
                "/b?k=1&a=1&b=%2F&a=2",
            ),
            (
                "skip",
                json!({"name": "a", "values": ["2"], "ifExists": "Skip"}),
                "/b?k=1&a=1&b=%2F",
            ),
            (
                "delete",
                json!({"name": "a", "ifExists": "Delete"}),
                "/b?k=1&b=%2F",
            ),
        ] {
            let mut exchange = exchange_to("ws://backend/b?k=1", Some("a=1&b=%2F"));
            run_inbound(&[json!({ "setQueryParameter": step })], &mut exchange)
                .await
                .unwrap();
            assert_eq!(exchange.upstream.path_and_query(), expected, "{name}");
        }
    }
}

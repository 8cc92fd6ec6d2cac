//! emitMetric: adds to a counter of the policy's own. `docs/metrics.md` describes it.

use tidegate_config::policy;

use super::Services;
use super::action::{Action, Compile, Now};
use super::compile::{Compiler, InvalidPolicy};
use super::expression::{Text, expression_failed};
use crate::exchange::Exchange;
use crate::refusal::Refusal;
use crate::telemetry::custom_metrics::LONGEST_VALUE;

/// The policy, compiled.
#[derive(Debug)]
struct EmitMetric {
    name: String,
    value: Text,
    labels: Vec<(String, Text)>,
}

impl EmitMetric {
    fn compile(
        policy: &policy::EmitMetric,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        if let Some(name) = policy.clash() {
            let problem = format!("there is already a label \"{name}\"");
            return Err(compiler.invalid("emitMetric.labels", problem));
        }
        let labels = policy.labels.iter().enumerate().map(|(i, label)| {
            let value = compiler.text(&format!("emitMetric.labels[{i}].value"), &label.value)?;
            Ok((label.name.clone(), value))
        });
        let value = compiler.text("emitMetric.value", &policy.value)?;
        if let Some(literal) = value.literal() {
            amount(literal).map_err(|error| compiler.invalid("emitMetric.value", error))?;
        }
        Ok(Self {
            name: policy.name.clone(),
            value,
            labels: labels.collect::<Result<_, _>>()?,
        })
    }
}

impl Compile for policy::EmitMetric {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        EmitMetric::compile(self, compiler).map(Action::now)
    }
}

impl Now for EmitMetric {
    fn run(&self, exchange: &mut Exchange, services: &Services) -> Result<(), Refusal> {
        let value = amount(&self.value.render(exchange)?).map_err(expression_failed)?;
        exchange.add_credentials();
        let mut labels = Vec::with_capacity(self.labels.len());
        for (name, text) in &self.labels {
            let text = text.render(exchange)?;
            labels.push((
                name.clone(),
                exchange.masked_beginning(&text, LONGEST_VALUE),
            ));
        }
        if !exchange.evaluation.is_dry_run() {
            let metrics = &services.custom_metrics;
            metrics.add(&self.name, &exchange.api.key, labels, value);
        }
        Ok(())
    }
}

/// What a counter can be raised by.
fn amount(text: &str) -> Result<f64, String> {
    let number = text.trim().parse().ok();
    let fits = number.filter(|number: &f64| number.is_finite() && *number >= 0.0);
    fits.ok_or_else(|| {
        format!(
            "emitMetric adds a number from 0, not \"{}\"",
            text.escape_debug()
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidegate_config::SecretData;

    use crate::policy::tests::{compile_error, exchange, pipeline, refused, services};
    use crate::refusal::Reason;

    #[tokio::test]
    async fn each_run_adds_under_its_labels_without_secrets() {
        let services = services();
        let steps = json!({"inbound": [
            {"emitMetric": {"name": "seen_total", "labels": [
                {"name": "room", "value": "${request.params.room}"},
                {"name": "auth", "value": "${request.header('authorization')}"},
            ]}},
            {"emitMetric": {"name": "weight", "value": "${request.header('x-weight')}"}},
        ]});
        let pipeline = pipeline(steps, &SecretData::default(), &services);
        for _ in 0..2 {
            let headers = [("authorization", "Bearer top-secret"), ("x-weight", "0.5")];
            pipeline
                .inbound(&mut exchange(&headers), &services)
                .await
                .unwrap();
        }
        let text = services.custom_metrics.render();
        let seen =
            "tidegate_custom_seen_total{api=\"apps/chat\",room=\"blue\",auth=\"Bearer ***\"} 2\n";
        assert!(text.contains(seen), "{text}");
        assert!(
            text.contains("tidegate_custom_weight{api=\"apps/chat\"} 1\n"),
            "{text}"
        );
        for odd in ["-1", "NaN", "inf", "many", ""] {
            let mut exchange = exchange(&[("authorization", "x"), ("x-weight", odd)]);
            let refusal = refused(pipeline.inbound(&mut exchange, &services).await);
            assert_eq!(
                (refusal.status, refusal.reason),
                (500, Reason::ExpressionFailed)
            );
        }
    }

    #[test]
    fn labels_are_told_apart_and_from_ours() {
        let label = |name: &str| json!({"name": name, "value": "x"});
        for (labels, name) in [
            ([label("a"), label("a")], "a"),
            ([label("a"), label("api")], "api"),
        ] {
            let error = compile_error(json!({"emitMetric": {"name": "n", "labels": labels}}));
            assert!(
                error.contains(&format!("already a label \"{name}\"")),
                "{error}"
            );
        }
        let error = compile_error(json!({"emitMetric": {"name": "n", "value": "-1"}}));
        assert!(error.contains("a number from 0"), "{error}");
    }
}

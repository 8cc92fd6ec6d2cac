//! Checks a step like `tidegate validate`: schema and expressions.

use std::sync::LazyLock;

use serde_json::{Value, json};
use tidegate_api::Validator;
use tidegate_config::ExpressionKind;
use tidegate_config::policy::{OnHandshake, Section};
use tidegate_expr::{Program, Stage, Template};

/// Shared, because it keeps compiled rules.
static VALIDATOR: LazyLock<Validator> = LazyLock::new(Validator::default);

/// Checks steps one by one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Probe;

impl Probe {
    /// What is wrong with a step; `None`: it is valid.
    pub(super) fn check(self, section: Section, step: &Value) -> Option<String> {
        let on_handshake = json!({section.field(): [step]});
        let document = json!({
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": "WebSocketApi",
            "metadata": {"name": "probe"},
            "spec": {
                "path": "/",
                "gateways": [{"name": "probe"}],
                "backend": {"url": "ws://probe.example/"},
                "onHandshake": on_handshake,
            },
        });
        if let Some(finding) = VALIDATOR.validate(&document).first() {
            return Some(finding.to_string());
        }
        match serde_json::from_value::<OnHandshake>(on_handshake) {
            Ok(steps) => compile(&steps),
            Err(error) => Some(error.to_string()),
        }
    }
}

fn compile(steps: &OnHandshake) -> Option<String> {
    for (section, _, step) in steps.steps() {
        for expression in step.expressions() {
            let stage = match section {
                Section::Inbound if !expression.is_deferrable => Stage::Inbound,
                Section::Inbound | Section::Outbound => Stage::Outbound,
                Section::OnError => Stage::OnError,
            };
            let error = match expression.kind {
                ExpressionKind::Condition => Program::condition(expression.text, stage).err(),
                ExpressionKind::Value => Program::value(expression.text, stage).err(),
                ExpressionKind::Template => Template::compile(expression.text, stage).err(),
            };
            if let Some(error) = error {
                return Some(format!("{}: {error}", expression.field));
            }
        }
    }
    None
}

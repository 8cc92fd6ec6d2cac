//! Checks a step like `tidegate validate`: schema, expressions, and the planner's own rules.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tidegate_api::{Gateway, Validator, WebSocketApi};
use tidegate_config::ExpressionKind;
use tidegate_config::policy::{OnHandshake, Section};
use tidegate_expr::{Program, Stage, Template};
use tidegate_plan::{World, plan};

use super::service::values_of;
use super::steps::AUDIENCE;

/// Shared, because it keeps compiled rules.
static VALIDATOR: LazyLock<Validator> = LazyLock::new(Validator::default);

/// Checks steps one by one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Probe;

impl Probe {
    /// What is wrong with a step; `None`: it is valid.
    pub(super) fn check(self, section: Section, step: &Value) -> Option<String> {
        let on_handshake = json!({section.field(): [step]});
        let document = object(
            "WebSocketApi",
            json!({
                "path": "/",
                "gateways": [{"name": "probe"}],
                "backend": {"url": "ws://probe.example/"},
                "values": values(step),
                "onHandshake": on_handshake,
            }),
        );
        if let Some(finding) = VALIDATOR.validate(&document).first() {
            return Some(finding.to_string());
        }
        match serde_json::from_value::<OnHandshake>(on_handshake) {
            Ok(steps) => compile(&steps).or_else(|| planned(&document)),
            Err(error) => Some(error.to_string()),
        }
    }
}

fn object(kind: &str, spec: Value) -> Value {
    let metadata = json!({"name": "probe", "namespace": "probe"});
    json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

/// The named values that a step reads.
fn values(step: &Value) -> Vec<Value> {
    let names: BTreeSet<_> = values_of(&step.to_string()).into_iter().collect();
    let value = |name| json!({"name": name, "value": "x"});
    names.into_iter().map(value).collect()
}

/// What the planner does not accept. What a step refers to may exist elsewhere.
fn planned(api: &Value) -> Option<String> {
    let listener = json!({"name": "plain", "port": 8080, "protocol": "WS"});
    let deployment = json!({"tokenAudiences": [AUDIENCE]});
    let spec = json!({"listeners": [listener], "deployment": deployment});
    let gateway = object("Gateway", spec);
    let mut world = World::default();
    world.add::<Gateway>(typed(&gateway)?);
    world.add::<WebSocketApi>(typed(api)?);
    let plan = plan(&world);
    let verdict = plan.api_verdicts.into_values().next()?;
    let accepted = verdict.conditions.accepted;
    (!accepted.status).then_some(accepted.message)
}

fn typed<K: DeserializeOwned>(object: &Value) -> Option<Arc<K>> {
    let object = VALIDATOR.defaulted(object);
    serde_json::from_value(object).ok().map(Arc::new)
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

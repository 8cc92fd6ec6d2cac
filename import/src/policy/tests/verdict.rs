//! What the API server and the planner object to.

use std::sync::{Arc, LazyLock};

use serde::de::DeserializeOwned;
use serde_json::Value;
use tidegate_api::{Gateway, PolicyFragment, Validator, WebSocketApi};
use tidegate_plan::{World, plan};

/// Shared, because it keeps compiled rules.
static VALIDATOR: LazyLock<Validator> = LazyLock::new(Validator::new);

/// Everything that must change before all objects are accepted.
pub(super) fn objections(objects: &[Value]) -> Vec<String> {
    let validator = &VALIDATOR;
    let (mut found, mut world) = (Vec::new(), World::default());
    for object in objects {
        let findings = validator.validate(object);
        found.extend(findings.iter().map(ToString::to_string));
        let mut object = validator.defaulted(object);
        object["metadata"]["namespace"] = "default".into();
        match object["kind"].as_str().unwrap() {
            "Gateway" => world.add::<Gateway>(typed(object)),
            "WebSocketApi" => world.add::<WebSocketApi>(typed(object)),
            "PolicyFragment" => world.add::<PolicyFragment>(typed(object)),
            other => panic!("no test makes a {other}"),
        }
    }
    let plan = plan(&world);
    let gateways = plan.gateway_verdicts.values().map(|of| &of.conditions);
    let apis = plan.api_verdicts.values().map(|of| &of.conditions);
    let fragments = plan.fragment_verdicts.values().map(|of| &of.conditions);
    for conditions in gateways.chain(apis).chain(fragments) {
        let states = conditions.each().into_iter();
        let unmet = states.filter(|(_, state)| !state.status);
        found.extend(unmet.map(|(_, state)| state.message.clone()));
    }
    let warnings = plan.api_verdicts.values().flat_map(|of| &of.warnings);
    found.extend(warnings.cloned());
    found
}

fn typed<K: DeserializeOwned>(object: Value) -> Arc<K> {
    Arc::new(serde_json::from_value(object).unwrap())
}

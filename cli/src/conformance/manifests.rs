//! The objects that a gateway must serve before the cases can run.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::case::Case;
use super::token;

/// Name of the Secret and the ConfigMap for TLS.
const TLS: &str = "conformance-tls";

/// The Gateway that the cases are for.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name.
    pub gateway: String,
    /// Port of its plain listener.
    pub port: u16,
    /// Port of its TLS listener.
    pub tls_port: u16,
    /// Whether the operator runs its pods.
    pub managed: bool,
}

/// The Gateway and all objects of these cases, except those that must be rejected.
pub fn manifests<'a>(cases: impl Iterator<Item = &'a Case>, target: &Target) -> Vec<Value> {
    let played: Vec<_> = cases.filter(|case| case.refused.is_none()).collect();
    let of_cases = played.iter().flat_map(|case| of_case(case, target));
    let of_cases: Vec<_> = of_cases.collect();
    [certificates(), vec![gateway(&played, target)], of_cases].concat()
}

/// The objects of one case: its own, and a WebSocketApi unless it has one.
pub fn of_case(case: &Case, target: &Target) -> Vec<Value> {
    let mut objects = vec![api(case, target)];
    objects.extend(case.objects.iter().cloned());
    objects
}

fn api(case: &Case, target: &Target) -> Value {
    let name = &case.name;
    let mut spec = Map::new();
    spec.insert("gateways".to_owned(), json!([{"name": target.gateway}]));
    spec.insert("path".to_owned(), json!(format!("/{name}")));
    spec.insert("subscriptionRequired".to_owned(), json!(false));
    spec.extend(case.api.clone());
    json!({
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "WebSocketApi",
        "metadata": {"name": name},
        "spec": spec,
    })
}

/// The Gateway. Its steps are those of all cases; each runs for the API of its case only.
pub fn gateway(cases: &[&Case], target: &Target) -> Value {
    let values = cases.iter().flat_map(|c| c.gateway_values.clone());
    let values: Vec<_> = values.collect();
    let mut spec = json!({
        "listeners": [
            {"name": "plain", "port": target.port, "protocol": "WS"},
            {"name": "secure", "port": target.tls_port, "protocol": "WSS", "tls": {
                "certificateRefs": [{"name": TLS}],
                "clientCertificates": "Optional",
                "clientCaRef": {"kind": "ConfigMap", "name": TLS, "key": "ca.crt"},
            }},
        ],
        "drain": {"window": "1s", "closeTimeout": "1s"},
        "onHandshake": sections(cases),
        "values": values,
    });
    if !target.managed {
        spec["deployment"] = json!({"managed": false});
    }
    json!({
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "Gateway",
        "metadata": {"name": target.gateway},
        "spec": spec,
    })
}

fn sections(cases: &[&Case]) -> BTreeMap<String, Vec<Value>> {
    let mut sections: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for case in cases {
        for (section, steps) in &case.gateway {
            let all = sections.entry(section.clone()).or_default();
            all.extend(steps.iter().map(|step| guarded(step, &case.name)));
        }
    }
    sections
}

/// Certificate and trusted CA of the TLS listener.
pub fn certificates() -> Vec<Value> {
    let pair = json!({"tls.crt": token::BACKEND, "tls.key": token::BACKEND_KEY});
    vec![
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": TLS}, "stringData": pair,
        }),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": TLS}, "data": {"ca.crt": token::AUTHORITY},
        }),
    ]
}

fn guarded(step: &Value, case: &str) -> Value {
    let own = format!("api.name == {case:?}");
    let mut step = step.clone();
    step["when"] = match step["when"].as_str() {
        Some(when) => json!(format!("{own} && ({when})")),
        None => json!(own),
    };
    step
}

mod meaning;

use std::path::Path;

use super::*;
use crate::arm;

/// The manifests of a template with these resources, and what was said.
fn built(resources: &Value) -> (Vec<Value>, String) {
    let template = json!({"resources": resources}).to_string();
    let (entities, mut findings) = arm::entities(Path::new("a.json"), &template, &[]).unwrap();
    let built = build(&entities, "edge", &Identity::default());
    findings.extend(built.findings);
    let said: Vec<_> = findings.iter().map(ToString::to_string).collect();
    (built.objects, said.join("\n"))
}

fn resource(kind: &str, name: &str, properties: Value) -> Value {
    let kind = format!("Microsoft.ApiManagement/service/{kind}");
    json!({"type": kind, "name": format!("apim/{name}"), "properties": properties})
}

fn chat(more: Value) -> Value {
    let mut properties = json!({
        "type": "websocket", "path": "chat", "serviceUrl": "wss://chat.example", "protocols": ["wss", "ws"],
    });
    for (name, value) in more.as_object().unwrap() {
        properties[name] = value.clone();
    }
    resource("apis", "chat", properties)
}

fn one<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind} in {objects:#?}"))
}

#[test]
fn an_api_keeps_what_its_handshakes_depend_on() {
    let (objects, said) = built(&json!([chat(json!({
        "displayName": "Chat", "subscriptionRequired": false,
        "subscriptionKeyParameterNames": {"header": "api-key", "query": "key"},
        "contact": {"name": "Ann", "email": null},
    }))]));
    assert_eq!(said, "");
    let spec = json!({
        "displayName": "Chat", "contact": {"name": "Ann"}, "gateways": [{"name": "edge"}],
        "path": "/chat", "backend": {"url": "wss://chat.example"}, "subscriptionRequired": false,
        "subscriptionKey": {"header": "api-key", "query": "key"},
    });
    assert_eq!(one(&objects, "WebSocketApi")["spec"], spec);
}

#[test]
fn what_is_skipped_is_said() {
    let apis = |properties| json!([resource("apis", "rest", properties)]);
    for (resources, wanted) in [
        (
            apis(json!({"path": "rest"})),
            "note: skipped: the API rest is of type http",
        ),
        (
            json!([resource("products", "p", json!({"state": "published"}))]),
            "note: skipped: the product p has no WebSocket API",
        ),
        (
            json!([resource(
                "subscriptions",
                "s",
                json!({"scope": "/products/p"})
            )]),
            "note: skipped: the subscription s",
        ),
        (
            json!([resource("caches", "c", json!({}))]),
            "warning: skipped: caches c",
        ),
        (
            json!([resource("loggers", "l", json!({}))]),
            "note: skipped: loggers l",
        ),
        (
            json!([{"type": "Microsoft.Insights/components", "name": "x"}]),
            "note: skipped: microsoft.insights",
        ),
        (
            json!([{"type": "Microsoft.ApiManagement/service/apis", "name": "[uniqueString('X')]"}]),
            "error: its name cannot be evaluated",
        ),
        (
            json!([{"type": "Microsoft.Resources/deployments", "name": "d", "properties": {}}]),
            "error: a linked template",
        ),
    ] {
        let (_, said) = built(&resources);
        assert!(said.contains(wanted), "{wanted}: {said}");
        assert!(said.starts_with("a.json:1:1: "), "{said}");
    }
}

#[test]
fn what_is_left_out_of_an_api_is_said() {
    let policy = resource(
        "apis/policies",
        "chat/policy",
        json!({"value": "<policies/>"}),
    );
    let set = json!({"apiVersion": "v2", "apiVersionSet": {"versioningScheme": "Query"}});
    for (resources, wanted) in [
        (
            json!([chat(json!({"authenticationSettings": {"a": 1}}))]),
            "warning: apis chat: authenticationSettings",
        ),
        (
            json!([chat(json!({"protocols": ["wss"]}))]),
            "warning: protocols is left out",
        ),
        (json!([chat(set)]), "error: the API chat has its version v2"),
        (
            json!([chat(json!({})), policy]),
            "error: refuses with 501 instead: policies of a WebSocket API",
        ),
    ] {
        let (_, said) = built(&resources);
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let segment = json!({"apiVersion": "v2", "apiVersionSet": {"versioningScheme": "Segment"}});
    let (objects, _) = built(&json!([chat(segment)]));
    assert_eq!(one(&objects, "WebSocketApi")["spec"]["path"], "/chat/v2");
}

#[test]
fn subscriptions_keep_scope_state_and_given_keys() {
    let keys = json!({
        "scope": "/products/gold", "state": "submitted",
        "primaryKey": "a-primary-key-long-enough", "secondaryKey": "a-secondary-key-long-enough",
    });
    let (objects, _) = built(&json!([
        chat(json!({})),
        resource(
            "products",
            "gold",
            json!({"state": "published", "approvalRequired": true})
        ),
        resource("products/apis", "gold/chat", json!({})),
        resource("subscriptions", "waiting", keys),
        resource(
            "subscriptions",
            "all",
            json!({"scope": "/apis", "state": "suspended", "allowTracing": true})
        ),
        resource(
            "subscriptions",
            "one",
            json!({"scope": "[resourceId('x', 'apim', 'chat')]"})
        ),
    ]));
    let product = &one(&objects, "Product")["spec"];
    assert_eq!(product["approvalRequired"], true);
    assert_eq!(product["apis"], json!([{"name": "chat"}]));
    let subscriptions = objects.iter().filter(|o| o["kind"] == "Subscription");
    let specs: Vec<_> = subscriptions.map(|object| &object["spec"]).collect();
    let waiting = json!({"scope": {"product": "gold"}, "keys": {"secretName": "waiting-imported"}});
    let all = json!({"scope": {"gateway": "edge"}, "state": "Suspended", "allowTracing": true});
    assert_eq!(specs, [&waiting, &all]);
    assert_eq!(
        one(&objects, "Secret")["stringData"]["primaryKey"],
        "a-primary-key-long-enough"
    );
}

#[test]
fn policies_bring_their_values_backends_and_fragments_along() {
    let policy = r#"<policies><inbound><base/><include-fragment fragment-id="Who"/>
        <set-backend-service backend-id="other"/>
        <set-header name="X-Key"><value>{{region}} {{the-key}}</value></set-header>
        </inbound></policies>"#;
    let fragment = "<fragment><check-header name=\"X-Who\" failed-check-httpcode=\"403\" failed-check-error-message=\"who\" ignore-case=\"true\"/></fragment>";
    let (objects, said) = built(&json!([
        chat(json!({})),
        resource(
            "apis/operations/policies",
            "chat/onHandshake/policy",
            json!({"value": policy, "format": "rawxml"})
        ),
        resource("policyFragments", "who", json!({"value": fragment})),
        resource(
            "backends",
            "other",
            json!({"url": "wss://other.example", "protocol": "http"})
        ),
        resource(
            "namedValues",
            "r",
            json!({"displayName": "region", "value": "eu"})
        ),
        resource(
            "namedValues",
            "k",
            json!({"displayName": "the-key", "secret": true})
        ),
        resource(
            "namedValues",
            "u",
            json!({"displayName": "unused", "value": "x"})
        ),
    ]));
    let steps = &one(&objects, "WebSocketApi")["spec"]["onHandshake"]["inbound"];
    assert_eq!(steps[1], json!({"includeFragment": {"name": "who"}}));
    let steps_of_fragment = &one(&objects, "PolicyFragment")["spec"]["steps"];
    assert_eq!(steps_of_fragment[0]["checkHeader"]["name"], "X-Who");
    let backend = &one(&objects, "WebSocketApi")["spec"]["backend"];
    assert_eq!(backend, &json!({"url": "wss://other.example"}));
    let header = &steps[2]["setHeader"]["values"][0];
    assert_eq!(header, "${values.region} ${values.the_key}");
    let values = &one(&objects, "Gateway")["spec"]["values"];
    assert_eq!(values[0], json!({"name": "region", "value": "eu"}));
    assert_eq!(values[1]["secretKeyRef"]["key"], "the_key");
    assert!(
        said.contains("error: add the named value the_key to the Secret"),
        "{said}"
    );
    assert!(
        said.contains("note: skipped: no imported policy reads the named value unused"),
        "{said}"
    );
}

#[test]
fn fragments_that_include_themselves_end_in_a_refusal() {
    let policy =
        r#"<policies><inbound><include-fragment fragment-id="loop"/></inbound></policies>"#;
    let fragment = r#"<fragment><include-fragment fragment-id="loop"/></fragment>"#;
    let (objects, said) = built(&json!([
        chat(json!({})),
        resource(
            "apis/operations/policies",
            "chat/onHandshake/policy",
            json!({"value": policy})
        ),
        resource("policyFragments", "loop", json!({"value": fragment})),
    ]));
    let steps = &one(&objects, "WebSocketApi")["spec"]["onHandshake"]["inbound"];
    assert_eq!(steps[0], json!({"includeFragment": {"name": "loop"}}));
    let steps = &one(&objects, "PolicyFragment")["spec"]["steps"];
    assert_eq!(steps[0]["returnResponse"]["status"], 501);
    assert!(said.contains("the fragment includes itself"), "{said}");
}

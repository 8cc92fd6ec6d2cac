//! Two objects that want the same.

use serde_json::{Value, json};

use crate::support::{api_reasons, api_verdict, edge, empty, key, pair, served, served_names};

#[test]
fn the_older_api_has_the_path() {
    let other = |patch: Value| patch;
    let cases = [
        (
            "same path",
            json!({"path": "/a"}),
            other(json!({"path": "/a"})),
            true,
        ),
        (
            "other path",
            json!({"path": "/a"}),
            json!({"path": "/b"}),
            false,
        ),
        (
            "other match",
            json!({"path": "/a"}),
            json!({"path": "/a", "pathMatch": "Prefix"}),
            false,
        ),
        (
            "templates that differ in a name",
            json!({"path": "/r/{a}", "pathMatch": "Template"}),
            json!({"path": "/r/{b}", "pathMatch": "Template"}),
            true,
        ),
        (
            "other host",
            json!({"path": "/a", "hostnames": ["x.example"]}),
            json!({"path": "/a", "hostnames": ["y.example"]}),
            false,
        ),
        (
            "one host in common",
            json!({"path": "/a", "hostnames": ["x.example", "y.example"]}),
            json!({"path": "/a", "hostnames": ["z.example", "y.example"]}),
            true,
        ),
        (
            "a more specific host is another host",
            json!({"path": "/a", "hostnames": ["*.example"]}),
            json!({"path": "/a", "hostnames": ["y.example"]}),
            false,
        ),
    ];
    for (name, first, second, conflict) in cases {
        let plan = edge().api("older", first).api("newer", second).plan();
        assert_eq!(
            api_reasons(&plan, "older"),
            pair("Accepted", "ResolvedRefs"),
            "{name}"
        );
        let reason = if conflict { "Conflict" } else { "Accepted" };
        assert_eq!(api_reasons(&plan, "newer").0, reason, "{name}");
        assert_eq!(served(&plan, "edge", "newer").is_none(), conflict, "{name}");
        if conflict {
            let message = &api_verdict(&plan, "newer").verdict.accepted.message;
            assert!(
                message.contains("WebSocketApi shop/older"),
                "{name}: {message}"
            );
        }
    }
}

#[test]
fn age_decides_and_then_the_name() {
    let built = edge()
        .api("z", json!({"path": "/same"}))
        .api("a", json!({"path": "/same"}));
    assert_eq!(served_names(&built.plan(), "edge"), ["z"]);

    let mut same_age = built;
    for api in &mut same_age.world.apis {
        let mut changed = api.as_ref().clone();
        changed.metadata.creation_timestamp = None;
        *api = changed.into();
    }
    assert_eq!(served_names(&same_age.plan(), "edge"), ["a"]);
}

#[test]
fn a_conflict_on_one_gateway_leaves_the_others() {
    let both = json!([{"name": "edge"}, {"name": "inner"}]);
    let plan = edge()
        .gateway("inner", json!({}))
        .api("older", json!({"path": "/same"}))
        .api("newer", json!({"path": "/same", "gateways": both}))
        .plan();
    assert_eq!(served_names(&plan, "edge"), ["older"]);
    assert_eq!(served_names(&plan, "inner"), ["newer"]);
    assert_eq!(api_reasons(&plan, "newer").0, "Conflict");
}

#[test]
fn an_api_that_moves_onto_anothers_path_stays_where_it_was() {
    let before = edge()
        .api("older", json!({"path": "/a"}))
        .api("newer", json!({"path": "/b"}));
    let plan = before.served().api("newer", json!({"path": "/a"})).plan();
    assert_eq!(served(&plan, "edge", "older").unwrap().path, "/a");
    assert_eq!(served(&plan, "edge", "newer").unwrap().path, "/b");
    assert_eq!(api_reasons(&plan, "newer").0, "Conflict");
    let message = &api_verdict(&plan, "newer").verdict.accepted.message;
    assert!(
        message.ends_with("the last version that worked is served"),
        "{message}"
    );
}

#[test]
fn of_two_listeners_the_first_has_the_port() {
    let listener = |name: &str, port: u16, patch: Value| {
        let mut listener = json!({"name": name, "port": port, "protocol": "WS"});
        listener
            .as_object_mut()
            .unwrap()
            .extend(patch.as_object().unwrap().clone());
        listener
    };
    let tls = json!({"certificateRefs": [{"name": "none"}]});
    for (name, second, conflict) in [
        ("other port", listener("b", 82, json!({})), false),
        ("same port", listener("b", 81, json!({})), true),
        (
            "same port, other host",
            listener("b", 81, json!({"hostnames": ["x.example"]})),
            false,
        ),
        (
            "same port, other protocol",
            listener("b", 81, json!({"protocol": "WSS", "tls": tls})),
            true,
        ),
        (
            "same port, other host, with PROXY headers",
            listener(
                "b",
                81,
                json!({"hostnames": ["x.example"], "proxyProtocol": true}),
            ),
            true,
        ),
        (
            "usual port of the probes, which then move",
            listener("b", 9090, json!({})),
            false,
        ),
    ] {
        let listeners = json!({"listeners": [listener("a", 81, json!({})), second]});
        let plan = empty().gateway("edge", listeners).plan();
        let verdict = &plan.gateway_verdicts[&key("edge")];
        let rendered = &plan.gateways[&key("edge")].config.settings.listeners;
        assert_eq!(rendered.len(), if conflict { 1 } else { 2 }, "{name}");
        assert!(verdict.listeners[0].verdict.accepted.status, "{name}");
        assert_eq!(
            verdict.listeners[1].verdict.accepted.status, !conflict,
            "{name}"
        );
        assert_eq!(verdict.verdict.accepted.status, !conflict, "{name}");
    }
}

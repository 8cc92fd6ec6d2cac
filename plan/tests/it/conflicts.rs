//! Two objects that want the same.

use serde_json::{Value, json};

use crate::support::{
    Builder, api_reasons, api_verdict, edge, empty, key, pair, served, served_names,
};

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
            "another spelling of the same path",
            json!({"path": "/a%2fb"}),
            json!({"path": "/%61%2Fb"}),
            true,
        ),
        (
            "an encoded slash is no slash",
            json!({"path": "/a/b"}),
            json!({"path": "/a%2Fb"}),
            false,
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
            let message = &api_verdict(&plan, "newer").conditions.accepted.message;
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
    for api in same_age.world.apis.values_mut() {
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
    let message = &api_verdict(&plan, "newer").conditions.accepted.message;
    assert!(
        message.ends_with("the last working version is served until this is fixed"),
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
        assert!(verdict.listeners[0].conditions.accepted.status, "{name}");
        assert_eq!(
            verdict.listeners[1].conditions.accepted.status, !conflict,
            "{name}"
        );
        assert_eq!(verdict.conditions.accepted.status, !conflict, "{name}");
    }
}

/// A Gateway for all namespaces, an API of `victim` on it, and a newer one of `other`.
fn two_namespaces(overlapping: &str, first: Value, second: Value) -> Builder {
    let allowed = json!({"from": "All", "overlappingRoutes": overlapping});
    let on = |mut spec: Value| {
        spec["gateways"] = json!([{"name": "edge", "namespace": "shop"}]);
        spec
    };
    empty()
        .gateway("edge", json!({"apiNamespaces": allowed}))
        .api("victim/api", on(first))
        .api("other/api", on(second))
}

#[test]
fn routes_of_two_namespaces_may_not_overlap() {
    let prefix = |path: &str| json!({"path": path, "pathMatch": "Prefix"});
    let template = |path: &str| json!({"path": path, "pathMatch": "Template"});
    let at = |host: &str, mut spec: Value| {
        spec["hostnames"] = json!([host]);
        spec
    };
    let exact = |path: &str| json!({"path": path});
    for (name, first, second, overlap) in [
        ("other paths", exact("/a"), exact("/b"), false),
        ("a prefix around", exact("/chat"), prefix("/"), true),
        ("a path inside", prefix("/"), exact("/chat"), true),
        (
            "a prefix inside",
            prefix("/chat"),
            prefix("/chat/admin"),
            true,
        ),
        (
            "a prefix beside",
            prefix("/chat"),
            prefix("/chatter"),
            false,
        ),
        (
            "a template around",
            exact("/rooms/1"),
            template("/rooms/{id}"),
            true,
        ),
        (
            "a template inside",
            prefix("/rooms"),
            template("/rooms/{id}"),
            true,
        ),
        (
            "two templates",
            template("/{a}/x"),
            template("/y/{b}"),
            true,
        ),
        (
            "two templates apart",
            template("/{a}/x"),
            template("/{b}/y"),
            false,
        ),
        (
            "a host of the listener's",
            exact("/chat"),
            at("a.example", prefix("/")),
            true,
        ),
        (
            "the same path, a narrower host",
            exact("/chat"),
            at("a.example", exact("/chat")),
            true,
        ),
        (
            "the same path, a wider host",
            at("a.example", exact("/chat")),
            exact("/chat"),
            true,
        ),
        (
            "a wildcard around",
            at("a.b.example", exact("/chat")),
            at("*.example", exact("/chat")),
            true,
        ),
        (
            "a host of a wildcard",
            at("*.example", prefix("/")),
            at("a.b.example", exact("/x")),
            true,
        ),
        (
            "other hosts",
            at("a.example", prefix("/")),
            at("b.example", prefix("/")),
            false,
        ),
        (
            "beside a wildcard",
            at("*.a.example", prefix("/")),
            at("a.example", prefix("/")),
            false,
        ),
        (
            "another path, a narrower host",
            exact("/chat"),
            at("a.example", exact("/x")),
            false,
        ),
    ] {
        let built = two_namespaces("Refuse", first.clone(), second.clone());
        let plan = built.plan();
        assert!(served(&plan, "edge", "victim/api").is_some(), "{name}");
        assert_eq!(
            served(&plan, "edge", "other/api").is_none(),
            overlap,
            "{name}"
        );
        let loser = api_verdict(&plan, "other/api");
        let reason = if overlap { "Conflict" } else { "Accepted" };
        assert_eq!(
            loser.conditions.accepted.reason.to_string(),
            reason,
            "{name}"
        );
        let holder = api_verdict(&plan, "victim/api");
        assert!(holder.conditions.accepted.status, "{name}");
        let told = holder
            .conditions
            .accepted
            .message
            .contains("WebSocketApi other/api");
        assert_eq!(told, overlap, "{name}: {:?}", holder.conditions.accepted);
        assert_eq!(holder.warnings.is_empty(), !overlap, "{name}");

        let allowed = two_namespaces("Allow", first, second).plan();
        assert!(
            served(&allowed, "edge", "other/api").is_some(),
            "{name}, allowed"
        );
    }
}

#[test]
fn one_namespace_may_overlap_itself() {
    let plan = edge()
        .api("chat", json!({"path": "/chat"}))
        .api(
            "all",
            json!({"path": "/", "pathMatch": "Prefix", "hostnames": ["a.example"]}),
        )
        .plan();
    assert_eq!(served_names(&plan, "edge"), ["all", "chat"]);
    assert!(
        api_verdict(&plan, "chat").warnings.is_empty(),
        "both let the same pass"
    );
}

#[test]
fn a_route_that_is_served_stays_with_its_holder_whatever_the_age() {
    for (name, second, hijack) in [
        (
            "the same route",
            json!({"path": "/chat"}),
            json!({"path": "/chat"}),
        ),
        (
            "a prefix around",
            json!({"path": "/chat"}),
            json!({"path": "/", "pathMatch": "Prefix"}),
        ),
    ] {
        // Here `victim` is the older one, and moves.
        let before = two_namespaces("Refuse", json!({"path": "/decoy"}), second).served();
        let mut moved = hijack;
        moved["gateways"] = json!([{"name": "edge", "namespace": "shop"}]);
        let plan = before.api("victim/api", moved).plan();
        assert_eq!(
            served(&plan, "edge", "other/api").unwrap().path,
            "/chat",
            "{name}"
        );
        let mover = served(&plan, "edge", "victim/api").unwrap();
        assert_eq!(mover.path, "/decoy", "{name}: the last version that worked");
        assert_eq!(
            api_verdict(&plan, "victim/api")
                .conditions
                .accepted
                .reason
                .to_string(),
            "Conflict",
            "{name}"
        );
        let holder = api_verdict(&plan, "other/api");
        assert!(
            holder
                .conditions
                .accepted
                .message
                .contains("WebSocketApi victim/api"),
            "{name}"
        );
    }
}

#[test]
fn a_route_that_nobody_asks_for_any_more_is_free() {
    let before = two_namespaces("Refuse", json!({"path": "/a"}), json!({"path": "/a"})).served();
    let mut gone = before;
    gone.world.apis.retain(|key, _| key.namespace != "victim");
    assert!(served(&gone.plan(), "edge", "other/api").is_some());
}

#[test]
fn routes_that_overlapped_before_the_gateway_refused_it_go_by_age() {
    let before = two_namespaces(
        "Allow",
        json!({"path": "/a"}),
        json!({"path": "/", "pathMatch": "Prefix"}),
    );
    let plan = before
        .served()
        .gateway("edge", json!({"apiNamespaces": {"from": "All"}}))
        .plan();
    assert!(served(&plan, "edge", "victim/api").is_some());
    assert!(served(&plan, "edge", "other/api").is_none());
}

#[test]
fn a_route_inside_of_one_that_lets_others_pass_is_warned_of() {
    let guarded = json!({"path": "/api/admin"});
    let open = json!({"path": "/api", "pathMatch": "Prefix", "subscriptionRequired": false});
    let origins =
        json!({"path": "/api", "pathMatch": "Prefix", "allowedOrigins": ["https://a.example"]});
    let step = json!({"inbound": [{"checkHeader": {"name": "X-A", "values": ["1"]}}]});
    let policies = json!({"path": "/api/{x}", "pathMatch": "Template", "onHandshake": step});
    let same = json!({"path": "/api", "pathMatch": "Prefix"});
    let mut elsewhere = open.clone();
    elsewhere["hostnames"] = json!(["a.example"]);
    let other = json!({"path": "/apis", "pathMatch": "Prefix", "subscriptionRequired": false});
    for (name, outer, warned) in [
        ("without a subscription", open, true),
        ("other origins", origins, true),
        ("other policies", policies, true),
        ("on one host", elsewhere, true),
        ("the same access", same, false),
        ("beside", other, false),
    ] {
        for inner_first in [true, false] {
            let plan = match inner_first {
                true => edge()
                    .api("inner", guarded.clone())
                    .api("outer", outer.clone()),
                false => edge()
                    .api("outer", outer.clone())
                    .api("inner", guarded.clone()),
            };
            let plan = plan.plan();
            for (api, other) in [("inner", "shop/outer"), ("outer", "shop/inner")] {
                let verdict = api_verdict(&plan, api);
                assert!(verdict.conditions.accepted.status, "{name}: {api}");
                let message = &verdict.conditions.accepted.message;
                let found = message.starts_with("warning: ") && message.contains(other);
                assert_eq!(found, warned, "{name}: {api}: {message}");
                assert_eq!(verdict.warnings.len(), usize::from(warned), "{name}: {api}");
            }
        }
    }
}

#[test]
fn of_many_warnings_a_few_are_shown() {
    let mut world = edge().api(
        "all",
        json!({"path": "/", "pathMatch": "Prefix", "subscriptionRequired": false}),
    );
    for i in 0..8 {
        world = world.api(&format!("api-{i}"), json!({}));
    }
    let plan = world.plan();
    let warnings = &api_verdict(&plan, "all").warnings;
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    assert_eq!(warnings[3], "and 5 more like these");
    assert_eq!(api_verdict(&plan, "api-7").warnings.len(), 1);
}

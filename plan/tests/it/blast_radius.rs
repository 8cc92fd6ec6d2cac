//! What a broken object serves, and that nothing else changes.

use serde_json::{Value, json};
use tidegate_config::SecretDataId;
use tidegate_plan::{Plan, Serving};

use crate::support::{Builder, api_verdict, certificate, edge, key, product, served};

/// How `chat` is served on `edge`.
fn serving(plan: &Plan) -> Option<Serving> {
    let gateways = &api_verdict(plan, "chat").gateways;
    gateways
        .iter()
        .find(|on| on.gateway == key("edge"))
        .map(|on| on.serving)
}

const SECRET: &[u8] = b"a secret of thirty-two bytes....";

/// An API that works, with a check and a header, and its Secret.
fn before() -> Builder {
    edge()
        .secret("jwt", &[("hmac", SECRET)])
        .api("chat", working(json!({})))
        .api("other", json!({}))
        .served()
}

fn working(patch: Value) -> Value {
    let mut spec = json!({
        "displayName": "Before",
        "onHandshake": {"inbound": [
            {"validateJwt": {"keys": [{"secretKeyRef": {"name": "jwt", "key": "hmac"}}]}},
            {"ipFilter": {"allow": ["10.0.0.0/8"]}},
            {"setHeader": {"name": "X-Ip", "values": ["${client.ip}"]}},
        ]},
    });
    for (name, value) in patch.as_object().unwrap() {
        spec[name] = value.clone();
    }
    spec
}

fn steps(jwt: Value, filter: Value, header: &str) -> Value {
    working(json!({"displayName": "After", "onHandshake": {"inbound": [
        {"validateJwt": jwt}, {"ipFilter": filter}, {"setHeader": {"name": "X-Ip", "values": [header]}},
    ]}}))
}

#[test]
fn a_broken_api_serves_its_last_good_version_unless_access_is_concerned() {
    let jwt = json!({"keys": [{"secretKeyRef": {"name": "jwt", "key": "hmac"}}]});
    let filter = json!({"allow": ["10.0.0.0/8"]});
    let gone = json!({"keys": [{"secretKeyRef": {"name": "jwt", "key": "gone"}}]});
    let cases = [
        (
            "nothing broken",
            steps(jwt.clone(), filter.clone(), "${client.ip}"),
            Serving::Current,
        ),
        (
            "a header",
            steps(jwt.clone(), filter.clone(), "${nope}"),
            Serving::LastGood,
        ),
        (
            "the backend",
            working(json!({"displayName": "After", "backend": {"url": "ws://u:p@chat"}})),
            Serving::LastGood,
        ),
        (
            "trust anchors",
            working(
                json!({"displayName": "After", "backend": {"url": "wss://chat", "tls": {"caRefs": [{"kind": "Secret", "name": "gone"}]}}}),
            ),
            Serving::LastGood,
        ),
        (
            "the token's key",
            steps(gone, filter.clone(), "${client.ip}"),
            Serving::Blocked,
        ),
        (
            "an address",
            steps(jwt.clone(), json!({"allow": ["ten"]}), "${client.ip}"),
            Serving::Blocked,
        ),
        (
            "a header, and the filter is another one",
            steps(jwt.clone(), json!({"allow": ["10.1.0.0/16"]}), "${nope}"),
            Serving::Blocked,
        ),
        (
            "a header, and keys are needed now",
            {
                let mut spec = steps(jwt, filter, "${nope}");
                spec["subscriptionRequired"] = json!(false);
                spec
            },
            Serving::Blocked,
        ),
        (
            "a value that a check reads",
            working(json!({"displayName": "After",
                "values": [{"name": "v", "secretKeyRef": {"name": "gone", "key": "v"}}],
                "onHandshake": {"inbound": [{"checkHeader": {"name": "X", "values": ["${values.v}"]}}]}})),
            Serving::Blocked,
        ),
    ];
    for (name, patch, expected) in cases {
        let plan = before().api("chat", patch).plan();
        assert_eq!(serving(&plan), Some(expected), "{name}");
        let config = served(&plan, "edge", "chat").unwrap();
        let generation_of_before = 12;
        match expected {
            Serving::Current => {
                assert_eq!(config.display_name, "After", "{name}");
                assert!(config.generation > generation_of_before, "{name}");
            }
            Serving::LastGood => {
                assert_eq!(config.display_name, "Before", "{name}");
                assert_eq!(config.generation, generation_of_before, "{name}");
                assert_eq!(config.blocked, None, "{name}");
            }
            Serving::Blocked => {
                let why = config.blocked.as_deref().unwrap_or_default();
                assert!(why.contains("spec."), "{name}: {why}");
                assert!(config.on_handshake.inbound.is_empty(), "{name}");
            }
        }
        assert_eq!(
            served(&plan, "edge", "other"),
            served(&before().plan(), "edge", "other"),
            "{name}"
        );
    }
}

#[test]
fn the_condition_says_what_is_served_meanwhile() {
    let broken = steps(
        json!({"keys": [{"secretKeyRef": {"name": "jwt", "key": "hmac"}}]}),
        json!({"allow": ["10.0.0.0/8"]}),
        "${nope}",
    );
    let plan = before().api("chat", broken).plan();
    let said = &api_verdict(&plan, "chat").conditions.accepted.message;
    assert!(
        said.ends_with("; the last working version is served until this is fixed"),
        "{said}"
    );
    let plan = before().without_secret("jwt").plan();
    let said = &api_verdict(&plan, "chat").conditions.resolved.message;
    assert!(
        said.ends_with("; every handshake is refused until this is fixed"),
        "{said}"
    );
}

/// A plan of what was just planned gives the same again, or two replicas would never agree.
#[test]
fn the_outcome_is_stable() {
    let jwt = json!({"keys": [{"secretKeyRef": {"name": "jwt", "key": "hmac"}}]});
    let filter = json!({"allow": ["10.0.0.0/8"]});
    let broken =
        json!({"onHandshake": {"inbound": [{"setHeader": {"name": "X", "values": ["${nope}"]}}]}});
    for (name, world) in [
        ("working", before()),
        (
            "last good",
            before().api("chat", steps(jwt.clone(), filter.clone(), "${nope}")),
        ),
        ("blocked", before().without_secret("jwt")),
        (
            "never worked",
            edge().api("chat", steps(jwt, filter, "${nope}")),
        ),
        (
            "gateway never worked",
            before().gateway("edge", broken.clone()),
        ),
        (
            "gateway new and broken",
            edge().gateway("edge", broken).api("chat", json!({})),
        ),
    ] {
        let once = world.plan();
        let twice = world.served().plan();
        assert_eq!(once.gateways, twice.gateways, "{name}");
        assert_eq!(once.api_verdicts, twice.api_verdicts, "{name}");
    }
}

#[test]
fn secret_data_of_a_last_good_version_stays() {
    let (certificate, _) = certificate();
    let tls = json!({"backend": {"url": "wss://chat", "tls": {"caRefs": [{"kind": "Secret", "name": "ca"}]}}});
    let plan = edge()
        .secret("ca", &[("ca.crt", certificate.as_bytes())])
        .api("chat", tls)
        .served()
        .without_secret("ca")
        .plan();
    assert_eq!(serving(&plan), Some(Serving::LastGood));
    let id = SecretDataId::secret("shop", "ca", "ca.crt");
    assert_eq!(
        plan.gateways[&key("edge")].secret_data.get(&id),
        Some(certificate.as_bytes())
    );
}

#[test]
fn an_api_taken_off_a_gateway_is_not_served_there_however_broken() {
    let broken = json!({"gateways": [], "onHandshake": {"inbound": [{"setHeader": {"name": "X", "values": ["${nope}"]}}]}});
    let plan = before().api("chat", broken).plan();
    assert!(served(&plan, "edge", "chat").is_none());
    assert_eq!(serving(&plan), None);
}

#[test]
fn a_gateways_broken_policies_block_those_who_inherit_them() {
    let broken = json!({"onHandshake": {"inbound": [{"ipFilter": {"allow": ["ten"]}}]}});
    let plan = edge()
        .api("chat", json!({}))
        .api("alone", json!({"onHandshake": {"inherit": false}}))
        .served()
        .gateway("edge", broken)
        .plan();
    let why = served(&plan, "edge", "chat")
        .unwrap()
        .blocked
        .as_deref()
        .unwrap_or_default();
    assert!(
        why.contains("the policies of Gateway shop/edge are broken"),
        "{why}"
    );
    assert_eq!(served(&plan, "edge", "alone").unwrap().blocked, None);
    assert!(
        api_verdict(&plan, "chat").conditions.accepted.status,
        "the API itself is fine"
    );
}

#[test]
fn a_gateways_last_good_policies_stay() {
    let header = |value: &str| json!({"onHandshake": {"inbound": [{"setHeader": {"name": "X", "values": [value]}}]}});
    let plan = edge()
        .gateway("edge", header("good"))
        .api("chat", json!({}))
        .served()
        .gateway("edge", header("${nope}"))
        .plan();
    let settings = &plan.gateways[&key("edge")].config.settings;
    let kept = settings.on_handshake.inbound[0]
        .set_header
        .as_ref()
        .unwrap();
    assert_eq!(kept.values, ["good"]);
    assert_eq!(served(&plan, "edge", "chat").unwrap().blocked, None);
}

#[test]
fn a_broken_product_never_opens_more() {
    let header = |value: &str, filter: Option<&str>| {
        let mut inbound = vec![json!({"setHeader": {"name": "X", "values": [value]}})];
        inbound.extend(filter.map(|entry| json!({"ipFilter": {"allow": [entry]}})));
        json!({"apis": [{"name": "chat"}], "onHandshake": {"inbound": inbound}})
    };
    let before = before()
        .product("gold", header("good", Some("10.0.0.0/8")))
        .served();
    for (name, patch, blocked) in [
        ("header", header("${nope}", Some("10.0.0.0/8")), false),
        ("filter", header("good", Some("ten")), true),
        (
            "header, and no filter any more",
            header("${nope}", None),
            true,
        ),
    ] {
        let plan = before.clone().product("gold", patch).plan();
        let config = product(&plan, "edge", "gold").unwrap();
        assert_eq!(config.blocked.is_some(), blocked, "{name}");
        assert_eq!(config.on_handshake.inbound.is_empty(), blocked, "{name}");
        assert_eq!(config.apis, ["chat"], "{name}");
    }
}

#[test]
fn a_log_whose_lines_cannot_be_written_stays_what_it_was() {
    let log = |text: &str| json!({"telemetry": {"accessLog": {"format": "Text", "text": {"close": text}}}});
    let good = edge().gateway("told", log("${id}"));
    let rendered = |plan: &Plan| {
        let settings = &plan.gateways[&key("told")].config.settings;
        let log = settings.telemetry.access_log.clone();
        log.map(|log| log.text.unwrap().close)
    };
    assert_eq!(rendered(&good.plan()).as_deref(), Some("${id}"));
    for (text, said) in [
        (
            "${clinet}",
            "there is no field \"clinet\", did you mean \"client\"?",
        ),
        (
            "${user_agent}",
            "the field user_agent exists only in handshake lines",
        ),
        ("${id", "the ${ at position 0 is not closed"),
    ] {
        let said = format!("spec.telemetry.accessLog.text.close: {said}");
        let first = edge().gateway("told", log(text)).plan();
        assert_eq!(rendered(&first), None, "{text}");
        let later = good.clone().served().gateway("told", log(text)).plan();
        assert_eq!(rendered(&later).as_deref(), Some("${id}"), "{text}");
        for plan in [first, later] {
            let verdict = &plan.gateway_verdicts[&key("told")].conditions;
            assert_eq!(verdict.accepted.message, said);
        }
    }
}

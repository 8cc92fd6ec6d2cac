//! PolicyFragments: put where they are included, named where they are wrong.

use serde_json::{Value, json};
use tidegate_config::policy::{Policy, Step};
use tidegate_plan::{Plan, PolicyFragmentVerdict, Serving};

use crate::support::{
    Builder, api_reasons, api_verdict, edge, key, pair, product, reasons, served,
};

fn include(name: &str) -> Value {
    json!({"includeFragment": {"name": name}})
}

fn mark(value: &str) -> Value {
    json!({"setHeader": {"name": "X-Mark", "values": [value]}})
}

fn check() -> Value {
    json!({"checkHeader": {"name": "X-App"}})
}

fn inbound(steps: &[Value]) -> Value {
    json!({"onHandshake": {"inbound": steps}})
}

fn fragment<'p>(plan: &'p Plan, name: &str) -> &'p PolicyFragmentVerdict {
    &plan.fragment_verdicts[&key(name)]
}

/// Id and policy of each inbound step that `chat` is served with.
fn inbound_of(plan: &Plan) -> Vec<(Option<String>, &'static str)> {
    let steps = &served(plan, "edge", "chat").unwrap().on_handshake.inbound;
    let step = |step: &dyn Step| {
        let policy = step.policy().map_or("none", Policy::name);
        (step.id().map(str::to_owned), policy)
    };
    steps.iter().map(|inbound| step(inbound)).collect()
}

fn serving(plan: &Plan) -> Serving {
    api_verdict(plan, "chat").gateways[0].serving
}

/// `chat` includes `outer`, which includes `inner`, which `inner` is.
fn nested(inner: &[Value]) -> Builder {
    edge()
        .fragment("inner", json!({"steps": inner}))
        .fragment("outer", json!({"steps": [mark("outer"), include("inner")]}))
        .api(
            "chat",
            inbound(&[mark("first"), include("outer"), mark("last")]),
        )
}

#[test]
fn steps_stand_where_they_are_included_and_keep_their_names() {
    let plan = nested(&[check(), mark("inner")]).plan();
    assert_eq!(api_reasons(&plan, "chat"), pair("Accepted", "ResolvedRefs"));
    let named = |id: &str, policy| (Some(id.to_owned()), policy);
    assert_eq!(
        inbound_of(&plan),
        [
            (None, "setHeader"),
            named("api.inbound[1]", "includeFragment"),
            named("fragment.outer[0]", "setHeader"),
            named("fragment.outer[1]", "includeFragment"),
            named("fragment.inner[0]", "checkHeader"),
            named("fragment.inner[1]", "setHeader"),
            named("api.inbound[2]", "setHeader"),
        ]
    );
    let steps = &served(&plan, "edge", "chat").unwrap().on_handshake.inbound;
    let followers: Vec<_> = steps.iter().filter_map(|step| step.include()).collect();
    let followers: Vec<_> = followers.iter().map(|include| include.steps).collect();
    assert_eq!(followers, [4, 2]);
    for name in ["inner", "outer"] {
        let found = fragment(&plan, name);
        let said = reasons(&found.conditions.accepted, &found.conditions.resolved);
        assert_eq!(said, pair("Accepted", "ResolvedRefs"), "{name}");
        assert_eq!(found.users, 1, "{name}");
    }
}

#[test]
fn gateways_and_products_include_fragments_of_their_namespace() {
    let plan = edge()
        .fragment("shared", json!({"steps": [mark("a")]}))
        .fragment("elsewhere/other", json!({"steps": [mark("b")]}))
        .gateway("edge", inbound(&[include("shared")]))
        .api("chat", inbound(&[include("other")]))
        .product(
            "gold",
            json!({"apis": [{"name": "chat"}], "onHandshake": {"onError": [include("shared")]}}),
        )
        .plan();
    let settings = &plan.gateways[&key("edge")].config.settings;
    assert_eq!(settings.on_handshake.inbound.len(), 2);
    let gold = product(&plan, "edge", "gold").unwrap();
    assert_eq!(gold.on_handshake.on_error.len(), 2);
    assert_eq!(fragment(&plan, "shared").users, 2);
    assert_eq!(fragment(&plan, "elsewhere/other").users, 0);
    assert_eq!(
        api_reasons(&plan, "chat"),
        pair("Accepted", "FragmentNotFound")
    );
    let said = &api_verdict(&plan, "chat").conditions.resolved.message;
    let expected = "spec.onHandshake.inbound[0].includeFragment.name: PolicyFragment shop/other does not exist";
    assert!(said.starts_with(expected), "{said}");
}

#[test]
fn what_cannot_be_included_is_said_with_its_place() {
    let broken = json!({"setHeader": {"name": "X", "values": ["${clinet.ip}"]}});
    let chain = |n: usize| format!("f{n}");
    let mut deep = edge();
    for n in 0..7 {
        let steps = [include(&chain(n + 1)), mark("x")];
        deep = deep.fragment(&chain(n), json!({ "steps": steps }));
    }
    let many: Vec<_> = (0..32).map(|_| include("full")).collect();
    let full: Vec<_> = (0..32).map(|_| mark("x")).collect();
    let root = "spec.onHandshake.inbound[0].includeFragment: PolicyFragment";
    for (name, world, reason, message) in [
        (
            "a loop",
            nested(&[include("outer")]),
            "Invalid",
            "spec.onHandshake.inbound[1].includeFragment: PolicyFragment inner, spec.steps[0].includeFragment.name: PolicyFragment outer includes itself: outer → inner → outer".to_owned(),
        ),
        (
            "a step that inbound does not take",
            edge()
                .fragment("f", json!({"steps": [mark("x"), {"setStatus": {"status": 400}}]}))
                .api("chat", inbound(&[include("f")])),
            "Invalid",
            format!("{root} f, spec.steps[1]: setStatus is not supported in inbound"),
        ),
        (
            "an expression",
            edge()
                .fragment("f", json!({"steps": [mark("x"), broken]}))
                .api("chat", inbound(&[include("f")])),
            "InvalidExpression",
            format!("{root} f, spec.steps[1].setHeader.values[0]: at "),
        ),
        (
            "depth",
            deep.api("chat", inbound(&[include("f0")])),
            "Invalid",
            format!("{root} f4, spec.steps[0].includeFragment.name: fragments are nested more than 5 deep"),
        ),
        (
            "too many",
            edge()
                .fragment("full", json!({ "steps": full }))
                .api("chat", inbound(&many)),
            "Invalid",
            "spec.onHandshake.inbound[7].includeFragment: PolicyFragment full, spec.steps[24]: the section has more than 256 steps, those of its fragments included".to_owned(),
        ),
    ] {
        let plan = world.plan();
        assert_eq!(api_reasons(&plan, "chat").0, reason, "{name}");
        let said = &api_verdict(&plan, "chat").conditions.accepted.message;
        assert!(said.starts_with(&message), "{name}: {said}");
    }
}

#[test]
fn fragments_that_include_each_other_without_end_are_looked_at_once() {
    // 32 ^ 5 ways through them.
    let mut world = edge();
    for n in 0..6 {
        let steps: Vec<_> = (0..32)
            .map(|_| include(&format!("f{}", (n + 1) % 6)))
            .collect();
        world = world.fragment(&format!("f{n}"), json!({ "steps": steps }));
    }
    let plan = world.api("chat", inbound(&[include("f0")])).plan();
    assert_eq!(api_reasons(&plan, "chat").0, "Invalid");
    assert!(inbound_of(&plan).is_empty(), "blocked");
}

#[test]
fn a_fragment_by_itself_is_judged_for_the_section_that_suits_it_best() {
    let on_error = json!({"when": "error.reason == \"x\"", "setStatus": {"status": 400}});
    let waits =
        json!({"when": "response.status == 101", "setVariable": {"name": "a", "value": "1"}});
    let world = edge()
        .fragment("on-error", json!({"steps": [on_error]}))
        .fragment("outbound", json!({"steps": [waits]}))
        .fragment("nowhere", json!({"steps": [on_error, check()]}))
        .fragment("loop", json!({"steps": [include("loop")]}))
        .fragment("lost", json!({"steps": [include("gone")]}));
    let plan = world.plan();
    for (name, accepted, resolved, message) in [
        ("on-error", "Accepted", "ResolvedRefs", ""),
        ("outbound", "Accepted", "ResolvedRefs", ""),
        (
            "nowhere",
            "Invalid",
            "ResolvedRefs",
            "spec.steps[0]: setStatus is not supported in inbound",
        ),
        (
            "loop",
            "Invalid",
            "ResolvedRefs",
            "spec.steps[0].includeFragment.name: PolicyFragment loop includes itself: loop → loop",
        ),
        (
            "lost",
            "Accepted",
            "FragmentNotFound",
            "spec.steps[0].includeFragment.name: PolicyFragment shop/gone does not exist",
        ),
    ] {
        let verdict = &fragment(&plan, name).conditions;
        let found = reasons(&verdict.accepted, &verdict.resolved);
        assert_eq!(found, pair(accepted, resolved), "{name}");
        let said = format!("{}{}", verdict.accepted.message, verdict.resolved.message);
        assert_eq!(said, message, "{name}");
    }
}

#[test]
fn what_becomes_of_a_fragment_becomes_of_its_users() {
    let other = json!({"checkHeader": {"name": "X-Other"}});
    let broken = json!({"setHeader": {"name": "X", "values": ["${clinet.ip}"]}});
    let worked = || nested(&[check(), mark("inner")]).served();
    let inner = |steps: &[Value]| worked().fragment("inner", json!({ "steps": steps }));
    let gone = || worked().without_fragment("inner");
    let chat = |steps: &[Value]| gone().api("chat", inbound(steps));
    for (name, world, expected) in [
        (
            "changed",
            inner(std::slice::from_ref(&other)),
            Serving::Current,
        ),
        (
            "broken, same check",
            inner(&[check(), broken.clone()]),
            Serving::LastGood,
        ),
        (
            "broken, another check",
            inner(&[other, broken]),
            Serving::Blocked,
        ),
        ("gone", gone(), Serving::LastGood),
        (
            "a loop",
            inner(&[check(), include("outer")]),
            Serving::Blocked,
        ),
        (
            "gone, and the API has another check",
            chat(&[mark("first"), include("outer"), check()]),
            Serving::Blocked,
        ),
        (
            "gone, and the API includes another one that is not there",
            chat(&[mark("first"), include("outer"), include("new")]),
            Serving::Blocked,
        ),
        (
            "never there",
            edge().api("chat", inbound(&[include("gone")])),
            Serving::Blocked,
        ),
    ] {
        let plan = world.plan();
        assert_eq!(serving(&plan), expected, "{name}");
        if expected == Serving::LastGood {
            assert_eq!(
                inbound_of(&plan).len(),
                7,
                "{name}: with all that was included"
            );
        }
    }
    let back = worked().without_fragment("inner").served();
    let back = back.fragment("inner", json!({"steps": [mark("back")]}));
    assert_eq!(serving(&back.plan()), Serving::Current);
}

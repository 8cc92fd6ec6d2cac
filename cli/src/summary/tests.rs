use std::path::Path;

use super::*;
use crate::manifest;
use crate::objects::Loader;
use crate::world::{findings, world};

const GATEWAY: &str = "apiVersion: tidegate.dev/v1alpha1\nkind: Gateway\nmetadata: {name: edge}\n\
                       spec: {listeners: [{name: ws, port: 8080, protocol: WS}]}\n";
const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: globex-keys}\n\
                      stringData: {primaryKey: a-primary-key-to-try, secondaryKey: a-secondary-key-to-try}\n";

fn api(name: &str, more: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1\nkind: WebSocketApi\nmetadata: {{name: {name}}}\nspec:\n  \
         gateways: [{{name: edge}}]\n  path: /{name}\n  backend: {{url: 'ws://127.0.0.1:1/'}}\n{more}"
    )
}

fn subscription(more: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1\nkind: Subscription\nmetadata: {{name: globex}}\n\
         spec: {{scope: {{api: chat}}{more}}}\n"
    )
}

fn read(documents: &[&str]) -> (Objects, Plan, Summary) {
    let (mut parsed, mut found) = (Vec::new(), Vec::new());
    let text = documents.join("---\n");
    manifest::parse(Path::new("a.yaml"), &text, &mut parsed, &mut found);
    let mut objects = Loader::default().load_documents(parsed, found);
    let plan = tidegate_plan::plan(&world(&objects, 1_700_000_000));
    let mut found = findings(&plan, &objects);
    found.append(&mut objects.findings);
    let summary = Summary::new(&objects, &plan, &found, |_| false);
    (objects, plan, summary)
}

/// Gateway, API, Subscription and its Secret, with one of them replaced.
fn with(index: usize, text: &str) -> [String; 4] {
    let base = [GATEWAY, &api("chat", ""), &subscription(""), SECRET];
    let mut documents = base.map(str::to_owned);
    text.clone_into(&mut documents[index]);
    documents
}

#[test]
fn a_reload_tells_what_became_of_each_object() {
    let base = || with(0, GATEWAY);
    let suspended = || with(2, &subscription(", state: Suspended"));
    let expired = subscription(", expiresAt: '2020-01-01T00:00:00Z'");
    let other_key = SECRET.replace("primaryKey: a-primary", "primaryKey: another-primary");
    let broken = "  onHandshake: {inbound: [{setHeader: {name: X, values: ['${']}}]}\n";
    for (before, after, wanted) in [
        (base(), base(), &[][..]),
        (base(), suspended(), &["Subscription globex suspended"]),
        (suspended(), base(), &["Subscription globex active"]),
        (base(), with(2, &expired), &["Subscription globex expired"]),
        (
            base(),
            with(3, &other_key),
            &[
                "Secret globex-keys changed",
                "Subscription globex has another primary key",
            ],
        ),
        (
            base(),
            with(1, &api("news", "")),
            &["WebSocketApi news added", "WebSocketApi chat removed"],
        ),
        (
            base(),
            with(1, &api("chat", "  description: hello\n")),
            &["WebSocketApi chat changed"],
        ),
        (
            with(1, &api("chat", broken)),
            base(),
            &["WebSocketApi chat repaired"],
        ),
    ] {
        let summary = |documents: [String; 4]| {
            let documents = documents.each_ref().map(String::as_str);
            read(&documents).2
        };
        let changes = summary(before).changes(&summary(after));
        assert_eq!(changes, wanted);
    }
}

#[test]
fn what_is_repaired_is_told_although_something_else_is_wrong() {
    let state = |flaws: &[&str]| State {
        object: Object::Namespace(BTreeMap::new()),
        phase: None,
        keys: None,
        flaws: flaws.iter().map(|flaw| (*flaw).to_owned()).collect(),
        is_unreadable: false,
    };
    for (before, after, wanted) in [
        (&["a", "b"][..], &[][..], Some("repaired")),
        (&["a", "b"], &["b"], Some("repaired in part")),
        (&["a", "b"], &["c"], None),
        (&[], &["a"], None),
    ] {
        assert_eq!(state(before).change(&state(after)), wanted);
    }
}

#[test]
fn an_api_has_its_urls_and_who_has_a_key() {
    let open = api("open", "  subscriptionRequired: false\n");
    let documents = [
        GATEWAY,
        &api("chat", ""),
        &api("news", ""),
        &open,
        &subscription(""),
        SECRET,
    ];
    let (objects, plan, _) = read(&documents);
    let urls = api_urls(&objects, &plan);
    let access: Vec<_> = urls
        .iter()
        .map(|of| (of.api.name.as_str(), &of.access))
        .collect();
    let globex = Access::KeyOf(ObjectKey::new("default", "globex"));
    let wanted = [
        ("chat", &globex),
        ("news", &Access::Nobody),
        ("open", &Access::Open),
    ];
    assert_eq!(access, wanted);
    assert_eq!(urls[0].urls, ["ws://edge.default.svc:8080/chat"]);
}

#[test]
fn a_file_is_repaired_when_it_can_be_parsed_again_and_no_object_before_that() {
    let good = format!("{GATEWAY}---\n{}", api("chat", ""));
    let flawed = good.replace("path: /chat", "path: chat");
    let no_yaml = good.replace("path: /chat", "path: [chat");
    let mut loader = Loader::default();
    let mut before = Summary::default();
    for (case, text, wanted) in [
        ("start", &good, None),
        ("a finding", &flawed, Some(&[][..])),
        ("no YAML", &no_yaml, Some(&[])),
        ("the finding", &flawed, Some(&["a.yaml repaired in part"])),
        ("no YAML again", &no_yaml, Some(&[])),
        ("repaired", &good, Some(&["a.yaml repaired"])),
    ] {
        let (mut parsed, mut found) = (Vec::new(), Vec::new());
        manifest::parse(Path::new("a.yaml"), text, &mut parsed, &mut found);
        let mut objects = loader.load_documents(parsed, found);
        let plan = tidegate_plan::plan(&world(&objects, 1_700_000_000));
        let mut found = findings(&plan, &objects);
        found.append(&mut objects.findings);
        let after = Summary::new(&objects, &plan, &found, |_| false);
        if let Some(wanted) = wanted {
            assert_eq!(before.changes(&after), wanted, "{case}");
        }
        before = after;
    }
}

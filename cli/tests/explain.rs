//! `tidegate explain` on manifests: the steps it shows, its exit status, no secret in what it says.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn explain(directory: &str, arguments: &[&str]) -> Output {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["explain", "--state-dir", "/nonexistent", "--dir"])
        .arg(examples.join(directory))
        .args(arguments)
        .output()
        .expect("the program starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn an_example_is_explained_with_the_key_of_its_subscription() {
    let url = "wss://edge.example.com/news/sport?since=1";
    let output = explain("product", &[url, "--subscription", "trader"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for line in [
        "request   ws://edge.example.com/news/sport?since=1 from 127.0.0.1",
        "gateway   default/edge",
        "route     WebSocketApi default/news, path /news/{topic}, listener plain, topic = sport",
        "access    by subscription key, Subscription default/trader, Product default/market-data",
        "  product.inbound[0] rateLimitByKey (product): ran",
        "      limit counts it",
        "      header x-subscriber = trader",
        "      query parameter topic = sport",
        "backend   ws://news.default.svc:9000/?since=1&topic=sport",
        "outcome   the backend would be called (--dial calls it)",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line:?} in {text}"
        );
    }
}

#[test]
fn the_exit_status_tells_a_refusal_from_no_answer() {
    for (name, arguments, status, says) in [
        (
            "no key",
            &["ws://a/prices"][..],
            1,
            "subscription_key_missing",
        ),
        (
            "wrong key",
            &["ws://a/prices", "--key", "x-y-z"],
            1,
            "subscription_key_invalid",
        ),
        ("no route", &["ws://a/other"], 1, "route_not_found"),
        (
            "no subprotocol header",
            &["ws://a/prices", "-H", "nonsense"],
            2,
            "NAME: VALUE",
        ),
        ("no URL", &["http://a/prices"], 2, "ws:// or wss://"),
        (
            "no such Gateway",
            &["ws://a/prices", "--on", "other"],
            2,
            "no Gateway other",
        ),
        (
            "no such Subscription",
            &["ws://a/prices", "--subscription", "x"],
            2,
            "no Subscription x",
        ),
        (
            "two sources",
            &["ws://a/prices", "--gateway", "http://127.0.0.1:1"],
            2,
            "cannot be used",
        ),
    ] {
        let output = explain("product", arguments);
        let text = said(&output) + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{name}: {text}");
        assert!(text.contains(says), "{name}: {text}");
        assert!(!text.contains("x-y-z"), "{name}: {text}");
    }
}

/// Of a fragment in a fragment, with steps around them; the second API includes nothing.
const FRAGMENTS: &str = "apiVersion: tidegate.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec: {listeners: [{name: plain, port: 8080, protocol: WS}]}
---
apiVersion: tidegate.dev/v1alpha1
kind: WebSocketApi
metadata: {name: chat}
spec:
  gateways: [{name: edge}]
  path: /chat
  subscriptionRequired: false
  backend: {url: 'ws://127.0.0.1:1/'}
  onHandshake:
    inbound:
    - includeFragment: {name: outer}
    - {id: own, setHeader: {name: X-Own, values: [a]}}
    - {id: never, when: 'false', includeFragment: {name: inner}}
    - {id: last, setHeader: {name: X-Last, values: [a]}}
---
apiVersion: tidegate.dev/v1alpha1
kind: PolicyFragment
metadata: {name: outer}
spec:
  steps:
  - {id: first, setHeader: {name: X-First, values: [a]}}
  - includeFragment: {name: inner}
  - {id: second, setHeader: {name: X-Second, values: [a]}}
---
apiVersion: tidegate.dev/v1alpha1
kind: PolicyFragment
metadata: {name: inner}
spec:
  steps:
  - {id: deep, setHeader: {name: X-Deep, values: [a]}}
";

#[test]
fn a_step_says_which_fragment_it_came_with() {
    let files = tempfile::tempdir().expect("a directory");
    let file = files.path().join("all.yaml");
    std::fs::write(&file, FRAGMENTS).expect("the manifests");
    let directory = files.path().to_string_lossy().into_owned();
    let output = explain(&directory, &["ws://a/chat", "-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let trace: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let steps = trace["steps"].as_array().expect("steps").iter();
    let from = |step: &Value| {
        let text = |field: &str| step[field].as_str().unwrap_or("-").to_owned();
        (text("step"), text("fragment"))
    };
    let found: Vec<_> = steps.map(from).collect();
    let expected = [
        ("api.inbound[0]", "-"),
        ("first", "outer"),
        ("fragment.outer[1]", "outer"),
        ("deep", "inner"),
        ("second", "outer"),
        ("own", "-"),
        ("never", "-"),
        ("last", "-"),
    ];
    let expected = expected.map(|(step, fragment)| (step.to_owned(), fragment.to_owned()));
    assert_eq!(found, expected);
    let text = said(&explain(&directory, &["ws://a/chat"]));
    let line = "  deep setHeader (api, fragment inner): ran";
    assert!(text.lines().any(|found| found == line), "{text}");
}

#[test]
fn json_is_the_trace() {
    let arguments = [
        "ws://a/prices",
        "--subscription",
        "default/trader",
        "-o",
        "json",
    ];
    let output = explain("product", &arguments);
    let trace: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(trace["outcome"]["result"], "wouldDial");
    assert_eq!(trace["steps"][0]["policy"], "rateLimitByKey");
    assert_eq!(trace["backend"]["url"], "ws://prices.default.svc:9000/");
}

#[test]
fn a_refused_key_is_explained_by_its_subscription() {
    let subscription = |name: &str, spec: &str| {
        format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: Subscription\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}-keys}}\n\
             stringData: {{primaryKey: the-key-of-{name}}}\n---\n"
        )
    };
    let manifests = [
        subscription("paused", "scope: {product: market-data}, state: Suspended"),
        subscription(
            "finished",
            "scope: {product: market-data}, state: Cancelled",
        ),
        subscription(
            "outdated",
            "scope: {product: market-data}, expiresAt: \"2020-01-01T00:00:00Z\"",
        ),
        subscription("news-only", "scope: {api: news}"),
    ]
    .concat();
    for (key, why) in [
        (
            "the-key-of-paused",
            "Subscription default/paused, which is suspended",
        ),
        (
            "the-key-of-finished",
            "Subscription default/finished, which is cancelled",
        ),
        (
            "the-key-of-outdated",
            "Subscription default/outdated, which has expired",
        ),
        (
            "the-key-of-news-only",
            "Subscription default/news-only, which is for WebSocketApi default/news, not for WebSocketApi \
             default/prices",
        ),
        ("the-key-of-nobody", "of no subscription that this Gateway"),
    ] {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["explain", "ws://a/prices", "--state-dir", "/nonexistent"])
            .args(["--key", key, "--dir", "-", "--dir"])
            .arg(examples.join("product"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let input = child.stdin.take().expect("it has a standard input");
        let written = { input }.write_all(manifests.as_bytes());
        written.expect("it reads its standard input");
        let output = child.wait_with_output().expect("it ends");
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{key}: {output:?}");
        assert!(text.contains(why), "{key}: {text}");
        assert!(text.contains("subscription_key_invalid"), "{key}: {text}");
    }
}

#[test]
fn the_port_of_the_url_chooses_the_gateway() {
    let gateway = |name: &str, port: u16| {
        format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: Gateway\nmetadata: {{name: {name}}}\n\
             spec: {{listeners: [{{name: plain, port: {port}, protocol: WS}}]}}\n---\n"
        )
    };
    let api = |name: &str, gateways: &str| {
        format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: WebSocketApi\nmetadata: {{name: {name}}}\n\
             spec: {{gateways: [{gateways}], path: /{name}, subscriptionRequired: false, \
             backend: {{url: 'ws://127.0.0.1:1/'}}}}\n---\n"
        )
    };
    let manifests = [
        gateway("partners", 8081),
        gateway("public", 8080),
        api("prices", "{name: partners}, {name: public}"),
        api("chat", "{name: public}"),
    ];
    let files = tempfile::tempdir().expect("a directory");
    std::fs::write(files.path().join("all.yaml"), manifests.concat()).expect("the manifests");
    let directory = files.path().to_string_lossy().into_owned();
    for (arguments, gateway) in [
        (&["ws://127.0.0.1:8080/prices"][..], "default/public"),
        (&["ws://127.0.0.1:8081/prices"], "default/partners"),
        (&["ws://127.0.0.1:8081/chat"], "default/partners"),
        (&["ws://127.0.0.1:9/chat"], "default/public"),
        (&["ws://127.0.0.1/chat"], "default/public"),
        (
            &["ws://127.0.0.1:8080/prices", "--on", "partners"],
            "default/partners",
        ),
    ] {
        let text = said(&explain(&directory, arguments));
        let line = format!("gateway   {gateway}");
        assert!(
            text.lines().any(|found| found == line),
            "{arguments:?}: {text}"
        );
    }
}

//! `tidegate explain` on manifests: the steps it shows, its exit status, no secret in what it says.

use std::path::Path;
use std::process::{Command, Output};

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
        "outcome   the backend would be asked (--dial asks it)",
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

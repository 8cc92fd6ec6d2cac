use serde_json::json;

use super::*;

fn step(json: Value) -> Step {
    serde_json::from_value(json).unwrap()
}

fn head(start: &str, fields: &[(&str, &str)]) -> Head {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Head {
        start: start.to_owned(),
        fields: fields.iter().map(own).collect(),
    }
}

fn refused() -> Seen {
    Seen {
        head: head("HTTP/1.1 401 Unauthorized", &[("www-authenticate", "Some")]),
        body: r#"{"statusCode":401,"message":"who?"}"#.to_owned(),
        ..Seen::default()
    }
}

fn open() -> Seen {
    Seen {
        head: head(
            "HTTP/1.1 101 Switching Protocols",
            &[("x-a", "1"), ("x-a", "2")],
        ),
        accepted: true,
        asked: Some(head("GET /a?b=1 HTTP/1.1", &[("x-b", "c")])),
        frames: vec![FrameText::text("hello").frame()],
        backend_close: Some(1000),
        ..Seen::default()
    }
}

#[test]
fn what_is_as_it_must_be_is_no_difference() {
    for (expect, seen) in [
        (json!({}), open()),
        (json!({"headers": {"X-A": "1, 2", "X-C": null}}), open()),
        (
            json!({"target": "/a?b=1", "backendHeaders": {"X-B": {"matches": "[a-z]"}}}),
            open(),
        ),
        (json!({"backendClose": 1000}), open()),
        (
            json!({"status": 401, "message": "who?", "asked": false}),
            refused(),
        ),
        (
            json!({"status": 401, "headers": {"WWW-Authenticate": {"matches": "S.*"}}}),
            refused(),
        ),
    ] {
        let found = differences(&step(json!({"expect": expect})), &seen);
        assert!(found.is_empty(), "{expect}: {found:?}");
    }
}

#[test]
fn every_difference_is_seen() {
    let not_accepted = || Seen {
        accepted: false,
        ..open()
    };
    let silent = || Seen {
        frames: Vec::new(),
        ..open()
    };
    let unasked = || Seen {
        asked: None,
        ..open()
    };
    for (expect, seen, word) in [
        (json!({"status": 401}), open(), "status 401"),
        (json!({}), refused(), "status 101"),
        (json!({}), not_accepted(), "Sec-WebSocket-Accept"),
        (json!({}), silent(), "frames"),
        (json!({}), unasked(), "was not asked"),
        (json!({"headers": {"X-A": null}}), open(), "header X-A"),
        (json!({"headers": {"X-C": "1"}}), open(), "header X-C"),
        (
            json!({"headers": {"X-A": {"matches": "1"}}}),
            open(),
            "header X-A",
        ),
        (
            json!({"headers": {"X-A": {"matches": "("}}}),
            open(),
            "header X-A",
        ),
        (json!({"target": "/a"}), open(), "target"),
        (
            json!({"backendHeaders": {"X-B": "d"}}),
            open(),
            "backend's header X-B",
        ),
        (json!({"backendClose": 1001}), open(), "1001"),
        (json!({"close": {"code": 1008}}), open(), "1008"),
        (json!({"asked": false}), open(), "was asked"),
        (json!({"calls": [{"path": "/x"}]}), open(), "calls"),
        (
            json!({"status": 401, "message": "me"}),
            refused(),
            "message",
        ),
        (json!({"status": 401, "body": "me"}), refused(), "body"),
        (
            json!({"status": 401, "asked": true}),
            refused(),
            "was not asked",
        ),
    ] {
        let found = differences(&step(json!({"expect": expect})), &seen).join("\n");
        assert!(found.contains(word), "{expect}: {found}");
    }
}

#[test]
fn a_close_is_compared_by_code_and_reason() {
    let seen = |code, reason: &str| Seen {
        close: Some((code, reason.to_owned())),
        ..open()
    };
    let step = step(json!({"expect": {"close": {"code": 4001, "reason": "x"}}}));
    assert!(differences(&step, &seen(4001, "x")).is_empty());
    assert_eq!(differences(&step, &seen(4001, "y")).len(), 1);
    assert_eq!(differences(&step, &seen(1000, "x")).len(), 1);
}

#[test]
fn a_call_is_compared_whole() {
    let call = SeenCall {
        head: head("POST /c/x HTTP/1.1", &[("a", "b")]),
        path: "/x".to_owned(),
        body: "body".to_owned(),
    };
    let seen = Seen {
        calls: vec![call],
        ..open()
    };
    for (call, fits) in [
        (
            json!({"path": "/x", "method": "POST", "headers": {"A": "b"}, "body": "body"}),
            true,
        ),
        (json!({"path": "/y"}), false),
        (json!({"path": "/x", "method": "GET"}), false),
        (json!({"path": "/x", "headers": {"A": null}}), false),
        (json!({"path": "/x", "body": "other"}), false),
    ] {
        let found = differences(&step(json!({"expect": {"calls": [call]}})), &seen);
        assert_eq!(found.is_empty(), fits, "{call}: {found:?}");
    }
}

//! The access log: one line when a handshake ends, one when its tunnel ends, nothing secret.

use std::io;
use std::sync::{Mutex, OnceLock};

use serde_json::Value;
use tidegate_config::SubscriptionScope;
use tidegate_gateway::LogFormat;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::backend::Backend;
use crate::support::client::{connect, echo, handshake, open, raw};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;
use crate::support::until;

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Lines;

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

/// Listens for all tests of this process, as the binary would.
pub(crate) fn listen() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let subscriber = tracing_subscriber::fmt().json().flatten_event(true);
        subscriber
            .map_event_format(LogFormat::around)
            .with_env_filter(
                "tidegate::access=info,tidegate::connection=debug,\
                 tidegate_gateway::handshake=warn,tidegate_gateway::handshake::reach=off",
            )
            .with_writer(Lines)
            .init();
    });
}

/// All JSON lines of one API so far, and as text.
fn lines(api: &str) -> (Vec<Value>, String) {
    let text = String::from_utf8(LINES.lock().unwrap().clone()).unwrap();
    let ours = text.lines().filter(|line| line.contains(api));
    let text: Vec<&str> = ours.filter(|line| line.starts_with('{')).collect();
    let parsed = text
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    (parsed, text.join("\n"))
}

/// All lines of one API so far that are no JSON.
pub(crate) fn text_lines(api: &str) -> Vec<String> {
    let text = String::from_utf8(LINES.lock().unwrap().clone()).unwrap();
    let ours = text.lines().filter(|line| line.contains(api));
    ours.filter(|line| !line.starts_with('{'))
        .map(str::to_owned)
        .collect()
}

pub(crate) async fn wait_for(api: &str, count: usize) -> (Vec<Value>, String) {
    until("the lines", || lines(api).0.len() >= count).await;
    lines(api)
}

#[tokio::test]
async fn an_accepted_connection_has_two_lines_with_one_id() {
    listen();
    let backend = Backend::echo().await;
    let config = Config::new()
        .api("logged-tunnel", backend.address)
        .product("gold", &["logged-tunnel"], |_| {})
        .subscription(
            "ahab",
            SubscriptionScope::Product("gold".to_owned()),
            "white-whale",
        );
    let gateway = TestGateway::start(&config).await;
    let mut socket = open(&gateway.url("/logged-tunnel?harbour-key=white-whale&x=y")).await;
    echo(&mut socket, "hello").await;
    socket.close(None).await.unwrap();
    let (lines, text) = wait_for("logged-tunnel", 2).await;
    let [opened, ended] = &lines[..] else {
        panic!("{text}")
    };
    for (field, expected) in [
        ("event", "handshake"),
        ("name", "Established"),
        ("from", "gateway"),
        ("to", "client"),
        ("result", "accepted"),
        ("target", "tidegate::access"),
        ("api", "harbour/logged-tunnel"),
        ("product", "harbour/gold"),
        ("subscription", "harbour/ahab"),
        ("listener", "plain"),
        ("client", "127.0.0.1"),
        ("path", "/logged-tunnel"),
        ("query", "harbour-key=***&x=***"),
        ("backend", &backend.address.to_string()),
    ] {
        assert_eq!(opened[field], *expected, "{field}: {text}");
    }
    assert_eq!(opened["status"], 101);
    assert_eq!(opened["id"], ended["id"]);
    for (field, expected) in [
        ("event", "close"),
        ("name", "ClientClosed"),
        ("initiator", "client"),
        ("cause", "client_closed"),
        ("api", "harbour/logged-tunnel"),
        ("subscription", "harbour/ahab"),
    ] {
        assert_eq!(ended[field], *expected, "{field}: {text}");
    }
    assert_eq!(
        (
            &ended["from_client_messages"],
            &ended["from_backend_messages"]
        ),
        (&1.into(), &1.into())
    );
    assert!(!text.contains("white-whale"), "{text}");
}

#[tokio::test]
async fn a_path_that_nearly_has_an_api_is_told_to_the_log_and_not_to_the_client() {
    listen();
    let backend = Backend::echo().await;
    let config = Config::new()
        .api("nearly-logged", backend.address)
        .api_with("nearly-guarded", backend.address, |api| {
            "/nearly".clone_into(&mut api.path);
            api.path_match = tidegate_config::PathMatch::Prefix;
        })
        .api_with("nearly-inner", backend.address, |api| {
            "/nearly/inner".clone_into(&mut api.path);
        });
    let gateway = TestGateway::start(&config).await;
    for (path, said) in [
        (
            "/nearly-logged/",
            "harbour/nearly-logged, /nearly-logged, differs by a slash",
        ),
        (
            "/Nearly-Logged",
            "harbour/nearly-logged, /nearly-logged, differs by upper and lower case",
        ),
        (
            "/nearly//inner",
            "can be read as one of WebSocketApi harbour/nearly-inner",
        ),
    ] {
        let answer = raw(gateway.address("plain"), handshake(path, "").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        let body = r#"{"statusCode":404,"message":"Resource not found"}"#;
        assert!(answer.ends_with(body), "{answer}");
        until("the line", || lines(said).0.len() == 1).await;
        let (lines, text) = lines(said);
        assert_eq!(lines[0]["path"], path, "{text}");
        assert_eq!(lines[0]["reason"], "route_not_found", "{text}");
    }
}

#[tokio::test]
async fn a_refused_connection_has_one_line_with_the_reason() {
    listen();
    let backend = Backend::echo().await;
    let config = Config::new().api_with("logged-refusal", backend.address, |api| {
        api.subscription_required = true;
    });
    let gateway = TestGateway::start(&config).await;
    let url = gateway.url("/logged-refusal?access_token=tok&bare-secret");
    let refused = connect(&url, &[("X-Harbour-Key", "k3y")])
        .await
        .unwrap_err();
    assert_eq!(refused.status, 401);
    let request = handshake("/logged-refusal", "Content-Length: 7\r\n");
    raw(gateway.address("plain"), request.as_bytes()).await;
    let (lines, text) = wait_for("logged-refusal", 2).await;
    let [key, body] = &lines[..] else {
        panic!("{text}")
    };
    for (field, expected) in [
        ("name", "HandshakeRejected"),
        ("result", "refused"),
        ("reason", "subscription_key_invalid"),
        ("source", "client"),
        ("query", "access_token=***&***"),
        ("method", "GET"),
    ] {
        assert_eq!(key[field], *expected, "{field}: {text}");
    }
    assert_eq!(key["status"], 401);
    assert_eq!(
        (&body["status"], &body["detail"]),
        (&400.into(), &"the request has a body".into())
    );
    for secret in ["k3y", "tok\"", "bare-secret"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[tokio::test]
async fn a_tunnel_that_is_cut_is_told_too() {
    listen();
    let backend = Backend::echo().await;
    let gateway = TestGateway::start(&Config::new().api("logged-cut", backend.address)).await;
    let _socket = open(&gateway.url("/logged-cut")).await;
    drop(gateway);
    let (lines, text) = wait_for("logged-cut", 2).await;
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(
        (&lines[1]["event"], &lines[1]["initiator"]),
        (&"close".into(), &"gateway".into())
    );
}

#[tokio::test]
async fn the_stages_of_a_connection_have_names() {
    listen();
    let backend = Backend::echo().await;
    let gateway = TestGateway::start(&Config::new().api("logged-stages", backend.address)).await;
    let mut socket = open(&gateway.url("/logged-stages")).await;
    socket.close(None).await.unwrap();
    let (opened, _) = wait_for("logged-stages", 2).await;
    let (all, text) = lines(opened[0]["id"].as_str().unwrap());
    let names: Vec<&str> = all
        .iter()
        .filter_map(|line| line["name"].as_str())
        .collect();
    let expected = [
        "HandshakeReceived",
        "BackendConnecting",
        "BackendAccepted",
        "Established",
        "ClientClosed",
    ];
    assert_eq!(names, expected, "{text}");
}

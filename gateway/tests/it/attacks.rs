//! Attacks on proxies that were real elsewhere: each is a test here.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde_json::json;
use tidegate_config::policy::OnHandshake;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::handshake::parts;
use crate::support::backend::Backend;
use crate::support::client::{connect, handshake, raw, read_to_end};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;
use crate::support::{until, within};

/// The backend would open a tunnel, were it asked (websocket-smuggle, scenario 1).
#[tokio::test]
async fn a_fake_upgrade_opens_no_tunnel() {
    let backend = Backend::echo().await;
    let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
    let smuggled = "GET /internal HTTP/1.1\r\nHost: a\r\n\r\n";
    let request = handshake("/chat", "").replace("Version: 13", "Version: 777") + smuggled;
    let answer = raw(gateway.address("plain"), request.as_bytes()).await;
    assert_eq!(parts(&answer).0, 426);
    assert_eq!(
        answer.matches("HTTP/1.1").count(),
        1,
        "one answer, and no more: {answer}"
    );
    assert!(backend.heads().is_empty());
}

/// Guesses of passwords, tokens or keys against a limit that counts failures.
#[tokio::test]
async fn guesses_that_come_together_are_as_few_as_one_after_the_other() {
    let answers = Arc::new(Semaphore::new(0));
    let turns = Arc::clone(&answers);
    let backend = Backend::scripted(move |_, mut stream| {
        let turns = Arc::clone(&turns);
        async move {
            turns.acquire().await.unwrap().forget();
            let answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
            let _ = stream.write_all(answer).await;
        }
    })
    .await;
    let on: OnHandshake = serde_json::from_value(json!({"inbound": [{"rateLimitByKey": {
        "key": "client.ip", "calls": 5, "period": "300s", "incrementWhen": "response.status == 401",
    }}]}))
    .unwrap();
    let config = Config::new().api_with("chat", backend.address, |api| api.on_handshake = on);
    let gateway = TestGateway::start(&config).await;
    let url = gateway.url("/chat");
    let mut guesses: FuturesUnordered<_> = (0..60).map(|_| connect(&url, &[])).collect();
    let mut statuses = Vec::new();
    for _ in 0..55 {
        let guess = within("a refusal", guesses.next()).await.unwrap();
        statuses.push(guess.expect_err("too many at once").status);
    }
    assert_eq!(statuses, [429; 55]);
    answers.add_permits(1000);
    while let Some(guess) = within("an answer", guesses.next()).await {
        assert_eq!(guess.expect_err("a wrong guess").status, 401);
    }
    assert_eq!(backend.heads().len(), 5);
    assert_eq!(connect(&url, &[]).await.expect_err("used up").status, 429);
}

/// A backend that takes its time over a refusal tells a guesser by its silence.
#[tokio::test]
async fn guesses_whose_clients_do_not_wait_count_as_well() {
    for limit in ["rateLimitByKey", "quotaByKey"] {
        let backend = Backend::scripted(|_, mut stream| async move {
            let _ = read_to_end(&mut stream).await;
        })
        .await;
        let on: OnHandshake = serde_json::from_value(json!({"inbound": [{limit: {
            "key": "client.ip", "calls": 3, "period": "300s", "incrementWhen": "response.status == 401",
        }}]}))
        .unwrap();
        let config = Config::new().api_with("chat", backend.address, |api| api.on_handshake = on);
        let gateway = TestGateway::start(&config).await;
        for guess in 1..=3 {
            let mut stream = TcpStream::connect(gateway.address("plain")).await.unwrap();
            let request = handshake("/chat", "");
            stream.write_all(request.as_bytes()).await.unwrap();
            until("the guess at the backend", || {
                backend.heads().len() == guess
            })
            .await;
            drop(stream);
            gateway.metric_is("tidegate_connections_active", 0.0).await;
        }
        let refused = connect(&gateway.url("/chat"), &[]).await;
        let status = refused.expect_err("used up").status;
        assert!([403, 429].contains(&status), "{limit}: {status}");
        assert_eq!(backend.heads().len(), 3, "{limit}");
    }
}

/// Field lines of a 101, made from the key it answers.
type Lines = Box<dyn Fn(&str) -> String + Send + Sync>;

fn forged_answers() -> [(&'static str, Lines); 6] {
    const FULL: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    fn accept(key: &str) -> String {
        let value = derive_accept_key(key.as_bytes());
        format!("Sec-WebSocket-Accept: {value}\r\n")
    }
    fn with(lines: &'static str) -> Lines {
        Box::new(move |key| format!("{}{lines}", accept(key)))
    }
    let another = || accept("dGhlIHNhbXBsZSBub25jZQ==");
    [
        ("no accept value", Box::new(|_| FULL.to_owned())),
        (
            "another key's",
            Box::new(move |_| format!("{FULL}{}", another())),
        ),
        ("no Upgrade", with("Connection: Upgrade\r\n")),
        ("h2c", with("Upgrade: h2c\r\nConnection: Upgrade\r\n")),
        (
            "a subprotocol nobody offered",
            with("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: x\r\n"),
        ),
        (
            "an extension nobody offered",
            with("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Extensions: x\r\n"),
        ),
    ]
}

/// A server that can be made to answer 101 without understanding it (scenario 2).
#[tokio::test]
async fn a_101_without_the_right_accept_value_is_a_502() {
    for (name, lines) in forged_answers() {
        let (lines, closed) = (Arc::new(lines), Arc::new(AtomicBool::new(false)));
        let seen = Arc::clone(&closed);
        let backend = Backend::scripted(move |head, mut stream| {
            let (lines, seen) = (Arc::clone(&lines), Arc::clone(&seen));
            async move {
                let lines = lines(head.header("Sec-WebSocket-Key")[0]);
                let answer = format!("HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                let _ = read_to_end(&mut stream).await;
                seen.store(true, Ordering::SeqCst);
            }
        })
        .await;
        let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
        let refused = connect(&gateway.url("/chat"), &[]).await.expect_err(name);
        let body = r#"{"statusCode":502,"message":"Backend handshake is invalid"}"#;
        assert_eq!(
            (refused.status, refused.body.as_str()),
            (502, body),
            "{name}"
        );
        until("the backend's socket to be closed", || {
            closed.load(Ordering::SeqCst)
        })
        .await;
    }
}

/// CVE-2024-23326.
#[tokio::test]
async fn a_200_is_no_upgrade() {
    let backend = Backend::answering(
        "HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
    let refused = connect(&gateway.url("/chat"), &[]).await.unwrap_err();
    assert_eq!(refused.status, 502);
}

/// CVE-2026-2833.
#[tokio::test]
async fn no_byte_of_the_client_passes_before_the_backends_101() {
    let early = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&early);
    let backend = Backend::scripted(move |head, mut stream| {
        let seen = Arc::clone(&seen);
        async move {
            let wait = tokio::time::timeout(Duration::from_millis(300), stream.read_u8());
            seen.store(
                !head.rest.is_empty() || wait.await.is_ok(),
                Ordering::SeqCst,
            );
            let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
            stream.write_all(refusal.as_bytes()).await.unwrap();
            let rest = read_to_end(&mut stream).await;
            seen.fetch_or(!rest.is_empty(), Ordering::SeqCst);
        }
    })
    .await;
    let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
    let request = handshake("/chat", "") + "GET /internal HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = raw(gateway.address("plain"), request.as_bytes()).await;
    assert_eq!(parts(&answer), (403, "no"));
    assert!(!early.load(Ordering::SeqCst));
    assert_eq!(backend.heads().len(), 1);
}

/// CVE-2026-2835.
#[tokio::test]
async fn a_handshake_with_a_body_never_reaches_the_backend() {
    let backend = Backend::echo().await;
    let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
    for lines in [
        "Content-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 0\r\nContent-Length: 4\r\n",
    ] {
        let answer = raw(
            gateway.address("plain"),
            handshake("/chat", lines).as_bytes(),
        )
        .await;
        assert_eq!(parts(&answer).0, 400, "{lines}");
    }
    assert!(backend.heads().is_empty());
}

/// CVE-2025-4366, response queue poisoning.
#[tokio::test]
async fn a_backend_connection_serves_one_handshake_only() {
    let backend = Backend::scripted(|_, mut stream| async move {
        // Two answers to one request: the second one must be nobody's.
        let answer = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\ntwo";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let _ = read_to_end(&mut stream).await;
    })
    .await;
    let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
    for _ in 0..3 {
        let answer = raw(gateway.address("plain"), handshake("/chat", "").as_bytes()).await;
        assert_eq!(parts(&answer), (401, "one"));
    }
    assert_eq!(backend.heads().len(), 3, "each on a connection of its own");
}

#[tokio::test]
async fn only_the_token_websocket_is_forwarded() {
    let backend = Backend::echo().await;
    let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
    let smuggling = "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n";
    let request = handshake("/chat", smuggling)
        .replace("Upgrade: websocket", "Upgrade: h2c, websocket")
        .replace("Connection: Upgrade", "Connection: Upgrade, HTTP2-Settings");
    let mut stream = TcpStream::connect(gateway.address("plain")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = backend.head().await;
    assert_eq!(head.header("Upgrade"), ["websocket"]);
    assert_eq!(head.header("Connection"), ["Upgrade"]);
    assert!(head.header("HTTP2-Settings").is_empty());
    let refused = handshake("/chat", "").replace("Upgrade: websocket", "Upgrade: h2c");
    let answer = raw(gateway.address("plain"), refused.as_bytes()).await;
    assert_eq!(parts(&answer).0, 400);
}

/// CVE-2025-64484, CVE-2025-48865.
#[tokio::test]
async fn connection_cannot_remove_what_others_set() {
    let backend = Backend::echo().await;
    let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
    let lines = "X-Auth-User: ahab\r\nX_Auth_User: forged\r\nX-Forwarded-For: 6.6.6.6\r\n";
    let request = handshake("/chat", lines).replace(
        "Connection: Upgrade",
        "Connection: Upgrade, X-Auth-User, X-Forwarded-For",
    );
    let mut stream = TcpStream::connect(gateway.address("plain")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = backend.head().await;
    assert_eq!(head.header("X-Auth-User"), ["ahab"]);
    assert_eq!(head.header("X-Forwarded-For"), ["127.0.0.1"]);
    assert!(head.header("X_Auth_User").is_empty());
}

/// ASVS 4.4.2: cross-site WebSocket hijacking.
#[tokio::test]
async fn a_page_of_another_site_is_refused_before_the_backend_is_dialled() {
    let backend = Backend::echo().await;
    let config = Config::new().api_with("chat", backend.address, |api| {
        api.allowed_origins = Some(vec!["https://*.harbour.example".to_owned()]);
    });
    let gateway = TestGateway::start(&config).await;
    for (origin, allowed) in [
        ("https://app.harbour.example", true),
        ("https://harbour.example.evil.example", false),
        ("https://evilharbour.example", false),
        ("null", false),
    ] {
        let answer = connect(&gateway.url("/chat"), &[("Origin", origin)]).await;
        assert_eq!(
            answer.map_err(|refused| refused.status).err(),
            (!allowed).then_some(403),
            "{origin}"
        );
    }
    assert_eq!(backend.heads().len(), 1);
}

/// CVE-2023-43669.
#[tokio::test]
async fn heads_without_end_are_cut_off() {
    let gateway = TestGateway::start(&Config::new()).await;
    for (name, start, piece, status) in [
        ("a field", "GET / HTTP/1.1\r\nX: ", "a", 431),
        ("many fields", "GET / HTTP/1.1\r\n", "X: a\r\n", 431),
        ("a URL", "GET /", "a", 414),
    ] {
        let mut stream = TcpStream::connect(gateway.address("plain")).await.unwrap();
        let bytes = format!("{start}{}", piece.repeat(40_000 / piece.len()));
        // The answer may come, and the connection end, before all is written.
        let _ = stream.write_all(bytes.as_bytes()).await;
        let answer = read_to_end(&mut stream).await;
        assert_eq!(parts(&answer).0, status, "{name}");
    }
    let fields: String = (0..150)
        .map(|number| format!("X-{number}: a\r\n"))
        .collect();
    let answer = raw(gateway.address("plain"), handshake("/", &fields).as_bytes()).await;
    assert_eq!(parts(&answer).0, 431);
}

/// TykTechnologies/tyk#2708.
#[tokio::test]
async fn every_client_gets_the_answer_to_its_own_key() {
    let backend = Backend::echo().await;
    let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
    let address = gateway.address("plain");
    let mut clients = JoinSet::new();
    for number in 0..300u32 {
        clients.spawn(async move {
            let key = format!("{:A<21}Q==", format!("key{number}x"));
            let request = handshake("/chat", "").replace("dGhlIHNhbXBsZSBub25jZQ==", &key);
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
            }
            let expected = format!(
                "Sec-WebSocket-Accept: {}\r\n",
                derive_accept_key(key.as_bytes())
            );
            let answer = String::from_utf8(answer).unwrap();
            assert!(answer.contains(&expected), "{key}: {answer}");
        });
    }
    within("all clients", clients.join_all()).await;
}

#[tokio::test]
async fn a_path_that_climbs_matches_no_prefix() {
    let backend = Backend::echo().await;
    let config = Config::new().api_with("public", backend.address, |api| {
        api.path_match = tidegate_config::PathMatch::Prefix;
    });
    let gateway = TestGateway::start(&config).await;
    for path in [
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/..%2fadmin",
        "/public/..;/admin",
    ] {
        let answer = raw(gateway.address("plain"), handshake(path, "").as_bytes()).await;
        assert_eq!(parts(&answer).0, 404, "{path}");
    }
    assert!(backend.heads().is_empty());
}

/// `/api` is open and `/api/admin` is not, on one backend.
#[tokio::test]
async fn a_guarded_path_has_no_spelling_that_passes_an_open_prefix() {
    let backend = Backend::echo().await;
    let prefix = |path: &'static str, guarded: bool| {
        move |api: &mut tidegate_config::ApiConfig| {
            path.clone_into(&mut api.path);
            api.path_match = tidegate_config::PathMatch::Prefix;
            api.subscription_required = guarded;
        }
    };
    let config = Config::new()
        .api_with("open", backend.address, prefix("/api", false))
        .api_with("guarded", backend.address, prefix("/api/admin", true));
    let gateway = TestGateway::start(&config).await;
    for (path, status) in [
        ("/api/admin/x", 401),
        ("/api/%61dmin/x", 401),
        ("/%61pi/%61d%6Din", 401),
        ("/api/%%36%31dmin/x", 401),
        ("/api/%2561dmin/x", 404),
        ("/api//admin/x", 404),
        ("/api/admin%2fx", 404),
        ("/api/admin%252fx", 404),
        ("/api/admin;a=b/x", 404),
        ("/api/;/admin/x", 404),
        ("/api/admin%5cx", 404),
        ("/api/admin\\x", 404),
        ("/api/admin%00/x", 404),
        ("/api/x/..;/admin", 404),
    ] {
        let answer = raw(gateway.address("plain"), handshake(path, "").as_bytes()).await;
        assert_eq!(parts(&answer).0, status, "{path}");
    }
    assert!(backend.heads().is_empty());
    // The client's library would normalise the path itself.
    let mut client = TcpStream::connect(gateway.address("plain")).await.unwrap();
    let request = handshake("/api/%7euser/a%2fb//c", "");
    client.write_all(request.as_bytes()).await.unwrap();
    until("the backend", || !backend.heads().is_empty()).await;
    let head = backend.heads().remove(0).text;
    let sent = "/~user/a%2Fb//c ";
    assert!(
        head.contains(sent),
        "what was compared is what is sent: {head}"
    );
}

/// Every function of a file or a directory's files.
fn functions(path: &Path, found: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            functions(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        let text = fs::read_to_string(path).unwrap();
        let names = text
            .split("fn ")
            .skip(1)
            .filter_map(|rest| rest.split_once('('));
        found.extend(names.map(|(name, _)| name.to_owned()));
    }
}

/// What stands in backticks in the last cells of a page's tables.
fn named_in(page: &str) -> Vec<String> {
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let last_cells = rows.filter_map(|row| row.trim_end_matches([' ', '|']).rsplit(" | ").next());
    last_cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

#[test]
fn pages_name_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let repository = root.join("..");
    let mut known = BTreeSet::new();
    // Of every crate: some of what is promised is held by the operator, the planner, the program.
    for entry in fs::read_dir(&repository).unwrap() {
        let directory = entry.unwrap().path();
        if directory.join("Cargo.toml").exists() {
            for part in ["src", "tests"].map(|part| directory.join(part)) {
                if part.exists() {
                    functions(&part, &mut known);
                }
            }
        }
    }
    for (page, from, to, least) in [
        ("docs/attacks.md", "# ", "the end", 30),
        ("docs/testing.md", "## Of the relay", "## ", 6),
    ] {
        let text = fs::read_to_string(repository.join(page)).unwrap();
        let (_, text) = text.split_once(from).unwrap();
        let named = named_in(text.split(to).next().unwrap());
        assert!(named.len() >= least, "{page}: {named:?}");
        for name in named {
            let is_there = known.contains(&name)
                || (name.contains('/') && repository.join(&name).exists())
                || name.starts_with("make ");
            assert!(is_there, "{page} names {name}");
        }
    }
}

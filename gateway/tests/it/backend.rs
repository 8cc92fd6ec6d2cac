//! The backend's leg: what it may answer, and what happens when it does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use tidegate_config::{BackendTls, SecretDataId, TrustAnchorKind, TrustAnchorRef};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::handshake::parts;
use crate::support::backend::Backend;
use crate::support::client::{connect, echo, handshake, open, raw, read_to_end, receive};
use crate::support::config::{Config, NAMESPACE};
use crate::support::gateway::TestGateway;
use crate::support::port::FreePort;
use crate::support::tls::{Authority, secure_echo};
use crate::support::{until, within};

fn failed(reason: &str) -> String {
    format!(
        "tidegate_handshakes_total{{api=\"harbour/chat\",reason=\"{reason}\",result=\"failed\"}}"
    )
}

#[tokio::test]
async fn a_refusal_of_the_backend_is_the_clients_answer() {
    let cases = [
        (
            "a length",
            "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 8\r\nX-Why: law\r\n\r\ngo away!more".to_owned(),
            (403, "go away!"),
        ),
        (
            "chunks",
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n1\r\n!\r\n0\r\n\r\n".to_owned(),
            (401, "no!"),
        ),
        ("until close", "HTTP/1.1 503 Busy\r\n\r\nlater".to_owned(), (503, "later")),
        ("a redirect", "HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n".to_owned(), (302, "")),
        ("an interim answer first", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno".to_owned(), (404, "no")),
    ];
    for (name, answer, expected) in cases {
        let backend = Backend::answering(Box::leak(answer.into_boxed_str())).await;
        let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
        let answer = raw(gateway.address("plain"), handshake("/chat", "").as_bytes()).await;
        assert_eq!(parts(&answer), expected, "{name}");
        let reason = "tidegate_handshakes_total{api=\"harbour/chat\",reason=\"backend_refused\",result=\"refused\"}";
        assert_eq!(gateway.metric(reason), 1.0, "{name}");
        let has = |line: &str| answer.contains(&format!("\r\n{line}\r\n"));
        match expected.0 {
            403 => assert!(
                has("Content-Type: text/plain") && has("X-Why: law"),
                "{answer}"
            ),
            401 => assert!(
                has("Www-Authenticate: Basic") && !answer.contains("chunked"),
                "{answer}"
            ),
            302 => assert!(has("Location: /other"), "{answer}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_backend_that_breaks_off_is_a_502() {
    for (name, answer) in [
        ("no answer", ""),
        ("half an answer", "HTTP/1.1 101 Switching"),
        ("not HTTP", "SSH-2.0-OpenSSH_9.0\r\n\r\n"),
        ("HTTP/1.0", "HTTP/1.0 101 Switching Protocols\r\n\r\n"),
    ] {
        let backend = Backend::answering(answer).await;
        let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
        let refused = connect(&gateway.url("/chat"), &[]).await.expect_err(name);
        assert_eq!(refused.status, 502, "{name}");
        assert_eq!(
            gateway.metric(&failed("backend_invalid_handshake")),
            1.0,
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_answer_without_end_is_a_502() {
    let backend = Backend::scripted(|_, mut stream| async move {
        let _ = stream
            .write_all(format!("HTTP/1.1 101 OK\r\nX: {}", "a".repeat(40_000)).as_bytes())
            .await;
        let _ = read_to_end(&mut stream).await;
    })
    .await;
    let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
    assert_eq!(
        connect(&gateway.url("/chat"), &[])
            .await
            .unwrap_err()
            .status,
        502
    );
}

#[tokio::test]
async fn a_backend_that_is_not_there_is_a_502() {
    let gone = FreePort::new();
    let config = Config::new()
        .api("chat", gone.address)
        .api_with("nowhere", gone.address, |api| {
            api.backend_url = "ws://no-such-host.invalid/".to_owned();
        });
    let gateway = TestGateway::start(&config).await;
    for path in ["/chat", "/nowhere"] {
        let refused = connect(&gateway.url(path), &[]).await.unwrap_err();
        assert_eq!(refused.status, 502, "{path}");
        assert_eq!(
            refused.body,
            r#"{"statusCode":502,"message":"Backend connection failed"}"#
        );
    }
    assert_eq!(gateway.metric(&failed("backend_connect_failed")), 1.0);
}

#[tokio::test]
async fn a_backend_that_keeps_silent_is_a_504() {
    let backend = Backend::scripted(|_, mut stream| async move {
        let _ = read_to_end(&mut stream).await;
    })
    .await;
    let config = Config::new().api_with("chat", backend.address, |api| {
        api.timeouts.backend_handshake = Some(tidegate_config::Duration::from_millis(100));
    });
    let gateway = TestGateway::start(&config).await;
    let refused = connect(&gateway.url("/chat"), &[]).await.unwrap_err();
    assert_eq!(
        (refused.status, refused.body.as_str()),
        (504, r#"{"statusCode":504,"message":"Backend timed out"}"#)
    );
    assert_eq!(gateway.metric(&failed("backend_timeout")), 1.0);
}

#[tokio::test]
async fn a_name_is_resolved_and_all_its_addresses_are_tried() {
    let backend = Backend::echo().await;
    let config = Config::new().api_with("chat", backend.address, |api| {
        // The name may stand for ::1 as well, where nobody listens.
        api.backend_url = format!("ws://localhost:{}/", backend.address.port());
    });
    let gateway = TestGateway::start(&config).await;
    for _ in 0..3 {
        let mut socket = open(&gateway.url("/chat")).await;
        echo(&mut socket, "hello").await;
    }
}

#[tokio::test]
async fn frames_that_come_with_either_head_are_relayed_first() {
    let backend = Backend::scripted(|head, mut stream| async move {
        assert!(head.rest.is_empty());
        // An unmasked text frame right behind the head.
        let mut answer = head.switching("").into_bytes();
        answer.extend_from_slice(b"\x81\x05first");
        stream.write_all(&answer).await.unwrap();
        let mut frame = [0; 11];
        stream.read_exact(&mut frame).await.unwrap();
        assert_eq!(&frame[..2], b"\x81\x85");
        stream.write_all(b"\x81\x04done").await.unwrap();
        let _ = read_to_end(&mut stream).await;
    })
    .await;
    let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
    let mut stream = TcpStream::connect(gateway.address("plain")).await.unwrap();
    let mut request = handshake("/chat", "").into_bytes();
    // A masked text frame right behind the head, with a mask of zeros.
    request.extend_from_slice(b"\x81\x85\0\0\0\0early");
    stream.write_all(&request).await.unwrap();
    let mut answer = Vec::new();
    within("both messages", async {
        while !answer.ends_with(b"\x81\x04done") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
        }
    })
    .await;
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("\r\n\r\n\u{fffd}\u{5}first"), "{text}");
}

#[tokio::test]
async fn a_client_that_leaves_is_not_dialled_for_any_longer() {
    let left = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&left);
    let backend = Backend::scripted(move |_, mut stream| {
        let seen = Arc::clone(&seen);
        async move {
            let _ = read_to_end(&mut stream).await;
            seen.store(true, Ordering::SeqCst);
        }
    })
    .await;
    let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
    let mut stream = TcpStream::connect(gateway.address("plain")).await.unwrap();
    stream
        .write_all(handshake("/chat", "").as_bytes())
        .await
        .unwrap();
    backend.head().await;
    drop(stream);
    until("the backend to be left", || left.load(Ordering::SeqCst)).await;
    gateway.metric_is(&failed("client_gone"), 1.0).await;
    gateway.metric_is("tidegate_connections_active", 0.0).await;
}

/// How an API's TLS differs from the default.
type Edit<'a> = &'a dyn Fn(&mut BackendTls);

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_a_502_unless_it_is_named_or_waived() {
    let authority = Authority::new();
    let backend = secure_echo(authority.server_config("localhost")).await;
    let reference = TrustAnchorRef {
        kind: TrustAnchorKind::ConfigMap,
        name: "anchors".to_owned(),
        key: "ca.crt".to_owned(),
    };
    let trusting = |tls: &mut BackendTls| tls.ca_refs = vec![reference.clone()];
    let wrong_name = |tls: &mut BackendTls| {
        (tls.ca_refs, tls.server_name) =
            (vec![reference.clone()], Some("other.example".to_owned()));
    };
    let cases: [(&str, &str, Edit<'_>, Option<u16>); 6] = [
        ("the system's authorities", "localhost", &|_| {}, Some(502)),
        ("its own authority", "localhost", &trusting, None),
        ("another name in the URL", "127.0.0.1", &trusting, Some(502)),
        (
            "another name configured",
            "localhost",
            &wrong_name,
            Some(502),
        ),
        (
            "the right name configured",
            "127.0.0.1",
            &|tls| {
                trusting(tls);
                tls.server_name = Some("localhost".to_owned());
            },
            None,
        ),
        (
            "no verification",
            "127.0.0.1",
            &|tls| tls.insecure_skip_verify = true,
            None,
        ),
    ];
    for (name, host, edit, expected) in cases {
        let mut config = Config::new().api_with("chat", backend, |api| {
            api.backend_url = format!("wss://{host}:{}/", backend.port());
            edit(&mut api.backend_tls);
        });
        let id = SecretDataId::of_trust_anchor(NAMESPACE, &reference);
        config.secret_data.insert(id, authority.pem().into_bytes());
        let gateway = TestGateway::start(&config).await;
        match connect(&gateway.url("/chat"), &[]).await {
            Ok(mut socket) => {
                assert_eq!(expected, None, "{name}");
                echo(&mut socket, "over TLS").await;
            }
            Err(refused) => {
                assert_eq!(expected, Some(refused.status), "{name}: {refused:?}");
                assert_eq!(gateway.metric(&failed("backend_tls_failed")), 1.0, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_backend_may_ask_for_a_client_certificate() {
    let authority = Authority::new();
    let backend = secure_echo(authority.server_config_with_client_auth("localhost")).await;
    let (chain, key) = authority.issue("gateway");
    let edit = |with_certificate: bool| {
        let mut config = Config::new().api_with("chat", backend, |api| {
            api.backend_url = format!("wss://localhost:{}/", backend.port());
            api.backend_tls.insecure_skip_verify = true;
            let name = || "client".to_owned();
            api.backend_tls.client_certificate_ref = with_certificate.then(name);
        });
        for (part, text) in [("tls.crt", &chain), ("tls.key", &key)] {
            let id = SecretDataId::secret(NAMESPACE, "client", part);
            config.secret_data.insert(id, text.clone().into_bytes());
        }
        config
    };
    let mut gateway = TestGateway::start(&edit(false)).await;
    let refused = connect(&gateway.url("/chat"), &[]).await.unwrap_err();
    assert_eq!(refused.status, 502);
    gateway.apply(&edit(true)).await;
    let mut socket = open(&gateway.url("/chat")).await;
    echo(&mut socket, "mutual").await;
}

#[tokio::test]
async fn a_large_early_burst_arrives_whole() {
    let backend = Backend::scripted(|head, stream| async move {
        // Late, so that the burst waits at the gateway, in the client's socket and in the client.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut socket = crate::support::backend::upgrade(&head, stream, "").await;
        let message = socket.next().await.unwrap().unwrap();
        let length = message.into_data().len().to_string();
        futures::SinkExt::send(&mut socket, Message::text(length))
            .await
            .unwrap();
        let _ = socket.next().await;
    })
    .await;
    let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
    let mut stream = TcpStream::connect(gateway.address("plain")).await.unwrap();
    let size: u32 = 300_000;
    let mut request = handshake("/chat", "").into_bytes();
    request.extend_from_slice(&[0x82, 0xff, 0, 0, 0, 0]);
    request.extend_from_slice(&size.to_be_bytes());
    request.extend_from_slice(&vec![0; 4 + size as usize]);
    let writing = stream.write_all(&request);
    within("the burst to be taken", writing).await.unwrap();
    let mut answer = Vec::new();
    within("the count", async {
        while !answer.ends_with(b"\x81\x06300000") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_right_behind_the_101_reaches_a_library_client() {
    let backend = Backend::scripted(|head, mut stream| async move {
        let mut answer = head.switching("").into_bytes();
        answer.extend_from_slice(b"\x81\x02hi");
        stream.write_all(&answer).await.unwrap();
        let _ = read_to_end(&mut stream).await;
    })
    .await;
    let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
    let mut socket = open(&gateway.url("/chat")).await;
    assert_eq!(receive(&mut socket).await, Message::text("hi"));
}

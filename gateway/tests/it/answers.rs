//! What backends answer, legal or not: what of it reaches the client, what the log says, and when it
//! counts against the backend.

use std::time::Duration;

use tidegate_config::CircuitBreaker;
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::handshake::parts;
use crate::logs::{listen, wait_for};
use crate::support::backend::Backend;
use crate::support::client::{handshake, raw, read_to_end};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;

const UPGRADE: &str = "Upgrade: websocket\r\n";
const CONNECTION: &str = "Connection: Upgrade\r\n";
const ACCEPT: &str = "Sec-WebSocket-Accept: {accept}\r\n";

/// Answers with this text, in which `{accept}` stands for the accept value, and closes.
pub(crate) async fn answering(answer: String) -> Backend {
    Backend::scripted(move |head, mut stream| {
        let key = head.header("Sec-WebSocket-Key")[0].to_owned();
        let answer = answer.replace("{accept}", &derive_accept_key(key.as_bytes()));
        async move {
            // The gateway may have left; the test then sees that.
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
            let _ = read_to_end(&mut stream).await;
        }
    })
    .await
}

fn switching(lines: &str) -> String {
    format!("HTTP/1.1 101 Switching Protocols\r\n{UPGRADE}{CONNECTION}{ACCEPT}{lines}\r\n")
}

#[tokio::test]
async fn a_101_may_look_odd_and_still_be_one() {
    let rest = format!("{UPGRADE}{CONNECTION}{ACCEPT}\r\n");
    for (name, answer) in [
        ("no reason phrase", format!("HTTP/1.1 101\r\n{rest}")),
        ("an empty reason phrase", format!("HTTP/1.1 101 \r\n{rest}")),
        (
            "more than one space",
            format!("HTTP/1.1  101  Up\r\n{rest}"),
        ),
        ("lines without CR", switching("").replace('\r', "")),
        (
            "interim answers before it",
            format!(
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{}",
                switching("")
            ),
        ),
        (
            "names in another case, in lists",
            format!(
                "HTTP/1.1 101 Up\r\nUPGRADE: h2c, WebSocket\r\nconnection: upgrade, keep-alive\r\n{ACCEPT}\r\n"
            ),
        ),
        (
            "space in front of colons",
            format!("HTTP/1.1 101 Up\r\n{rest}").replace(": ", " \t: "),
        ),
        (
            "space around a value",
            switching("").replace("{accept}", " \t {accept} \t"),
        ),
        (
            "folded lines",
            switching("X-Long: a\r\n\tb\r\n").replace("{accept}", "\r\n  {accept}"),
        ),
        ("a length", switching("Content-Length: 0\r\n")),
        ("a length that is none", switching("Content-Length: 5\r\n")),
        ("chunks", switching("Transfer-Encoding: chunked\r\n")),
    ] {
        let backend = answering(answer).await;
        let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
        let answer = raw(gateway.address("plain"), handshake("/chat", "").as_bytes()).await;
        assert!(
            answer.starts_with("HTTP/1.1 101 Switching"),
            "{name}: {answer}"
        );
        for gone in ["Content-Length", "Transfer-Encoding", "\r\n\t", "\r\n "] {
            assert!(!answer.contains(gone), "{name}: {answer}");
        }
        if name == "folded lines" {
            assert!(answer.contains("\r\nX-Long: a b\r\n"), "{answer}");
        }
    }
}

/// Lines that the client must see, and such that it must not.
type Lines = (&'static [&'static str], &'static [&'static str]);

const ODD_REFUSALS: [(&str, &str, (u16, &str), Lines); 15] = [
    (
        "HTTP/1.0, to the end of the connection",
        "HTTP/1.0 403 Forbidden\r\nServer: BaseHTTP/0.6\r\nConnection: close\r\n\r\nlaw",
        (403, "law"),
        (&["Server: BaseHTTP/0.6"], &[]),
    ),
    (
        "HTTP/1.0 with a challenge and a length",
        "HTTP/1.0 401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 3\r\n\r\nwho",
        (401, "who"),
        (&["Www-Authenticate: Basic realm=\"x\""], &[]),
    ),
    (
        "challenges that belong to a connection",
        "HTTP/1.1 401 No\r\nWWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n",
        (401, ""),
        (
            &["Www-Authenticate: Negotiate", "Www-Authenticate: NTLM"],
            &[],
        ),
    ),
    (
        "no reason phrase",
        "HTTP/1.1 404\r\nContent-Length: 2\r\n\r\nno",
        (404, "no"),
        (&[], &[]),
    ),
    (
        "lines without CR",
        "HTTP/1.1 404 No\nX-A: b\nContent-Length: 2\n\nno",
        (404, "no"),
        (&["X-A: b"], &[]),
    ),
    (
        "space in front of colons",
        "HTTP/1.1 403 No\r\nServer\t: x\r\nX-Why : law\r\nContent-Length : 2\r\n\r\nno",
        (403, "no"),
        (&["Server: x", "X-Why: law"], &[]),
    ),
    (
        "folded lines",
        "HTTP/1.1 403 No\r\nX-Long: a\r\n  b\r\n\t c\r\nContent-Length: 2\r\n\r\nno",
        (403, "no"),
        (&["X-Long: a b c"], &[]),
    ),
    (
        "a 426, which must say what would do",
        "HTTP/1.1 426 No\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8, 7\r\nContent-Length: 0\r\n\r\n",
        (426, ""),
        (
            &[
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 8, 7",
                "Connection: close, Upgrade",
            ],
            &[],
        ),
    ),
    (
        "Upgrade anywhere else",
        "HTTP/1.1 403 No\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
        (403, ""),
        (&["Connection: close"], &["Upgrade"]),
    ),
    (
        "a redirect",
        "HTTP/1.1 307 Away\r\nLocation: https://other.example/\r\nContent-Length: 0\r\n\r\n",
        (307, ""),
        (&["Location: https://other.example/"], &[]),
    ),
    (
        "chunks with trailers",
        "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2;a=b\r\nno\r\n0\r\nX-T: x\r\n\r\n",
        (403, "no"),
        (
            &["Content-Length: 2"],
            &["Transfer-Encoding", "X-T", "Trailer"],
        ),
    ),
    (
        "the same length twice",
        "HTTP/1.1 403 No\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nno",
        (403, "no"),
        (&["Content-Length: 2"], &[]),
    ),
    (
        "an encoded body",
        "HTTP/1.1 404 No\r\nContent-Encoding: gzip\r\nETag: \"v1\"\r\nContent-Length: 4\r\n\r\n\x1f.\x08.",
        (404, "\x1f.\x08."),
        (&["Content-Encoding: gzip", "Etag: \"v1\""], &[]),
    ),
    (
        "unmodified, without a body",
        "HTTP/1.1 304 Same\r\nETag: \"v1\"\r\nContent-Length: 9\r\n\r\n",
        (304, ""),
        (&["Etag: \"v1\""], &[]),
    ),
    (
        "a status that nobody has registered",
        "HTTP/1.1 799 Odd\r\nContent-Length: 2\r\n\r\nno",
        (799, "no"),
        (&[], &[]),
    ),
];

#[tokio::test]
async fn a_refusal_may_look_odd_and_still_be_one() {
    for (name, answer, expected, (there, gone)) in ODD_REFUSALS {
        let backend = Backend::answering(answer).await;
        let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
        let answer = raw(gateway.address("plain"), handshake("/chat", "").as_bytes()).await;
        assert_eq!(parts(&answer), expected, "{name}");
        for line in there {
            assert!(
                answer.contains(&format!("\r\n{line}\r\n")),
                "{name}: {answer}"
            );
        }
        for part in gone {
            assert!(!answer.contains(part), "{name}: {answer}");
        }
    }
}

/// How an answer is invalid: name, the answer, and what the log says. `{101}`, `{U}`, `{C}` and `{A}` are
/// the lines of a valid one, `{up}` is all of them.
const INVALID: [(&str, &str, &str); 31] = [
    ("nothing", "", "is gone after 0 bytes"),
    ("half a head", "HTTP/1.1 101 Sw", "is gone after 15 bytes"),
    (
        "another protocol",
        "SSH-2.0-OpenSSH_9.0\r\n",
        "(it begins \"SSH-2.0-OpenSSH_9.0\"",
    ),
    ("TLS", "\u{15}\u{3}\u{1}", "(it begins \"\\x15"),
    ("HTTP/2", "HTTP/2.0 101 Up\r\n\r\n", "it is not HTTP/1.1"),
    (
        "HTTP in another case",
        "http/1.1 101 Up\r\n\r\n",
        "(it begins \"http/1.1 101 Up\"",
    ),
    (
        "a status of two digits",
        "HTTP/1.1 99 Up\r\n\r\n",
        "the status is not valid",
    ),
    (
        "a status below 100",
        "HTTP/1.1 099 Up\r\n\r\n",
        "the status is not valid",
    ),
    (
        "a name with a space",
        "{up}Bad Name: hush\r\n\r\n",
        "(line 5: \"Bad Name\"): a field name is not valid",
    ),
    (
        "a line without a colon",
        "{up}no field at all\r\n\r\n",
        "(line 5: \"no field at all\")",
    ),
    (
        "a control character",
        "{up}X-A: a\u{1}hush\r\n\r\n",
        "(line 5: \"X-A\"): a field value is not valid",
    ),
    (
        "a page",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "status 200 is neither 101 nor a refusal",
    ),
    (
        "no content",
        "HTTP/1.1 204 No\r\n\r\n",
        "status 204 is neither",
    ),
    (
        "HTTP/1.0",
        "HTTP/1.0 101 Up\r\n{U}{C}{A}\r\n",
        "status 101 in HTTP/1.0",
    ),
    (
        "no Upgrade",
        "{101}{C}{A}\r\n",
        "Upgrade is missing, not websocket",
    ),
    (
        "another Upgrade",
        "{101}Upgrade: h2c\r\n{C}{A}\r\n",
        "Upgrade is \"h2c\", not websocket",
    ),
    (
        "no Connection",
        "{101}{U}{A}\r\n",
        "Connection is missing, not Upgrade",
    ),
    (
        "another Connection",
        "{101}{U}Connection: close\r\n{A}\r\n",
        "Connection is \"close\", not Upgrade",
    ),
    (
        "no accept value",
        "{101}{U}{C}\r\n",
        "Sec-WebSocket-Accept is missing",
    ),
    (
        "another accept value",
        "{101}{U}{C}Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        "Sec-WebSocket-Accept is \"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\", which does not answer",
    ),
    (
        "an accept value with a space",
        "{101}{U}{C}Sec-WebSocket-Accept: {accept} x\r\n\r\n",
        "x\", which does not answer",
    ),
    (
        "two accept values",
        "{up}{A}\r\n",
        "Sec-WebSocket-Accept is \"",
    ),
    (
        "a subprotocol not offered",
        "{up}Sec-WebSocket-Protocol: mqtt\r\n\r\n",
        "Sec-WebSocket-Protocol \"mqtt\" is not one subprotocol that was offered",
    ),
    (
        "an empty subprotocol",
        "{up}Sec-WebSocket-Protocol:\r\n\r\n",
        "Sec-WebSocket-Protocol \"\" is not one",
    ),
    (
        "two lines of subprotocols",
        "{up}Sec-WebSocket-Protocol: v1\r\nSec-WebSocket-Protocol: v1\r\n\r\n",
        "Sec-WebSocket-Protocol \"v1, v1\" is not one",
    ),
    (
        "the whole offer",
        "{up}Sec-WebSocket-Protocol: v1, eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl\r\n\r\n",
        "Sec-WebSocket-Protocol \"v1, ***\" is not one",
    ),
    (
        "a long value",
        "{up}Sec-WebSocket-Protocol: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n\r\n",
        "xxx…\" is not one",
    ),
    (
        "an extension not offered",
        "{up}Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        "Sec-WebSocket-Extensions \"permessage-deflate\" were not offered",
    ),
    (
        "two lengths",
        "HTTP/1.1 403 No\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nno",
        "Content-Length is not one number",
    ),
    (
        "an unknown coding",
        "HTTP/1.1 403 No\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "Transfer-Encoding is not chunked alone",
    ),
    (
        "a length with a sign",
        "HTTP/1.1 403 No\r\nContent-Length: +2\r\n\r\nno",
        "Content-Length is not one number",
    ),
];

fn invalid_answers() -> Vec<(&'static str, String, &'static str)> {
    let lines = [UPGRADE, CONNECTION, ACCEPT].concat();
    let expand = |text: &str| {
        text.replace("{up}", &format!("{{101}}{lines}"))
            .replace("{101}", "HTTP/1.1 101 Up\r\n")
            .replace("{U}", UPGRADE)
            .replace("{C}", CONNECTION)
            .replace("{A}", ACCEPT)
    };
    let fixed = INVALID.map(|(name, answer, expected)| (name, expand(answer), expected));
    let cookies: String = (0..101).map(|i| format!("Set-Cookie: a{i}=\r\n")).collect();
    let long = format!("X-A: {}\r\n", "a".repeat(40_000));
    let interim = "HTTP/1.1 103 Hints\r\n\r\n".repeat(20);
    let large = [
        (
            "interim answers for ever",
            interim,
            "more than 8 interim answers",
        ),
        (
            "more than 100 fields",
            switching(&cookies),
            "more than 100 fields",
        ),
        (
            "a large head",
            switching(&long),
            "more than limits.maxResponseHeaderBytes (32768 bytes)",
        ),
    ];
    fixed.into_iter().chain(large).collect()
}

#[tokio::test]
async fn the_log_says_how_an_answer_is_invalid_and_the_client_does_not() {
    listen();
    for (i, (name, answer, expected)) in invalid_answers().into_iter().enumerate() {
        let backend = answering(answer).await;
        let api = format!("invalid-{i}-answer");
        let gateway = TestGateway::start(&Config::new().api(&api, backend.address)).await;
        let offers = "Sec-WebSocket-Protocol: v1, eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl\r\n";
        let request = handshake(&format!("/{api}"), offers);
        let answer = raw(gateway.address("plain"), request.as_bytes()).await;
        let too_large = ["more than 100 fields", "a large head"].contains(&name);
        let (reason, message) = match too_large {
            true => (
                "backend_head_too_large",
                "Backend response header fields too large: limits.maxResponseHeaderBytes",
            ),
            false => ("backend_invalid_handshake", "Backend handshake is invalid"),
        };
        let body = format!("{{\"statusCode\":502,\"message\":\"{message}\"}}");
        assert_eq!(parts(&answer), (502, body.as_str()), "{name}");
        let (lines, text) = wait_for(&format!("harbour/{api}\""), 1).await;
        let line = lines
            .iter()
            .find(|line| line["event"] == "handshake")
            .unwrap();
        assert_eq!(line["reason"], reason, "{name}");
        let detail = line["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(expected), "{name}: {detail}");
        assert!(detail.len() < 200, "{name}: {detail}");
        for secret in ["hush", "c2lnbmF0dXJl"] {
            assert!(!text.contains(secret), "{name}: {text}");
        }
    }
}

fn guarded(backend: &Backend) -> Config {
    Config::new().api_with("chat", backend.address, |api| {
        api.circuit_breaker = Some(CircuitBreaker {
            consecutive_failures: 3,
            trip_duration: tidegate_config::Duration::from_secs(3600),
            statuses: None,
        });
    })
}

const OPEN: &str = "tidegate_backends_out{api=\"harbour/chat\",reason=\"circuit_open\"}";

/// Each row of the table in the documentation that one answer can bring about.
#[tokio::test]
async fn only_what_is_the_backends_fault_opens_its_circuit() {
    let head = |size: usize| switching(&format!("X-A: {}\r\n", "a".repeat(size)));
    for (name, answer, opens) in [
        ("no answer", String::new(), true),
        ("half an answer", "HTTP/1.1 101 Sw".to_owned(), true),
        ("not HTTP", "SSH-2.0-x\r\n\r\n".to_owned(), true),
        (
            "a wrong accept value",
            switching("").replace("{accept}", "x"),
            true,
        ),
        (
            "a status of 500",
            "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_owned(),
            true,
        ),
        ("a head that is too large", head(40_000), false),
        (
            "a subprotocol",
            switching("Sec-WebSocket-Protocol: mqtt\r\n"),
            false,
        ),
        (
            "an extension",
            switching("Sec-WebSocket-Extensions: x\r\n"),
            false,
        ),
        (
            "a page",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
            false,
        ),
        (
            "a status of 404",
            "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".to_owned(),
            false,
        ),
        ("HTTP/1.0", "HTTP/1.0 403 No\r\n\r\n".to_owned(), false),
    ] {
        let backend = answering(answer).await;
        let gateway = TestGateway::start(&guarded(&backend)).await;
        for _ in 0..4 {
            raw(gateway.address("plain"), handshake("/chat", "").as_bytes()).await;
        }
        let is_open = gateway.metric(OPEN) == 1.0;
        assert_eq!(is_open, opens, "{name}");
        assert_eq!(backend.heads().len(), if opens { 3 } else { 4 }, "{name}");
    }
}

#[tokio::test]
async fn time_that_policies_used_up_does_not_count_against_a_backend() {
    let slow = Backend::scripted(|_, stream| async move {
        tokio::time::sleep(Duration::from_secs(20)).await;
        drop(stream);
    })
    .await;
    let config = guarded(&slow).edit_api("chat", |api| {
        api.timeouts.handshake_total = Some(tidegate_config::Duration::from_millis(50));
    });
    let gateway = TestGateway::start(&config).await;
    for _ in 0..4 {
        let answer = raw(gateway.address("plain"), handshake("/chat", "").as_bytes()).await;
        assert_eq!(parts(&answer).0, 504);
    }
    assert_eq!(gateway.metric(OPEN), 0.0);
    let own = guarded(&slow).edit_api("chat", |api| {
        api.timeouts.backend_handshake = Some(tidegate_config::Duration::from_millis(50));
    });
    let gateway = TestGateway::start(&own).await;
    for _ in 0..3 {
        raw(gateway.address("plain"), handshake("/chat", "").as_bytes()).await;
    }
    assert_eq!(gateway.metric(OPEN), 1.0, "its own time counts");
}

/// What a client repeats to others: a token as subprotocol, which the backend chooses.
#[tokio::test]
async fn the_head_of_an_answer_has_a_limit_of_its_own() {
    let backend = Backend::scripted(|head, mut stream| async move {
        let token = head.header("Sec-WebSocket-Protocol")[0].to_owned();
        let line = format!("Sec-WebSocket-Protocol: {token}\r\n");
        let _ = stream.write_all(head.switching(&line).as_bytes()).await;
    })
    .await;
    let (small, large) = (1024, 65_536);
    for (name, request, answer, token, status) in [
        ("above 16 KiB", large, None, 20_000, 101),
        ("as large as the request may be", large, None, 65_000, 101),
        ("its own limit", large, Some(20_000), 20_000, 502),
        ("above the request's", 20_000, None, 15_000, 101),
        ("smaller than the request's", large, Some(small), 2_000, 502),
    ] {
        let config = Config::new().api_with("chat", backend.address, |api| {
            api.limits.max_response_header_bytes = answer;
        });
        let config = config.settings(|settings| {
            settings.limits.max_header_bytes = request;
        });
        let gateway = TestGateway::start(&config).await;
        let token = "A".repeat(token);
        let line = format!("Sec-WebSocket-Protocol: {token}\r\n");
        let answer = raw(
            gateway.address("plain"),
            handshake("/chat", &line).as_bytes(),
        )
        .await;
        let head = &answer[..answer.len().min(200)];
        assert_eq!(parts(&answer).0, status, "{name}: {head}");
        assert_eq!(answer.contains(&token), status == 101, "{name}");
    }
}

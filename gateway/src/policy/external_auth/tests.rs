use serde_json::{Value, json};
use tidegate_config::SecretData;

use crate::exchange::Exchange;
use crate::policy::Services;
use crate::policy::call::testing::{Answer, Server};
use crate::policy::tests::{compile_error, exchange, pipeline, refused, services};
use crate::refusal::{Origin, Reason, Refusal};

async fn run(fields: Value, exchange: &mut Exchange, services: &Services) -> Result<(), Refusal> {
    let on = json!({"inbound": [{ "externalAuth": fields }]});
    let pipeline = pipeline(on, &SecretData::default(), services);
    pipeline.inbound(exchange, services).await
}

/// Knows good and bad tokens.
async fn server() -> Server {
    Server::start(|number, asked| {
        let token = asked
            .head
            .lines()
            .find_map(|l| l.strip_prefix("authorization: bearer "));
        let head = |status: u16, lines: &str| {
            Answer::Raw(
                format!("HTTP/1.1 {status} X\r\n{lines}Content-Length: 0\r\n\r\n").into_bytes(),
            )
        };
        match token {
            Some("good") => head(204, &format!("X-User: ann\r\nX-Number: {number}\r\n")),
            Some("busy") => head(503, "Retry-After: 7\r\n"),
            Some("elsewhere") => head(302, "Location: https://login.example/\r\nX-User: eve\r\n"),
            Some("odd") => head(999, ""),
            Some("silent") => Answer::Silence,
            Some(_) => head(403, ""),
            None => head(401, "WWW-Authenticate: Bearer\r\n"),
        }
    })
    .await
}

fn with(token: &str) -> Exchange {
    let bearer = format!("Bearer {token}");
    match token {
        "" => exchange(&[("x-user", "admin")]),
        _ => exchange(&[
            ("authorization", &bearer),
            ("x-user", "admin"),
            ("x-level", "9"),
        ]),
    }
}

#[tokio::test]
async fn a_2xx_passes_and_anything_else_refuses_with_its_status() {
    let server = server().await;
    let services = services();
    let policy = |timeout: &str| json!({"url": server.url, "timeout": timeout});
    run(policy("20s"), &mut with("good"), &services)
        .await
        .unwrap();
    for (token, status, reason, header) in [
        (
            "",
            401,
            Reason::ExternalAuthRefused,
            Some(("www-authenticate", "Bearer")),
        ),
        ("bad", 403, Reason::ExternalAuthRefused, None),
        (
            "busy",
            503,
            Reason::ExternalAuthRefused,
            Some(("retry-after", "7")),
        ),
        (
            "elsewhere",
            302,
            Reason::ExternalAuthRefused,
            Some(("location", "https://login.example/")),
        ),
        ("odd", 502, Reason::ExternalAuthRefused, None),
        ("silent", 504, Reason::RequestTimeout, None),
    ] {
        let timeout = if token == "silent" { "300ms" } else { "20s" };
        let refusal = refused(run(policy(timeout), &mut with(token), &services).await);
        assert_eq!(
            (refusal.status, refusal.reason),
            (status, reason),
            "{token}"
        );
        assert_eq!(refusal.origin, Origin::Policy);
        let headers = refusal
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.to_str().unwrap()));
        assert_eq!(
            headers.collect::<Vec<_>>(),
            header.into_iter().collect::<Vec<_>>(),
            "{token}"
        );
    }
    let nobody = json!({"url": "http://127.0.0.1:1/"});
    let refusal = refused(run(nobody, &mut with("good"), &services).await);
    assert_eq!(
        (refusal.status, refusal.reason),
        (502, Reason::RequestFailed)
    );
}

#[tokio::test]
async fn the_backend_hears_what_the_server_says_and_never_what_the_client_says() {
    let server = server().await;
    let services = services();
    let policy = json!({"url": server.url, "copyHeaders": ["X-User", "X-Level"]});
    let mut exchange = with("good");
    run(policy, &mut exchange, &services).await.unwrap();
    let headers = &exchange.upstream.headers;
    assert_eq!(
        (headers.get("x-user").unwrap(), headers.get("x-level")),
        (&"ann".parse::<http::HeaderValue>().unwrap(), None)
    );
    let asked = &server.asked()[0];
    assert!(
        asked.has("authorization: bearer good") && !asked.head.contains("x-user"),
        "{}",
        asked.head
    );
}

#[tokio::test]
async fn verdicts_are_kept_for_those_who_look_the_same() {
    let server = server().await;
    let services = services();
    let policy = |headers: &[&str]| {
        json!({
            "url": format!("{}/${{request.host}}", server.url), "cacheFor": "60s", "sendHeaders": headers,
        })
    };
    let token = &["Authorization"][..];
    for (name, who, headers, asked) in [
        ("first", "good", token, 1),
        ("again", "good", token, 1),
        ("another", "bad", token, 2),
        ("the other again", "bad", token, 2),
        ("more to see", "good", &["Authorization", "X-User"], 3),
        ("a passing fault", "busy", token, 4),
        ("is not kept", "busy", token, 5),
    ] {
        let passed = run(policy(headers), &mut with(who), &services).await;
        assert_eq!(passed.is_ok(), who == "good", "{name}");
        assert_eq!(server.asked().len(), asked, "{name}");
    }
}

#[test]
fn headers_of_the_handshake_are_neither_sent_nor_copied() {
    for field in ["copyHeaders", "sendHeaders"] {
        let error = compile_error(json!({"externalAuth": {"url": "http://a", field: ["Upgrade"]}}));
        let place = format!("externalAuth.{field}[0]: ");
        assert!(error.contains(&place), "{error}");
    }
}

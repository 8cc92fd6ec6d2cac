//! The handshake of `docs/expressions.md` is what the gateway gives to expressions.

use rustls::ProtocolVersion;
use tidegate_config::ProductConfig;

use super::*;
use crate::exchange::{ScopeValues, TlsInfo};
use crate::refusal::{Origin, Reason};
use crate::tls::version_name;
use tidegate_expr::{from_json, to_json};

const PAGE: &str = include_str!("../../../../docs/expressions.md");

fn documented() -> Value {
    let block = PAGE.split("```json\n").nth(1);
    let block = block.and_then(|rest| rest.split("```").next());
    serde_json::from_str(block.expect("the page shows a handshake")).expect("it is JSON")
}

/// The request and everything that was found for it.
fn handshake() -> Exchange {
    let mut exchange = exchange_to("ws://backend/chat", Some("lang=de&lang=en"));
    exchange.id = "7f3a".to_owned();
    exchange.request.path = "/rooms/blue".to_owned();
    "chat.example.com".clone_into(&mut exchange.request.host);
    "chat.example.com".clone_into(&mut exchange.host);
    for (name, value) in [
        ("host", "chat.example.com"),
        ("authorization", "Bearer abc"),
        ("x-forwarded-for", "10.1.2.3"),
        ("x-forwarded-for", "10.9.9.9"),
        ("sec-websocket-protocol", "v2, v1"),
    ] {
        let value = HeaderValue::from_static(value);
        exchange.request.headers.append(name, value);
    }
    exchange.scheme = UrlScheme::Wss;
    exchange.client = ClientInfo {
        ip: "10.1.2.3".parse().unwrap(),
        port: 40112,
        tls: Some(TlsInfo {
            version: version_name(Some(ProtocolVersion::TLSv1_3)),
            sni: Some("chat.example.com".to_owned()),
            demand: None,
            certificate: None,
        }),
    };
    let mut api = api();
    api.key = ObjectKey::new("team-a", "chat");
    api.path = "/rooms/{room}".to_owned();
    exchange.api = Arc::new(api);
    let product = json!({
        "key": {"namespace": "team-a", "name": "chat"}, "generation": 1, "displayName": "Chat",
        "open": false, "apis": ["chat"], "onHandshake": {}, "values": {}, "blocked": null,
    });
    let product: ProductConfig = serde_json::from_value(product).unwrap();
    exchange.product = Some(Arc::new(product));
    exchange
}

/// What policies, the backend and a refusal added, with contents as the page has them.
fn decide(exchange: &mut Exchange, page: &Value) {
    let values = page["values"].as_object().unwrap().iter();
    let values =
        values.map(|(name, text)| (name.clone(), (text.as_str().unwrap().to_owned(), false)));
    exchange.enter(&Arc::new(ScopeValues::new(&values.collect())));
    for (name, value) in page["vars"].as_object().unwrap() {
        exchange.set_var(name, from_json(value.clone()));
    }
    let part = |name: &str| page["jwt"][name].as_object().unwrap().clone();
    exchange.set_token(part("header"), part("claims"), None);
    let mut headers = HeaderMap::new();
    headers.insert("sec-websocket-protocol", HeaderValue::from_static("v2"));
    exchange.set_response(Some((101, &headers)));
    let message = "JWT is expired. Access denied.";
    let mut refusal = Refusal::new(401, Reason::TokenExpired, Origin::Policy, message);
    refusal.step = Some("auth".to_owned());
    exchange.set_error(&refusal);
}

#[test]
fn the_documented_handshake_is_what_expressions_read() {
    let mut page = documented();
    let mut exchange = handshake();
    decide(&mut exchange, &page);
    page.as_object_mut().unwrap().remove("now"); // the clock's
    let variables = exchange.variables();
    for (name, shown) in page.as_object().unwrap() {
        assert_eq!(
            to_json(&variables.get(name)).ok().as_ref(),
            Some(shown),
            "{name}"
        );
    }
}

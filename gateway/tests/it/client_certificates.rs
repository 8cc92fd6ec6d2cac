//! Certificates of clients: who gets through TLS, and what policies are told.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::{SinkExt as _, StreamExt as _};
use rustls::ClientConfig;
use serde_json::json;
use tidegate_config::{ClientAuthConfig, ClientCertificates, SecretDataId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Message;

use crate::handshake::parts;
use crate::support::backend::Backend;
use crate::support::client::handshake;
use crate::support::config::{Config, NAMESPACE};
use crate::support::gateway::TestGateway;
use crate::support::tls::{Authority, tls_connect};
use crate::support::within;

/// Who is known by its certificate, or `nobody`.
const WHO: &str = "${has(client.certificate) ? client.certificate.dnsNames[0] + ' ' + \
                   string(client.certificate.trusted) : 'nobody'}";

/// A listener `secure` that trusts `partners`, and an API `/who` that says who asks.
fn config(
    backend: &Backend,
    edge: &Authority,
    partners: &Authority,
    mode: ClientCertificates,
) -> Config {
    let answer = json!({"inbound": [{"returnResponse": {"status": 418, "body": WHO}}]});
    let (chain, key) = edge.issue("harbour.example");
    let config = Config::new()
        .api("chat", backend.address)
        .api_with("who", backend.address, |api| {
            api.on_handshake = serde_json::from_value(answer).unwrap();
        })
        .tls_listener(&chain, &key);
    demanding(config, "secure", partners, mode)
}

fn demanding(
    mut config: Config,
    listener: &str,
    partners: &Authority,
    mode: ClientCertificates,
) -> Config {
    let ca = SecretDataId::secret(NAMESPACE, "partners", "ca.crt");
    config
        .secret_data
        .insert(ca.clone(), partners.pem().into_bytes());
    let mut listeners = config.config.settings.listeners.iter_mut();
    let found = listeners.find(|found| found.name == listener).unwrap();
    found.tls.as_mut().unwrap().client_auth = Some(ClientAuthConfig { mode, ca });
    config
}

/// Status and body; `None` when TLS was not agreed on.
async fn ask(address: SocketAddr, host: &str, client: ClientConfig) -> Option<(u16, String)> {
    let mut stream = tls_connect(address, "harbour.example", client).await.ok()?;
    let request = handshake("/who", "").replace("harbour.example", host);
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    let read = within("the answer", stream.read_to_string(&mut answer)).await;
    read.ok().filter(|read| *read > 0)?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some((parts(&answer).0, body.to_owned()))
}

#[tokio::test]
async fn the_mode_decides_who_gets_through() {
    use ClientCertificates::{Off, Optional, Required};
    let backend = Backend::echo().await;
    let (edge, partners, strangers) = (Authority::new(), Authority::new(), Authority::new());
    for (mode, nobody, stranger) in [
        (Off, Some("nobody"), Some("nobody")),
        (Optional, Some("nobody"), Some("stranger.example false")),
        (Required, None, None),
    ] {
        let mut config = config(&backend, &edge, &partners, mode);
        if mode == Off {
            let listener = config.config.settings.listeners.last_mut().unwrap();
            listener.tls.as_mut().unwrap().client_auth = None;
        }
        let gateway = TestGateway::start(&config).await;
        let partner = (mode != Off).then_some("partner.example true");
        for (name, client, expected) in [
            ("nobody", edge.client_config(), nobody),
            (
                "a stranger",
                edge.client_config_with(&strangers, "stranger.example"),
                stranger,
            ),
            (
                "a partner",
                edge.client_config_with(&partners, "partner.example"),
                partner.or(Some("nobody")),
            ),
        ] {
            let said = ask(gateway.address("secure"), "harbour.example", client).await;
            let expected = expected.map(|who| (418, who.to_owned()));
            assert_eq!(said, expected, "{mode:?}, {name}");
        }
        let failed = "tidegate_handshakes_total{api=\"-\",reason=\"tls_failed\",result=\"failed\"}";
        if mode == Required {
            gateway.metric_is(failed, 2.0).await;
        }
    }
}

#[tokio::test]
async fn new_authorities_hold_for_new_clients_and_live_tunnels_stay() {
    let backend = Backend::echo().await;
    let (edge, partners, others) = (Authority::new(), Authority::new(), Authority::new());
    let before = config(&backend, &edge, &partners, ClientCertificates::Required);
    let mut gateway = TestGateway::start(&before).await;
    let address = gateway.address("secure");
    // One configuration for all its connections: what it can resume, it does.
    let client = edge.client_config_with(&partners, "partner.example");
    let stream = tls_connect(address, "harbour.example", client.clone())
        .await
        .unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async("wss://harbour.example/chat", stream)
        .await
        .unwrap();
    let again = ask(address, "harbour.example", client.clone()).await;
    assert_eq!(again, Some((418, "partner.example true".to_owned())));

    let after = demanding(before, "secure", &others, ClientCertificates::Required);
    gateway.apply(&after).await;
    assert_eq!(gateway.address("secure"), address);
    assert_eq!(ask(address, "harbour.example", client).await, None);
    let other = edge.client_config_with(&others, "other.example");
    let said = ask(address, "harbour.example", other).await;
    assert_eq!(said, Some((418, "other.example true".to_owned())));
    socket.send(Message::text("still here")).await.unwrap();
    let answer = within("the echo", socket.next()).await.unwrap().unwrap();
    assert_eq!(answer, Message::text("still here"));
}

/// Two listeners on one port: TLS with the first must not open the second's APIs.
#[tokio::test]
async fn another_listeners_tls_is_no_way_around_the_demand() {
    let backend = Backend::echo().await;
    let (edge, partners) = (Authority::new(), Authority::new());
    let mut config = config(&backend, &edge, &partners, ClientCertificates::Required);
    let listeners = &mut config.config.settings.listeners;
    let mut open = listeners.last().unwrap().clone();
    listeners.last_mut().unwrap().hostnames = vec!["closed.example".to_owned()];
    open.name = "open".to_owned();
    open.tls.as_mut().unwrap().client_auth = None;
    open.hostnames = vec!["harbour.example".to_owned()];
    listeners.push(open);
    for api in &mut config.config.apis {
        Arc::make_mut(api).listeners.push("open".to_owned());
    }
    let gateway = TestGateway::start(&config).await;
    let address = gateway.address("open");
    for (host, status) in [("harbour.example", 418), ("closed.example", 421)] {
        let said = ask(address, host, edge.client_config()).await;
        assert_eq!(said.map(|(status, _)| status), Some(status), "{host}");
    }
}

#[tokio::test]
async fn broken_authorities_never_open_a_listener() {
    let backend = Backend::echo().await;
    let (edge, partners) = (Authority::new(), Authority::new());
    let good = config(&backend, &edge, &partners, ClientCertificates::Required);
    let mut bad = good.clone();
    let ca = SecretDataId::secret(NAMESPACE, "partners", "ca.crt");
    bad.secret_data.insert(ca, b"nothing".to_vec());
    let mut open = good.clone();
    let listener = open.config.settings.listeners.last_mut().unwrap();
    listener.tls.as_mut().unwrap().client_auth = None;

    // What it demanded before, it demands still.
    let mut gateway = TestGateway::start(&good).await;
    gateway.apply(&bad).await;
    let address = gateway.address("secure");
    let said = ask(address, "harbour.example", edge.client_config()).await;
    assert_eq!(said, None);
    let partner = edge.client_config_with(&partners, "partner.example");
    let said = ask(address, "harbour.example", partner).await;
    assert_eq!(said, Some((418, "partner.example true".to_owned())));

    // If it demanded nothing, it is out of service rather than open.
    let mut gateway = TestGateway::start(&open).await;
    gateway.apply(&bad).await;
    let bound = gateway.gateway.bound();
    assert!(bound.iter().all(|bound| bound.name != "secure"));
    let applied = gateway.gateway.status().borrow().clone();
    let message = &applied.rejected[0].message;
    assert!(message.starts_with("listener secure: "), "{message}");
}

#[tokio::test]
async fn a_policy_says_which_certificates_may_pass_and_why_others_may_not() {
    let backend = Backend::echo().await;
    let (edge, partners, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let mut config = config(&backend, &edge, &partners, ClientCertificates::Optional);
    let steps = json!({"inbound": [
        {"validateClientCertificate": {"identities": [
            {"dnsName": "partner.example", "issuerThumbprint": partners.thumbprint()},
        ]}},
        {"returnResponse": {"status": 418, "body": "welcome"}},
    ]});
    let mut apis = config.config.apis.iter_mut();
    let who = apis.find(|api| api.path == "/who").unwrap();
    Arc::make_mut(who).on_handshake = serde_json::from_value(steps).unwrap();
    let gateway = TestGateway::start(&config).await;
    let address = gateway.address("secure");
    for (client, reason, expected) in [
        (
            edge.client_config_with(&partners, "partner.example"),
            None,
            "welcome",
        ),
        (edge.client_config(), Some("missing"), "is missing"),
        (
            edge.client_config_with(&strangers, "partner.example"),
            Some("not_trusted"),
            "is not trusted",
        ),
        (
            edge.client_config_with(&partners, "other.example"),
            Some("not_allowed"),
            "is not allowed",
        ),
    ] {
        let (status, body) = ask(address, "harbour.example", client).await.unwrap();
        let Some(reason) = reason else {
            assert_eq!((status, body.as_str()), (418, expected));
            continue;
        };
        let message = format!("Client certificate {expected}. Access denied.");
        let expected = json!({"statusCode": 403, "message": message});
        assert_eq!(status, 403);
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&body).unwrap(),
            expected
        );
        let counted = format!(
            "tidegate_handshakes_total{{api=\"{NAMESPACE}/who\",reason=\"client_certificate_{reason}\",result=\"refused\"}}"
        );
        gateway.metric_is(&counted, 1.0).await;
    }
}

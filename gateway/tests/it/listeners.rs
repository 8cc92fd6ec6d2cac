//! TLS listeners: which certificate is shown, and that live tunnels never notice a new one.

use futures::{SinkExt as _, StreamExt as _};
use rustls::ClientConfig;
use tidegate_config::{
    ListenerConfig, ListenerTlsConfig, PathMatch, Protocol, SecretDataId, TlsVersion,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;

use crate::handshake::parts;
use crate::support::backend::Backend;
use crate::support::client::{handshake, raw};
use crate::support::config::{Config, NAMESPACE};
use crate::support::gateway::TestGateway;
use crate::support::tls::{Authority, tls_connect};
use crate::support::within;

/// What the server shows to a client that asks for `name`.
fn shown(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// Adds a listener on port 8443 for `hosts` with a certificate for each of `names`.
fn secure(
    config: Config,
    authority: &Authority,
    name: &str,
    hosts: &[&str],
    names: &[&str],
) -> Config {
    let Config {
        mut config,
        mut secret_data,
    } = config;
    let certificates = names.iter().map(|host| {
        let (chain, private) = authority.issue(host);
        let secret = format!("{name}-{}", host.replace('*', "any"));
        let id = |part: &str| SecretDataId::secret(NAMESPACE, &secret, part);
        secret_data.insert(id("tls.crt"), chain.into_bytes());
        secret_data.insert(id("tls.key"), private.into_bytes());
        (id("tls.crt"), id("tls.key"))
    });
    let certificates = certificates.collect();
    config.settings.listeners.push(ListenerConfig {
        name: name.to_owned(),
        port: 8443,
        protocol: Protocol::Wss,
        hostnames: hosts.iter().map(|host| (*host).to_owned()).collect(),
        tls: Some(ListenerTlsConfig {
            certificates,
            min_version: TlsVersion::V1_2,
            client_auth: None,
        }),
        proxy_protocol: false,
        http2: false,
    });
    for api in &mut config.apis {
        std::sync::Arc::make_mut(api)
            .listeners
            .push(name.to_owned());
    }
    Config {
        config,
        secret_data,
    }
}

#[tokio::test]
async fn the_certificate_is_chosen_by_name_over_all_listeners_of_a_port() {
    let authority = Authority::new();
    let backend = Backend::echo().await;
    let config = Config::new().api("chat", backend.address);
    let config = secure(
        config,
        &authority,
        "one",
        &["*.one.example"],
        &["first.one.example", "*.one.example"],
    );
    let config = secure(config, &authority, "two", &[], &["two.example"]);
    let gateway = TestGateway::start(&config).await;
    let address = gateway.address("one");
    assert_eq!(address, gateway.address("two"), "one port, two listeners");
    for (name, asked, valid) in [
        ("exact", "first.one.example", true),
        ("wildcard", "other.one.example", true),
        ("the other listener's", "two.example", true),
        ("an unknown name", "three.example", false),
    ] {
        let answer = tls_connect(address, asked, authority.client_config()).await;
        assert_eq!(answer.is_ok(), valid, "{name}: {:?}", answer.err());
    }
    let exact = tls_connect(address, "first.one.example", authority.client_config())
        .await
        .unwrap();
    let wild = tls_connect(address, "other.one.example", authority.client_config())
        .await
        .unwrap();
    assert_ne!(shown(&exact), shown(&wild));
}

#[tokio::test]
async fn a_listener_answers_for_its_own_hosts_and_apis_only() {
    let authority = Authority::new();
    let backend = Backend::echo().await;
    let config = Config::new().api_with("all", backend.address, |api| {
        (api.path, api.path_match) = ("/".to_owned(), PathMatch::Prefix);
    });
    let config = secure(
        config,
        &authority,
        "one",
        &["one.example"],
        &["one.example"],
    );
    let mut config = secure(
        config,
        &authority,
        "two",
        &["two.example"],
        &["two.example"],
    );
    config = config.edit_api("all", |api| api.listeners = vec!["one".to_owned()]);
    let gateway = TestGateway::start(&config).await;
    for (host, status) in [
        ("one.example", 101),
        ("two.example", 404),
        ("three.example", 404),
    ] {
        let sni = if host == "three.example" {
            "one.example"
        } else {
            host
        };
        let mut stream = tls_connect(gateway.address("one"), sni, authority.client_config())
            .await
            .unwrap();
        let request = handshake("/", "").replace("harbour.example", host);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        within("an answer", stream.read_exact(&mut answer))
            .await
            .unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(parts(&answer).0, status, "{host}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_clients_and_live_tunnels_stay() {
    let authority = Authority::new();
    let backend = Backend::echo().await;
    let base = Config::new().api("chat", backend.address);
    let config =
        |authority: &Authority| secure(base.clone(), authority, "tls", &[], &["localhost"]);
    let mut gateway = TestGateway::start(&config(&authority)).await;
    let address = gateway.address("tls");
    let client = || tls_connect(address, "localhost", authority.client_config());
    let first = client().await.unwrap();
    let before = shown(&first);
    let url = format!("wss://localhost:{}/chat", address.port());
    let (mut socket, _) = tokio_tungstenite::client_async(url, first).await.unwrap();
    gateway.apply(&config(&authority)).await;
    assert_eq!(gateway.address("tls"), address, "the port stays bound");
    let second = client().await.unwrap();
    assert_ne!(shown(&second), before);
    socket.send(Message::text("still here")).await.unwrap();
    let answer = within("the echo", socket.next()).await.unwrap().unwrap();
    assert_eq!(answer, Message::text("still here"));
}

#[tokio::test]
async fn a_broken_certificate_leaves_the_last_good_one_and_is_told() {
    let authority = Authority::new();
    let backend = Backend::echo().await;
    let good = secure(
        Config::new().api("chat", backend.address),
        &authority,
        "tls",
        &[],
        &["localhost"],
    );
    let mut gateway = TestGateway::start(&good).await;
    let mut bad = good.clone();
    bad.secret_data.insert(
        SecretDataId::secret(NAMESPACE, "tls-localhost", "tls.key"),
        b"no key".to_vec(),
    );
    gateway.apply(&bad).await;
    let applied = gateway.gateway.status().borrow().clone();
    assert_eq!(applied.rejected.len(), 1, "{applied:?}");
    assert!(
        applied.rejected[0].message.starts_with("listener tls: "),
        "{applied:?}"
    );
    tls_connect(
        gateway.address("tls"),
        "localhost",
        authority.client_config(),
    )
    .await
    .unwrap();

    // From the start there is no last good one: that listener is missing, the others serve.
    let gateway = TestGateway::start(&bad).await;
    let names: Vec<_> = gateway
        .gateway
        .bound()
        .iter()
        .map(|bound| bound.name.clone())
        .collect();
    assert_eq!(names, ["plain"]);
}

#[tokio::test]
async fn the_oldest_version_is_the_listeners_own() {
    let authority = Authority::new();
    let backend = Backend::echo().await;
    let config = Config::new().api("chat", backend.address);
    let config = secure(
        config,
        &authority,
        "old",
        &["old.example"],
        &["old.example"],
    );
    let mut config = secure(
        config,
        &authority,
        "new",
        &["new.example"],
        &["new.example"],
    );
    let new = config.config.settings.listeners.last_mut().unwrap();
    new.tls.as_mut().unwrap().min_version = TlsVersion::V1_3;
    let gateway = TestGateway::start(&config).await;
    let only_1_2 = || {
        let modern = authority.client_config();
        let provider = std::sync::Arc::clone(modern.crypto_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(authority.roots())
            .with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        config
    };
    let address = gateway.address("new");
    assert!(
        tls_connect(address, "new.example", only_1_2())
            .await
            .is_err()
    );
    // The version that one listener allows opens no other one.
    let mut stream = tls_connect(address, "old.example", only_1_2())
        .await
        .unwrap();
    let request = handshake("/chat", "").replace("harbour.example", "new.example");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = within("the answer", stream.read_to_end(&mut answer)).await;
    assert_eq!(parts(&String::from_utf8_lossy(&answer)).0, 421);
}

#[tokio::test]
async fn what_is_no_tls_is_recorded_and_closed() {
    let authority = Authority::new();
    let config = secure(Config::new(), &authority, "tls", &[], &["localhost"]);
    let gateway = TestGateway::start(&config).await;
    let answer = raw(gateway.address("tls"), handshake("/", "").as_bytes()).await;
    assert!(!answer.contains("HTTP/1.1"), "{answer}");
    let failed = "tidegate_handshakes_total{api=\"-\",reason=\"tls_failed\",result=\"failed\"}";
    gateway.metric_is(failed, 1.0).await;
}

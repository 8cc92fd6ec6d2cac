//! An identity provider that the tests run, and what policies do with it.

use crate::telemetry::metrics::ServiceCounts as _;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use tidegate_tunnel::drain::Drain;

/// Serves documents on the loopback address.
struct Provider {
    url: String,
    pages: Arc<Mutex<Pages>>,
}

#[derive(Default)]
struct Pages {
    /// Status and body by path.
    documents: HashMap<String, (u16, String)>,
    requests: HashMap<String, usize>,
}

impl Provider {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let pages = Arc::new(Mutex::new(Pages::default()));
        let served = Arc::clone(&pages);
        let (_, drain) = Drain::pair();
        drain.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                answer(stream, &served).await;
            }
        });
        Self { url, pages }
    }

    /// Keys at /keys and a discovery document at /discovery that names this issuer.
    fn publish(&self, issuer: &str, keys: &[Value]) {
        let discovery = json!({"issuer": issuer, "jwks_uri": format!("{}/keys", self.url)});
        self.put("/discovery", 200, discovery.to_string());
        self.put("/keys", 200, json!({ "keys": keys }).to_string());
    }

    fn put(&self, path: &str, status: u16, body: String) {
        let mut pages = self.pages.lock().unwrap();
        pages.documents.insert(path.to_owned(), (status, body));
    }

    fn requests(&self, path: &str) -> usize {
        self.pages
            .lock()
            .unwrap()
            .requests
            .get(path)
            .copied()
            .unwrap_or(0)
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

async fn answer(mut stream: TcpStream, pages: &Mutex<Pages>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let (status, body) = {
        let mut pages = pages.lock().unwrap();
        *pages.requests.entry(path.clone()).or_default() += 1;
        let found = pages.documents.get(&path).cloned();
        found.unwrap_or((404, String::new()))
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}

fn discovery(provider: &Provider) -> Value {
    json!({"openidConfig": [provider.at("/discovery")]})
}

async fn outcome(policy: &Value, token: &str, services: &Services) -> Option<(u16, Reason)> {
    let result = run_with(policy.clone(), &mut bearer(token), services).await;
    result.err().map(|refusal| (refusal.status, refusal.reason))
}

#[tokio::test]
async fn discovery_gives_keys_and_issuer() {
    let provider = Provider::start().await;
    let signer = Signer::p256();
    provider.publish("https://i", &[signer.jwk("k")]);
    let services = services();
    let policy = discovery(&provider);
    let steps = json!({"inbound": [{ "validateJwt": policy }]});
    let _held = pipeline(steps, &secrets(), &services);
    let right = signer.sign(Some("k"), &claims(json!({"iss": "https://i"})));
    let other = signer.sign(Some("k"), &claims(json!({"iss": "https://j"})));
    assert_eq!(outcome(&policy, &right, &services).await, None);
    let refused = outcome(&policy, &other, &services).await;
    assert_eq!(refused, Some((401, Reason::TokenIssuerNotAllowed)));
    let named = json!({"openidConfig": [provider.at("/discovery")], "issuers": ["https://j"]});
    assert_eq!(outcome(&named, &other, &services).await, None);
    assert_eq!(provider.requests("/keys"), 1);
}

#[tokio::test]
async fn many_handshakes_fetch_once() {
    let provider = Provider::start().await;
    let signer = Signer::p256();
    provider.publish("https://i", &[signer.jwk("k")]);
    let services = services();
    let policy = json!({"jwks": [provider.at("/keys")]});
    let steps = json!({"inbound": [{ "validateJwt": policy }]});
    let pipeline = pipeline(steps, &secrets(), &services);
    let token = signer.sign(Some("k"), &claims(json!({})));
    let handshakes =
        (0..20).map(|_| async { pipeline.inbound(&mut bearer(&token), &services).await });
    for result in futures::future::join_all(handshakes).await {
        result.unwrap();
    }
    assert_eq!(provider.requests("/keys"), 1);
    assert_eq!(services.keys.counts().succeeded(), 1);
}

#[tokio::test]
async fn an_unknown_key_is_looked_for_once() {
    let provider = Provider::start().await;
    let (old, new, forged) = (Signer::p256(), Signer::p256(), Signer::p256());
    provider.publish("https://i", &[old.jwk("old")]);
    let services = services();
    let policy = json!({"jwks": [provider.at("/keys")]});
    // Holds the set between the handshakes, as a snapshot does.
    let steps = json!({"inbound": [{ "validateJwt": policy }]});
    let _held = pipeline(steps, &secrets(), &services);
    let token = |signer: &Signer, id: &str| signer.sign(Some(id), &claims(json!({})));
    assert_eq!(outcome(&policy, &token(&old, "old"), &services).await, None);
    provider.publish("https://i", &[old.jwk("old"), new.jwk("new")]);
    assert_eq!(outcome(&policy, &token(&new, "new"), &services).await, None);
    assert_eq!(provider.requests("/keys"), 2);
    for i in 0..5 {
        let refused = outcome(&policy, &token(&forged, &format!("forged {i}")), &services).await;
        assert_eq!(refused, Some((401, Reason::TokenSignatureInvalid)));
    }
    assert_eq!(
        provider.requests("/keys"),
        2,
        "at most one look in five minutes"
    );
}

#[tokio::test]
async fn keys_that_worked_stay_while_the_provider_is_away() {
    let provider = Provider::start().await;
    let (signer, unknown) = (Signer::p256(), Signer::p256());
    provider.publish("https://i", &[signer.jwk("k")]);
    let services = services();
    let policy = discovery(&provider);
    let steps = json!({"inbound": [{ "validateJwt": policy }]});
    let _held = pipeline(steps, &secrets(), &services);
    let claims = claims(json!({"iss": "https://i"}));
    assert_eq!(
        outcome(&policy, &signer.sign(Some("k"), &claims), &services).await,
        None
    );
    provider.put("/discovery", 503, String::new());
    let refused = outcome(&policy, &unknown.sign(Some("x"), &claims), &services).await;
    assert_eq!(refused, Some((401, Reason::TokenSignatureInvalid)));
    assert_eq!(services.keys.counts().failed(), 1);
    assert_eq!(services.failing_key_sets(), 1);
    assert_eq!(
        outcome(&policy, &signer.sign(Some("k"), &claims), &services).await,
        None
    );
}

#[tokio::test]
async fn without_any_keys_nobody_passes_and_it_is_not_the_clients_fault() {
    let provider = Provider::start().await;
    let signer = Signer::p256();
    let services = services();
    let token = signer.sign(Some("k"), &claims(json!({"iss": "https://i"})));
    let (huge, odd) = (
        format!("{{\"keys\":[{}]}}", "1,".repeat(600_000)),
        "<html>".to_owned(),
    );
    provider.put("/huge", 200, huge);
    provider.put("/odd", 200, odd);
    provider.put("/empty", 200, "{\"keys\":[]}".to_owned());
    for path in ["/missing", "/huge", "/odd", "/empty"] {
        let policy = json!({"jwks": [provider.at(path)]});
        let refused = outcome(&policy, &token, &services).await;
        assert_eq!(refused, Some((503, Reason::KeysUnavailable)), "{path}");
    }
    assert_eq!(services.keys.counts().failed(), 4);
}

/// A token that names no key must not make the gateway try a thousand.
#[tokio::test]
async fn of_many_keys_a_token_that_names_none_tries_some() {
    let provider = Provider::start().await;
    let signers: Vec<_> = (0..65).map(|_| Signer::p256()).collect();
    let jwk = |(id, signer): (usize, &Signer)| signer.jwk(&id.to_string());
    let keys: Vec<_> = signers.iter().enumerate().map(jwk).collect();
    provider.publish("https://i", &keys);
    let services = services();
    let policy = discovery(&provider);
    let claims = claims(json!({"iss": "https://i"}));
    for (signer, id, expected) in [
        (63, None, None),
        (64, None, Some((401, Reason::TokenSignatureInvalid))),
        (64, Some("64"), None),
        (64, Some("63"), Some((401, Reason::TokenSignatureInvalid))),
    ] {
        let token = signers[signer].sign(id, &claims);
        let got = outcome(&policy, &token, &services).await;
        assert_eq!(got, expected, "{signer} {id:?}");
    }
}

#[tokio::test]
async fn an_unread_discovery_document_does_not_open_the_policys_own_keys() {
    let provider = Provider::start().await;
    let services = services();
    let fields = json!({"openidConfig": [provider.at("/missing")]});
    let token = hs256(&claims(json!({"iss": "https://anybody"})));
    let refused = outcome(&policy(fields), &token, &services).await;
    assert_eq!(refused, Some((401, Reason::TokenIssuerNotAllowed)));
}

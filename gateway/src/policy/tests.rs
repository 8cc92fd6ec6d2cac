//! Fixtures of all policy tests, and tests of the pipeline: order, conditions, refusals.

mod documented;
mod order;
mod page;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use tidegate_config::{
    ApiConfig, ObjectKey, ResolvedValue, SecretData, SecretDataId, SubscriptionConfig,
    SubscriptionScope, UrlScheme,
};
use tokio::runtime::Handle;

use super::*;
use crate::exchange::BackendUrl;
use crate::exchange::{AnswerHeaders, ClientInfo, Evaluation, Exchange, Upstream};
use crate::head::{RequestHead, ResponseHead};
use crate::refusal::Refusal;
use tidegate_tunnel::drain::Drain;
use tidegate_tunnel::session::Sessions;

/// `GET /chat` from 192.0.2.7 for an API without policies of its own.
pub(crate) fn exchange(headers: &[(&str, &str)]) -> Exchange {
    let mut exchange = exchange_to("ws://backend/chat", None);
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        exchange.request.headers.append(&name, value.clone());
        exchange.upstream.headers.append(&name, value);
    }
    exchange
}

/// The same with another backend and a query.
pub(crate) fn exchange_to(backend: &str, query: Option<&str>) -> Exchange {
    let backend = BackendUrl::parse(backend).unwrap();
    Exchange {
        id: "id-1".to_owned(),
        request: RequestHead {
            method: Method::GET,
            path: "/chat".to_owned(),
            raw_query: query.map(str::to_owned),
            version: crate::head::Version::Http11,
            host: "example.com".to_owned(),
            headers: HeaderMap::new(),
        },
        key_subprotocol: None,
        client: ClientInfo {
            ip: "192.0.2.7".parse().unwrap(),
            port: 4711,
            tls: None,
        },
        scheme: UrlScheme::Ws,
        host: "example.com".to_owned(),
        respelled: None,
        params: vec![("room".to_owned(), "blue".to_owned())],
        gateway: ObjectKey::new("infra", "edge"),
        api: Arc::new(api()),
        product: None,
        subscription: None,
        upstream: Upstream::new(&backend, query, "", HeaderMap::new()),
        answer: AnswerHeaders::default(),
        token_expiry: None,
        evaluation: Evaluation::default(),
    }
}

/// A handshake with the key of this subscription, for this API.
pub(crate) fn subscribed(subscription: &str, name: &str) -> Exchange {
    let mut exchange = exchange(&[]);
    let mut api = api();
    name.clone_into(&mut api.key.name);
    exchange.api = Arc::new(api);
    exchange.subscription = Some(Arc::new(SubscriptionConfig {
        key: ObjectKey::new("apps", subscription),
        generation: 1,
        display_name: String::new(),
        owner: None,
        scope: SubscriptionScope::Gateway,
        key_hashes: Vec::new(),
        expires_at: None,
        allow_tracing: false,
    }));
    exchange
}

fn api() -> ApiConfig {
    let config = json!({
        "key": {"namespace": "apps", "name": "chat"},
        "generation": 3,
        "displayName": "Chat",
        "listeners": ["ws"],
        "hostnames": [],
        "path": "/chat",
        "pathMatch": "Exact",
        "protocols": ["ws", "wss"],
        "backendUrl": "ws://backend/chat",
        "hostHeader": null,
        "backendTls": {},
        "subscriptionRequired": false,
        "subscriptionKey": {"header": "key", "query": "key", "keep": false},
        "onHandshake": {},
        "allowedOrigins": null,
        "subprotocols": null,
        "limits": {},
        "timeouts": {},
        "liveAccess": {},
        "onChange": "Keep",
        "values": {},
        "blocked": null,
    });
    serde_json::from_value(config).unwrap()
}

/// Services whose fetches run on the test's own runtime.
pub(crate) fn services() -> Arc<Services> {
    let (_, drain) = Drain::pair();
    Services::new((drain.clone(), drain), Handle::current(), Sessions::new())
}

/// Secrets that the policies of tests refer to, all in the API's namespace.
pub(crate) fn secret_data(secrets: &[(&str, &str, &[u8])]) -> SecretData {
    let mut secret_data = SecretData::default();
    for (name, key, bytes) in secrets {
        secret_data.insert(SecretDataId::secret("apps", name, key), bytes.to_vec());
    }
    secret_data
}

/// One scope as resources declare it.
pub(crate) struct Declared<'a> {
    pub(crate) scope: Scope,
    /// `onHandshake`.
    pub(crate) on: Value,
    pub(crate) values: &'a [(&'a str, ResolvedValue)],
    pub(crate) secret_data: &'a SecretData,
}

impl Declared<'_> {
    pub(crate) fn compile(&self, services: &Services) -> Result<ScopePolicies, InvalidPolicy> {
        let values = self
            .values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        let values: BTreeMap<_, _> = values.collect();
        let context = Context {
            namespace: "apps",
            object: &ObjectKey::new("apps", "chat"),
            secret_data: self.secret_data,
            services,
        };
        let on = serde_json::from_value(self.on.clone()).expect("the step is in the vocabulary");
        ScopePolicies::compile(self.scope, &on, &values, &context)
    }
}

/// The pipeline of an API's own policies.
pub(crate) fn pipeline(on: Value, secret_data: &SecretData, services: &Services) -> Pipeline {
    let declared = Declared {
        scope: Scope::Api,
        on,
        values: &[],
        secret_data,
    };
    Pipeline::merge(&[&declared.compile(services).unwrap()])
}

/// Runs inbound steps of an API.
pub(crate) async fn run_inbound(steps: &[Value], exchange: &mut Exchange) -> Result<(), Refusal> {
    let services = services();
    let pipeline = pipeline(
        json!({ "inbound": steps }),
        &SecretData::default(),
        &services,
    );
    pipeline.inbound(exchange, &services).await
}

/// The same for a fresh exchange with these headers.
pub(crate) async fn inbound(steps: &[Value], headers: &[(&str, &str)]) -> Result<(), Refusal> {
    run_inbound(steps, &mut exchange(headers)).await
}

/// The refusal, which must be one.
pub(crate) fn refused(result: Result<(), Refusal>) -> Refusal {
    result.expect_err("a refusal")
}

/// What is wrong with an inbound step.
pub(crate) fn compile_error(step: Value) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let declared = Declared {
        scope: Scope::Api,
        on: json!({ "inbound": [step] }),
        values: &[],
        secret_data: &SecretData::default(),
    };
    declared
        .compile(&services())
        .expect_err("an invalid policy")
        .to_string()
}

/// A backend's answer.
pub(crate) fn answer(status: u16) -> ResponseHead {
    ResponseHead {
        version: crate::head::Version::Http11,
        status,
        headers: HeaderMap::new(),
    }
}

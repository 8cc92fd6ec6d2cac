//! What a trace says; the JSON of `/traces/ID`, `/explain` and `tidegate explain -o json`.

use serde::{Deserialize, Serialize};

use super::hide::Secrets;
use crate::exchange::Exchange;
use crate::exchange::steps::{Answer, Field, Step, fields};
use crate::refusal::Origin;

/// What happened to one handshake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// The connection, as logs call it.
    pub id: String,
    /// `namespace/name` of the Gateway.
    pub gateway: String,
    /// What was asked.
    pub request: Request,
    /// Where it led; absent: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// What granted access; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// The steps in the order in which they were reached.
    pub steps: Vec<Step>,
    /// The request to the backend; absent: the handshake did not get that far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<Backend>,
    /// How it ended.
    pub outcome: Outcome,
}

/// What a client asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Scheme, host, path and query.
    pub url: String,
    /// Its address, after trusted proxies were believed.
    pub client: String,
}

/// Where a request led.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Name of the listener.
    pub listener: String,
    /// `namespace/name` of the WebSocketApi.
    pub api: String,
    /// Its path.
    pub path: String,
    /// What the path's template matched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Field>,
}

/// What granted access to a handshake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// What opened the API.
    pub by: By,
    /// `namespace/name` of the Subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// `namespace/name` of the Product whose policies apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
}

/// What opened an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum By {
    /// A valid key of a Subscription.
    SubscriptionKey,
    /// A Product that needs no subscription.
    OpenProduct,
    /// The API needs no key.
    NoKeyNeeded,
}

/// What the backend is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backend {
    /// Scheme, host, port, path and query.
    pub url: String,
    /// The Host header where it is not the URL's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The headers of its handshake.
    pub headers: Vec<Field>,
}

/// How a handshake ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "result")]
pub enum Outcome {
    /// With a tunnel.
    Accepted {
        /// Headers of the 101 besides those of the handshake itself.
        headers: Vec<Field>,
    },
    /// The backend would be asked next; the question did not ask for that.
    WouldDial,
    /// With a refusal.
    Refused(Answer),
}

/// The parts of a trace that are not the steps'.
pub(crate) struct TraceFrame {
    pub(crate) route: Route,
    pub(crate) access: Option<Access>,
    pub(crate) outcome: Outcome,
}

impl TraceFrame {
    /// The whole trace of this exchange, with nothing secret in it.
    pub(crate) fn complete(self, exchange: &mut Exchange) -> Trace {
        let steps = exchange.evaluation.trace.take();
        let steps = steps.unwrap_or_default();
        let trace = Trace {
            id: exchange.id.clone(),
            gateway: exchange.gateway.to_string(),
            request: Request {
                url: exchange.url(),
                client: exchange.client.ip.to_string(),
            },
            route: Some(self.route),
            access: self.access,
            steps,
            backend: self.outcome.asks_backend().then(|| backend(exchange)),
            outcome: self.outcome,
        };
        Secrets::of(exchange).hide(trace)
    }
}

impl Outcome {
    /// Was a backend chosen?
    fn asks_backend(&self) -> bool {
        match self {
            Self::Accepted { .. } | Self::WouldDial => true,
            Self::Refused(answer) => answer.source == Origin::Backend.as_str(),
        }
    }
}

/// The URL without what may be secret in it.
pub(crate) fn without_query(url: &str) -> String {
    match url.split_once('?') {
        Some((rest, _)) => format!("{rest}?***"),
        None => url.to_owned(),
    }
}

impl Access {
    /// What granted access to this exchange.
    pub(crate) fn of(exchange: &Exchange) -> Self {
        let subscription = exchange.subscription.as_ref();
        let product = exchange.product.as_ref();
        Self {
            by: match (subscription, product) {
                (Some(_), _) => By::SubscriptionKey,
                (None, Some(_)) => By::OpenProduct,
                (None, None) => By::NoKeyNeeded,
            },
            subscription: subscription.map(|subscription| subscription.key.to_string()),
            product: product.map(|product| product.key.to_string()),
        }
    }
}

impl Route {
    /// Where this exchange was led.
    pub(crate) fn of(listener: &str, exchange: &Exchange) -> Self {
        let params = exchange.params.iter();
        Self {
            listener: listener.to_owned(),
            api: exchange.api.key.to_string(),
            path: exchange.api.path.clone(),
            params: params
                .map(|(name, value)| Field {
                    name: name.clone(),
                    value: value.clone(),
                })
                .collect(),
        }
    }
}

fn backend(exchange: &Exchange) -> Backend {
    let upstream = &exchange.upstream;
    Backend {
        url: format!("{}{}", upstream.origin(), upstream.path_and_query()),
        host: upstream.host_header.clone(),
        headers: fields(&upstream.headers),
    }
}

//! The state of one handshake: what policies read and what they change.
//!
//! The request is what the client sent, without a subscription key that a subprotocol carries, and never
//! changes; what the backend gets is [`Upstream`], what the client gets besides the answer itself is
//! [`AnswerHeaders`]. Nothing here does I/O.

pub(crate) mod access;
mod answer;
mod backend_url;
pub(crate) mod client_address;
pub(crate) mod counted;
mod credentials;
mod dry_run;
mod evaluation;
pub(crate) mod hop;
pub(crate) mod key_subprotocol;
mod query;
pub(crate) mod steps;
pub(crate) mod upgrade;
mod upstream;

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;
use tidegate_config::{ApiConfig, ObjectKey, ProductConfig, SubscriptionConfig, UrlScheme};

use crate::head::RequestHead;
use crate::tls::Demand;
use crate::tls::client_certificate::ClientCertificate;

pub(crate) use answer::{AnswerHeaders, change_headers};
pub(crate) use backend_url::{BackendUrl, InvalidBackendUrl};
pub(crate) use dry_run::DryRun;
pub(crate) use evaluation::{Evaluation, ScopeValues, subprotocols};
pub(crate) use query::{Query, decoded_pairs};
pub(crate) use upstream::{Destination, Upstream};

/// The client of a handshake.
#[derive(Clone, Debug)]
pub(crate) struct ClientInfo {
    /// The client's address, as trusted proxies name it.
    pub(crate) ip: IpAddr,
    pub(crate) port: u16,
    pub(crate) tls: Option<TlsInfo>,
}

impl ClientInfo {
    /// Its certificate, if it presented one.
    pub(crate) fn certificate(&self) -> Option<&ClientCertificate> {
        self.tls.as_ref()?.certificate.as_deref()
    }
}

/// The client's TLS session.
#[derive(Clone, Debug)]
pub(crate) struct TlsInfo {
    /// `1.2` or `1.3`.
    pub(crate) version: &'static str,
    pub(crate) sni: Option<String>,
    /// The listener's demand for client certificates; `None`: none were requested.
    pub(crate) demand: Option<Demand>,
    /// The certificate that the client presented.
    pub(crate) certificate: Option<Arc<ClientCertificate>>,
}

/// One handshake.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) id: String,
    pub(crate) request: RequestHead,
    /// The subscription key that a subprotocol carried.
    pub(crate) key_subprotocol: Option<HeaderValue>,
    pub(crate) client: ClientInfo,
    pub(crate) scheme: UrlScheme,
    /// Host of the request, lower case, without the port.
    pub(crate) host: String,
    /// The path in normal form, if the client wrote it differently.
    pub(crate) respelled: Option<String>,
    /// What the path's template matched, decoded.
    pub(crate) params: Vec<(String, String)>,
    pub(crate) gateway: ObjectKey,
    pub(crate) api: Arc<ApiConfig>,
    pub(crate) product: Option<Arc<ProductConfig>>,
    pub(crate) subscription: Option<Arc<SubscriptionConfig>>,
    pub(crate) upstream: Upstream,
    /// Changes to the headers of the client's answer.
    pub(crate) answer: AnswerHeaders,
    /// Seconds since 1970 at which the tunnel must close, because its token ends.
    pub(crate) token_expiry: Option<i64>,
    /// State of the policies.
    pub(crate) evaluation: Evaluation,
}

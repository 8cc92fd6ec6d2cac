//! The policies: plain data, one type per step, without behaviour.
//!
//! A section is a flat list of steps. A step names exactly one policy, may carry a condition
//! (`when`) and an id. Which policies a section takes is its step type's fields.

mod access;
mod backend_auth;
mod basic_auth;
mod cache;
mod call;
mod client_certificate;
mod emit_metric;
mod fragment;
mod log;
mod on_open;
mod quota;
mod rate_limit;
mod request;
mod response;
mod section;
mod traffic;
mod variable;

pub use access::{CheckHeader, IpFilter, JwtAlgorithm, JwtKey, Match, RequiredClaim, ValidateJwt};
pub use backend_auth::{BackendAuth, ServiceAccountToken, SignedClaim, SignedJwt, token_file_name};
pub use basic_auth::BasicAuth;
pub use cache::{CacheLookup, CacheRemove, CacheStore};
pub use call::{
    AnswerCache, BasicCredentials, CertificateName, ClientCredentials, ExternalAuth, HttpMethod,
    Notify, Outgoing, RequestAuth, RequestTls, Retry, SendRequest, SendRequests, WaitFor,
};
pub use client_certificate::{
    CertificateIdentity, ValidateClientCertificate, hex_digits, thumbprint_digits,
};
pub use emit_metric::{EmitMetric, MetricLabel};
pub use fragment::IncludeFragment;
pub use log::{Log, LogField, Severity, Trace};
pub use on_open::OnOpen;
pub use quota::{Quota, QuotaByKey};
pub use rate_limit::{RateLimit, RateLimitByKey};
pub use request::{
    IfExists, RewritePath, SetBackend, SetHeader, SetQueryParameter, is_restricted_header,
};
pub use response::{HeaderValue, ReturnResponse, SetStatus};
pub use section::{
    Base, ErrorStep, FragmentStep, InboundStep, OnHandshake, OutboundStep, Policy, Section,
    SectionStep, Step,
};
pub use traffic::LimitConnections;
pub use variable::SetVariable;

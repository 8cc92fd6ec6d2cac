//! The policies: plain data, one type per step, without behaviour.
//!
//! A section is a flat list of steps. A step names exactly one policy, may carry a condition
//! (`when`) and an id. The table at the end of this file lists all policies: the enum [`Policy`], the
//! step type of each section and what checkers and gateways dispatch by follow from it.
//!
//! A new policy `NAME` has its data in `policy/NAME.rs`, with a row in the table; its check in
//! `plan/src/policies/NAME.rs`, its run in `gateway/src/policy/NAME.rs` and its section in
//! `docs/policies.md`. The compiler and the tests name what is missing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Expression;
use crate::expression::HasExpressions;

mod access;
mod aws_sig_v4;
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
#[macro_use]
mod step;
#[cfg(test)]
mod tests;
mod traffic;
mod variable;

pub use access::{
    CheckHeader, ClaimMatch, IpFilter, JwtAlgorithm, JwtKey, RequiredClaim, ValidateJwt,
};
pub use aws_sig_v4::AwsSigV4;
pub use backend_auth::{
    BackendAuth, ServiceAccountToken, SignedClaim, SignedJwt, SubjectToken, TokenExchange,
    token_file_name,
};
pub use basic_auth::BasicAuth;
pub use cache::{CacheLookup, CacheRemove, CacheStore};
pub use call::{
    AnswerCache, BasicCredentials, ClientAssertion, ClientCertificateRef, ClientCredentials,
    ExternalAuth, HttpMethod, Notify, OutgoingRequest, RequestAuth, RequestTls, Retry, SendRequest,
    SendRequests, WaitFor,
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
pub use section::{Base, OnHandshake, Section};
pub use step::{SectionStep, Step};
pub use traffic::LimitConnections;
pub use variable::SetVariable;

policies! { $
    /// Requires a valid JSON Web Token; a handshake without one gets 401, or the status that is
    /// set.
    ValidateJwt validate_jwt "validateJwt" [inbound];
    /// Requires a client certificate, optionally one of several; other handshakes get 403. The
    /// listener must ask for certificates, see tls.clientCertificates of the Gateway.
    ValidateClientCertificate validate_client_certificate "validateClientCertificate" [inbound];
    /// Requires a user name and password (RFC 7617); other handshakes get 401.
    BasicAuth basic_auth "basicAuth" [inbound];
    /// Requires a header, optionally with one of several values; other handshakes get 403, or the
    /// status that is set.
    CheckHeader check_header "checkHeader" [inbound];
    /// Asks a server whether to admit the client: it is admitted with a status from 200 to 299, and
    /// refused with any other.
    ExternalAuth external_auth "externalAuth" [inbound];
    /// Admits only some client addresses, or all but some; others get 403.
    IpFilter ip_filter "ipFilter" [inbound];
    /// Limits the handshakes of each subscription in a sliding window; further ones get 429. In a
    /// Product all its APIs are counted together, in a WebSocketApi that API alone. Handshakes
    /// without a subscription are not limited. Each pod counts by itself, unless the Gateway sets
    /// counters.redis.
    RateLimit rate_limit "rateLimit" [inbound];
    /// Limits the handshakes for each value of a key in a sliding window; further ones get 429. All
    /// Products and APIs of a namespace share a count per key value; the Gateway's own policies
    /// have another. Each pod counts by itself, unless the Gateway sets counters.redis.
    RateLimitByKey rate_limit_by_key "rateLimitByKey" [inbound];
    /// Limits the handshakes and relayed bytes of each subscription over a long time; further
    /// handshakes get 403. In a Product all its APIs are counted together, in a WebSocketApi that
    /// API alone. Handshakes without a subscription are not limited. Each pod counts by itself,
    /// unless the Gateway sets counters.redis.
    Quota quota "quota" [inbound];
    /// Limits the handshakes and relayed bytes for each value of a key over a long time; further
    /// handshakes get 403. All Products and APIs of a namespace share a count per key value, period
    /// and firstPeriodStart; the Gateway's own policies have another. Each pod counts by itself,
    /// unless the Gateway sets counters.redis.
    QuotaByKey quota_by_key "quotaByKey" [inbound];
    /// Limits the live tunnels for each value of a key; further handshakes get 429. A handshake
    /// counts before the backend is dialled, until it fails or its tunnel closes. All Products and
    /// APIs of a namespace share a count per key value; the Gateway's own policies have another.
    /// Each pod counts by itself, unless the Gateway sets counters.redis.
    LimitConnections limit_connections "limitConnections" [inbound];
    /// Sets, extends or removes a header of the request that the backend gets (in inbound) or of
    /// the answer that the client gets (in outbound and onError).
    SetHeader set_header "setHeader" [inbound outbound on_error];
    /// Sets, extends or removes a query parameter of the URL that the backend gets.
    SetQueryParameter set_query_parameter "setQueryParameter" [inbound];
    /// Replaces the path of the request that the backend gets.
    RewritePath rewrite_path "rewritePath" [inbound];
    /// Chooses another backend for this handshake: any by `url`, or a member of the API's pool by
    /// `ref`.
    SetBackend set_backend "setBackend" [inbound];
    /// Sends credentials of the gateway to the backend. The client's `Authorization` does not reach
    /// it.
    BackendAuth backend_auth "backendAuth" [inbound];
    /// Sends an HTTP request and keeps the answer as `vars.NAME`, with status, headers, text and
    /// json. Redirects are not followed: they are answers.
    SendRequest send_request "sendRequest" [inbound outbound on_error];
    /// Sends several HTTP requests at the same time and keeps the answers.
    SendRequests send_requests "sendRequests" [inbound];
    /// Sends an HTTP request and goes on at once. The answer is ignored, and so is a failure.
    Notify notify "notify" [inbound outbound on_error];
    /// Reads a value that cacheStore kept in an earlier handshake. Values are kept per gateway pod
    /// and per namespace.
    CacheLookup cache_lookup "cacheLookup" [inbound outbound];
    /// Keeps a value for later handshakes, per gateway pod and per namespace.
    CacheStore cache_store "cacheStore" [inbound outbound];
    /// Removes a value that cacheStore kept.
    CacheRemove cache_remove "cacheRemove" [inbound outbound];
    /// Sets a variable for later steps, to be read as `vars.NAME`.
    SetVariable set_variable "setVariable" [inbound outbound on_error];
    /// Runs the steps of a PolicyFragment at this place.
    IncludeFragment include_fragment "includeFragment" [inbound outbound on_error];
    /// Writes a line to the gateway's log.
    Log log "log" [inbound outbound on_error];
    /// Adds an entry to the trace of the handshake, and writes it to the gateway's log at level
    /// debug.
    Trace trace "trace" [inbound outbound on_error];
    /// Adds to a counter `tidegate_custom_NAME` among the gateway's metrics.
    EmitMetric emit_metric "emitMetric" [inbound outbound];
    /// Sends a message to the backend when the tunnel opens, before the client's first message.
    OnOpen on_open "onOpen" [outbound];
    /// Changes status and message of the refusal; its headers stay.
    SetStatus set_status "setStatus" [on_error];
    /// Ends the handshake with this answer; in onError it replaces the refusal's answer.
    ReturnResponse return_response "returnResponse" [inbound outbound on_error];
}

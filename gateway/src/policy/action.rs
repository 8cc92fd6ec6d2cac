//! What a step does: one of all policies, compiled. The table at the end lists them.

use tidegate_config::policy::Policy;

use super::Services;
use super::backend_auth::BackendAuth;
use super::basic_auth::BasicAuth;
use super::cache::{CacheLookup, CacheRemove, CacheStore};
use super::check_header::CheckHeader;
use super::compile::{Compiler, InvalidPolicy};
use super::emit_metric::EmitMetric;
use super::external_auth::ExternalAuth;
use super::ip_filter::IpFilter;
use super::limit_connections::LimitConnections;
use super::log::Log;
use super::notify::Notify;
use super::on_open::OnOpen;
use super::quota::Quota;
use super::rate_limit::RateLimit;
use super::return_response::ReturnResponse;
use super::rewrite_path::RewritePath;
use super::send_request::SendRequest;
use super::send_requests::SendRequests;
use super::set_backend::SetBackend;
use super::set_header::SetHeader;
use super::set_query_parameter::SetQueryParameter;
use super::set_status::SetStatus;
use super::set_variable::SetVariable;
use super::validate_client_certificate::ValidateClientCertificate;
use super::validate_jwt::ValidateJwt;
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// Makes the enum of compiled policies and dispatches to them. A row is a policy as configurations have it,
/// its compiled form, the function that compiles it, and how it runs: `now` without waiting, `later` when it
/// may wait a moment for this process, `asks` when it asks others, who may take their time.
///
/// What may wait is boxed: every handshake would have room for the largest of them otherwise, policies or not.
macro_rules! actions {
    ($($policy:ident $action:ident::$compile:ident $how:ident;)+) => {
        /// A policy, ready to run.
        #[derive(Debug)]
        pub(super) enum Action {
            /// The steps of a fragment follow.
            Include,
            $($policy(Box<$action>),)+
        }

        impl Action {
            /// Compiles a policy; `None` for `base`, which is a place and not an action.
            pub(super) fn compile(
                policy: Policy<'_>,
                compiler: &Compiler<'_>,
            ) -> Result<Option<Self>, InvalidPolicy> {
                Ok(Some(match policy {
                    Policy::Base => return Ok(None),
                    Policy::IncludeFragment(_) => Self::Include,
                    $(Policy::$policy(policy) => {
                        Self::$policy(Box::new($action::$compile(policy, compiler)?))
                    })+
                }))
            }

            /// Whether it asks others, who may take their time.
            pub(super) fn asks(&self) -> bool {
                match self {
                    Self::Include => false,
                    $(Self::$policy(_) => actions!(@asks $how),)+
                }
            }

            /// Runs it. A refusal ends the section.
            pub(super) async fn run(
                &self,
                exchange: &mut Exchange,
                services: &Services,
            ) -> Result<(), Refusal> {
                match self {
                    Self::Include => Ok(()),
                    $(Self::$policy(policy) => actions!(@run $how policy exchange services),)+
                }
            }
        }
    };
    (@asks asks) => { true };
    (@asks $how:ident) => { false };
    (@run now $policy:ident $exchange:ident $services:ident) => {
        $policy.run($exchange, $services)
    };
    (@run $how:ident $policy:ident $exchange:ident $services:ident) => {
        Box::pin($policy.run($exchange, $services)).await
    };
}

actions! {
    ValidateJwt ValidateJwt::compile asks;
    ValidateClientCertificate ValidateClientCertificate::compile now;
    BasicAuth BasicAuth::compile later;
    CheckHeader CheckHeader::compile now;
    ExternalAuth ExternalAuth::compile asks;
    IpFilter IpFilter::compile now;
    RateLimit RateLimit::by_subscription later;
    RateLimitByKey RateLimit::by_key later;
    Quota Quota::by_subscription later;
    QuotaByKey Quota::by_key later;
    LimitConnections LimitConnections::compile later;
    SetHeader SetHeader::compile now;
    SetQueryParameter SetQueryParameter::compile now;
    RewritePath RewritePath::compile now;
    SetBackend SetBackend::compile now;
    BackendAuth BackendAuth::compile asks;
    SendRequest SendRequest::compile asks;
    SendRequests SendRequests::compile asks;
    Notify Notify::compile now;
    CacheLookup CacheLookup::compile later;
    CacheStore CacheStore::compile later;
    CacheRemove CacheRemove::compile later;
    SetVariable SetVariable::compile now;
    Log Log::compile now;
    Trace Log::tracing now;
    EmitMetric EmitMetric::compile now;
    OnOpen OnOpen::compile now;
    SetStatus SetStatus::compile now;
    ReturnResponse ReturnResponse::compile now;
}

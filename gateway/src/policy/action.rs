//! What a step does: one of all policies, compiled.

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

/// A policy, ready to run.
#[derive(Debug)]
pub(super) enum Action {
    ValidateJwt(Box<ValidateJwt>),
    ValidateClientCertificate(ValidateClientCertificate),
    BasicAuth(BasicAuth),
    CheckHeader(CheckHeader),
    ExternalAuth(Box<ExternalAuth>),
    IpFilter(IpFilter),
    RateLimit(RateLimit),
    Quota(Quota),
    LimitConnections(LimitConnections),
    SetHeader(SetHeader),
    SetQueryParameter(SetQueryParameter),
    RewritePath(RewritePath),
    SetBackend(SetBackend),
    BackendAuth(BackendAuth),
    SendRequest(Box<SendRequest>),
    SendRequests(SendRequests),
    Notify(Notify),
    CacheLookup(CacheLookup),
    CacheStore(CacheStore),
    CacheRemove(CacheRemove),
    SetVariable(SetVariable),
    /// The steps of a fragment follow.
    Include,
    /// log and trace.
    Log(Log),
    EmitMetric(EmitMetric),
    OnOpen(OnOpen),
    ReturnResponse(ReturnResponse),
    SetStatus(SetStatus),
}

impl Action {
    /// Compiles a policy; `None` for `base`, which is a place and not an action.
    #[expect(clippy::too_many_lines, reason = "an arm for each policy")]
    pub(super) fn compile(
        policy: Policy<'_>,
        compiler: &Compiler<'_>,
    ) -> Result<Option<Self>, InvalidPolicy> {
        Ok(Some(match policy {
            Policy::Base => return Ok(None),
            Policy::ValidateJwt(policy) => {
                Self::ValidateJwt(Box::new(ValidateJwt::compile(policy, compiler)?))
            }
            Policy::ValidateClientCertificate(policy) => Self::ValidateClientCertificate(
                ValidateClientCertificate::compile(policy, compiler)?,
            ),
            Policy::BasicAuth(policy) => Self::BasicAuth(BasicAuth::compile(policy, compiler)?),
            Policy::CheckHeader(policy) => {
                Self::CheckHeader(CheckHeader::compile(policy, compiler)?)
            }
            Policy::ExternalAuth(policy) => {
                Self::ExternalAuth(Box::new(ExternalAuth::compile(policy, compiler)?))
            }
            Policy::IpFilter(policy) => Self::IpFilter(IpFilter::compile(policy, compiler)?),
            Policy::RateLimit(policy) => {
                Self::RateLimit(RateLimit::by_subscription(policy, compiler)?)
            }
            Policy::RateLimitByKey(policy) => Self::RateLimit(RateLimit::by_key(policy, compiler)?),
            Policy::Quota(policy) => Self::Quota(Quota::by_subscription(policy, compiler)),
            Policy::QuotaByKey(policy) => Self::Quota(Quota::by_key(policy, compiler)?),
            Policy::LimitConnections(policy) => {
                Self::LimitConnections(LimitConnections::compile(policy, compiler)?)
            }
            Policy::SetHeader(policy) => Self::SetHeader(SetHeader::compile(policy, compiler)?),
            Policy::SetQueryParameter(policy) => {
                Self::SetQueryParameter(SetQueryParameter::compile(policy, compiler)?)
            }
            Policy::RewritePath(policy) => {
                Self::RewritePath(RewritePath::compile(policy, compiler)?)
            }
            Policy::SetStatus(policy) => Self::SetStatus(SetStatus::compile(policy, compiler)?),
            Policy::SetBackend(policy) => Self::SetBackend(SetBackend::compile(policy, compiler)?),
            Policy::BackendAuth(policy) => {
                Self::BackendAuth(BackendAuth::compile(policy, compiler)?)
            }
            Policy::SendRequests(policy) => {
                Self::SendRequests(SendRequests::compile(policy, compiler)?)
            }
            Policy::CacheLookup(policy) => {
                Self::CacheLookup(CacheLookup::compile(policy, compiler)?)
            }
            Policy::CacheStore(policy) => Self::CacheStore(CacheStore::compile(policy, compiler)?),
            Policy::CacheRemove(policy) => {
                Self::CacheRemove(CacheRemove::compile(policy, compiler)?)
            }
            Policy::Notify(policy) => Self::Notify(Notify::compile(policy, compiler)?),
            Policy::SendRequest(policy) => {
                Self::SendRequest(Box::new(SendRequest::compile(policy, compiler)?))
            }
            Policy::SetVariable(policy) => {
                Self::SetVariable(SetVariable::compile(policy, compiler)?)
            }
            Policy::IncludeFragment(_) => Self::Include,
            Policy::EmitMetric(policy) => Self::EmitMetric(EmitMetric::compile(policy, compiler)?),
            Policy::Trace(policy) => Self::Log(Log::tracing(policy, compiler)?),
            Policy::OnOpen(policy) => Self::OnOpen(OnOpen::compile(policy, compiler)?),
            Policy::Log(policy) => Self::Log(Log::compile(policy, compiler)?),
            Policy::ReturnResponse(policy) => {
                Self::ReturnResponse(ReturnResponse::compile(policy, compiler)?)
            }
        }))
    }

    /// Does it ask others, who may take their time?
    pub(super) fn waits(&self) -> bool {
        matches!(
            self,
            Self::ValidateJwt(_)
                | Self::ExternalAuth(_)
                | Self::BackendAuth(_)
                | Self::SendRequest(_)
                | Self::SendRequests(_)
        )
    }

    /// Runs it. A refusal ends the section.
    ///
    /// What may wait is boxed: every handshake would have room for the largest of them otherwise,
    /// policies or not.
    pub(super) async fn run(
        &self,
        exchange: &mut Exchange,
        services: &Services,
    ) -> Result<(), Refusal> {
        match self {
            Self::ValidateJwt(policy) => Box::pin(policy.run(exchange)).await,
            Self::ValidateClientCertificate(policy) => policy.run(exchange),
            Self::BasicAuth(policy) => Box::pin(policy.run(exchange, &services.passwords)).await,
            Self::CheckHeader(policy) => policy.run(exchange),
            Self::ExternalAuth(policy) => Box::pin(policy.run(exchange)).await,
            Self::IpFilter(policy) => policy.run(exchange),
            Self::RateLimit(policy) => Box::pin(policy.run(exchange, services)).await,
            Self::Quota(policy) => Box::pin(policy.run(exchange, services)).await,
            Self::LimitConnections(policy) => Box::pin(policy.run(exchange, services)).await,
            Self::SetHeader(policy) => policy.run(exchange),
            Self::SetQueryParameter(policy) => policy.run(exchange),
            Self::RewritePath(policy) => policy.run(exchange),
            Self::SetBackend(policy) => policy.run(exchange),
            Self::BackendAuth(policy) => Box::pin(policy.run(exchange)).await,
            Self::SendRequest(policy) => Box::pin(policy.run(exchange)).await,
            Self::SendRequests(policy) => Box::pin(policy.run(exchange)).await,
            Self::Notify(policy) => policy.run(exchange, services),
            Self::CacheLookup(policy) => Box::pin(policy.run(exchange)).await,
            Self::CacheStore(policy) => Box::pin(policy.run(exchange)).await,
            Self::CacheRemove(policy) => Box::pin(policy.run(exchange)).await,
            Self::SetVariable(policy) => policy.run(exchange),
            Self::Include => Ok(()),
            Self::Log(policy) => policy.run(exchange),
            Self::EmitMetric(policy) => policy.run(exchange, &services.custom_metrics),
            Self::OnOpen(policy) => policy.run(exchange),
            Self::SetStatus(policy) => policy.run(exchange),
            Self::ReturnResponse(policy) => Err(policy.run(exchange)?),
        }
    }
}

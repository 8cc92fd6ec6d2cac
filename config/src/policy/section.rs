//! Sections: which steps stand where, and what a step is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::IncludeFragment;
use super::ValidateClientCertificate;
use super::{BackendAuth, BasicAuth};
use super::{
    CacheLookup, CacheRemove, CacheStore, CheckHeader, ExternalAuth, IpFilter, LimitConnections,
    Log, Notify, Quota, QuotaByKey, RateLimit, RateLimitByKey, ReturnResponse, RewritePath,
    SendRequest, SendRequests, SetBackend, SetHeader, SetQueryParameter, SetStatus, SetVariable,
    ValidateJwt,
};
use super::{EmitMetric, OnOpen, Trace};
use crate::{Expression, ExpressionKind};

/// Where a step runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    /// Before the backend's handshake.
    Inbound,
    /// After the backend's answer.
    Outbound,
    /// When the handshake is refused.
    OnError,
}

impl Section {
    /// Its name in resources.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::OnError => "onError",
        }
    }
}

/// Here the wider scope's steps of the same section run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Base {}

/// What a step does: one of all policies.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant is documented at its type")]
pub enum Policy<'a> {
    Base,
    ValidateJwt(&'a ValidateJwt),
    ValidateClientCertificate(&'a ValidateClientCertificate),
    BasicAuth(&'a BasicAuth),
    CheckHeader(&'a CheckHeader),
    ExternalAuth(&'a ExternalAuth),
    IpFilter(&'a IpFilter),
    RateLimit(&'a RateLimit),
    RateLimitByKey(&'a RateLimitByKey),
    Quota(&'a Quota),
    QuotaByKey(&'a QuotaByKey),
    LimitConnections(&'a LimitConnections),
    SetHeader(&'a SetHeader),
    SetQueryParameter(&'a SetQueryParameter),
    RewritePath(&'a RewritePath),
    SetBackend(&'a SetBackend),
    BackendAuth(&'a BackendAuth),
    SendRequest(&'a SendRequest),
    SendRequests(&'a SendRequests),
    Notify(&'a Notify),
    CacheLookup(&'a CacheLookup),
    CacheStore(&'a CacheStore),
    CacheRemove(&'a CacheRemove),
    SetVariable(&'a SetVariable),
    IncludeFragment(&'a IncludeFragment),
    Log(&'a Log),
    Trace(&'a Trace),
    EmitMetric(&'a EmitMetric),
    OnOpen(&'a OnOpen),
    ReturnResponse(&'a ReturnResponse),
    SetStatus(&'a SetStatus),
}

impl<'a> Policy<'a> {
    /// Its key in resources, also label and log field.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::ValidateJwt(_) => "validateJwt",
            Self::ValidateClientCertificate(_) => "validateClientCertificate",
            Self::BasicAuth(_) => "basicAuth",
            Self::CheckHeader(_) => "checkHeader",
            Self::ExternalAuth(_) => "externalAuth",
            Self::IpFilter(_) => "ipFilter",
            Self::RateLimit(_) => "rateLimit",
            Self::RateLimitByKey(_) => "rateLimitByKey",
            Self::Quota(_) => "quota",
            Self::QuotaByKey(_) => "quotaByKey",
            Self::LimitConnections(_) => "limitConnections",
            Self::SetHeader(_) => "setHeader",
            Self::SetQueryParameter(_) => "setQueryParameter",
            Self::RewritePath(_) => "rewritePath",
            Self::SetBackend(_) => "setBackend",
            Self::BackendAuth(_) => "backendAuth",
            Self::SendRequest(_) => "sendRequest",
            Self::SendRequests(_) => "sendRequests",
            Self::Notify(_) => "notify",
            Self::CacheLookup(_) => "cacheLookup",
            Self::CacheStore(_) => "cacheStore",
            Self::CacheRemove(_) => "cacheRemove",
            Self::SetVariable(_) => "setVariable",
            Self::IncludeFragment(_) => "includeFragment",
            Self::Log(_) => "log",
            Self::Trace(_) => "trace",
            Self::EmitMetric(_) => "emitMetric",
            Self::OnOpen(_) => "onOpen",
            Self::ReturnResponse(_) => "returnResponse",
            Self::SetStatus(_) => "setStatus",
        }
    }

    /// Its expressions, with the place of each below the step.
    pub fn expressions(self) -> Vec<Expression<'a>> {
        match self {
            Self::Base | Self::IpFilter(_) | Self::RateLimit(_) | Self::Quota(_) => Vec::new(),
            Self::ValidateClientCertificate(_) => Vec::new(),
            Self::BasicAuth(policy) => policy.expressions(),
            Self::ValidateJwt(policy) => policy.expressions(),
            Self::CheckHeader(policy) => policy.expressions(),
            Self::ExternalAuth(policy) => policy.expressions(),
            Self::RateLimitByKey(policy) => policy.expressions(),
            Self::QuotaByKey(policy) => policy.expressions(),
            Self::LimitConnections(policy) => policy.expressions(),
            Self::SetHeader(policy) => policy.expressions(),
            Self::SetQueryParameter(policy) => policy.expressions(),
            Self::RewritePath(policy) => policy.expressions(),
            Self::SetBackend(policy) => policy.expressions(),
            Self::BackendAuth(policy) => policy.expressions(),
            Self::SendRequest(policy) => policy.expressions(),
            Self::SendRequests(policy) => policy.expressions(),
            Self::Notify(policy) => policy.expressions(),
            Self::CacheLookup(policy) => policy.expressions(),
            Self::CacheStore(policy) => policy.expressions(),
            Self::CacheRemove(policy) => policy.expressions(),
            Self::SetVariable(policy) => policy.expressions(),
            Self::IncludeFragment(_) => Vec::new(),
            Self::Log(policy) => policy.expressions(),
            Self::Trace(policy) => policy.expressions(),
            Self::EmitMetric(policy) => policy.expressions(),
            Self::OnOpen(policy) => policy.expressions(),
            Self::ReturnResponse(policy) => policy.expressions(),
            Self::SetStatus(policy) => policy.expressions(),
        }
    }
}

/// What all step types have in common.
pub trait Step {
    /// Reported when the step fails.
    fn id(&self) -> Option<&str>;
    /// CEL condition under which the step runs.
    fn when(&self) -> Option<&str>;
    /// All policies it names; the schema makes sure that it is one.
    fn policies(&self) -> Vec<Policy<'_>>;

    /// Its only policy; `None` when it names none or several, which the schema refuses.
    fn policy(&self) -> Option<Policy<'_>> {
        match self.policies()[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// What it includes.
    fn include(&self) -> Option<&IncludeFragment> {
        match self.policy() {
            Some(Policy::IncludeFragment(include)) => Some(include),
            _ => None,
        }
    }

    /// All expressions of the step, its condition first.
    fn expressions(&self) -> Vec<Expression<'_>> {
        let condition = self
            .when()
            .map(|text| Expression::new("when", ExpressionKind::Condition, text));
        let of_policies = self.policies().into_iter().flat_map(Policy::expressions);
        condition.into_iter().chain(of_policies).collect()
    }
}

/// A step of a section, as fragments are put into it.
pub trait SectionStep: Step + Clone {
    /// The same step in this section; the name of its policy when the section takes no such step.
    fn of_fragment(step: &FragmentStep) -> Result<Self, &'static str>;
    /// What it includes.
    fn include_mut(&mut self) -> Option<&mut IncludeFragment>;
    /// Names it.
    fn set_id(&mut self, id: String);
}

/// Declares a section's step type: one optional field per policy it takes, `base` where wider
/// scopes run in it.
macro_rules! step {
    (
        $(#[$doc:meta])* $name:ident
        { $(@ $base:ident,)? $($(#[$field_doc:meta])* $field:ident $key:literal: $policy:ident),* $(,)? }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        #[schemars(extend("x-kubernetes-validations" = exactly_one(&[$(stringify!($base),)? $($key),*])))]
        pub struct $name {
            /// Name of the step in errors, traces and metrics.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(min = 1, max = 63))]
            pub id: Option<String>,
            /// CEL condition (bool): the step runs only when it holds.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(min = 1, max = 4096))]
            pub when: Option<String>,
            $(
                /// Here the wider scope's steps run. Absent in a section: they run first (inbound)
                /// or last (outbound, onError).
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $base: Option<Base>,
            )?
            $(
                $(#[$field_doc])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $field: Option<$policy>,
            )*
        }

        impl Step for $name {
            fn id(&self) -> Option<&str> {
                self.id.as_deref()
            }

            fn when(&self) -> Option<&str> {
                self.when.as_deref()
            }

            fn policies(&self) -> Vec<Policy<'_>> {
                let all = [
                    $(self.$base.map(|_| Policy::Base),)?
                    $(self.$field.as_ref().map(Policy::$policy)),*
                ];
                all.into_iter().flatten().collect()
            }
        }

        impl SectionStep for $name {
            fn of_fragment(step: &FragmentStep) -> Result<Self, &'static str> {
                let taken = Self {
                    id: step.id.clone(),
                    when: step.when.clone(),
                    $($base: None,)?
                    $($field: step.$field.clone(),)*
                };
                match step.policies().iter().map(|policy| policy.name()).find(|name| {
                    taken.policies().iter().all(|policy| policy.name() != *name)
                }) {
                    Some(left_out) => Err(left_out),
                    None => Ok(taken),
                }
            }

            fn include_mut(&mut self) -> Option<&mut IncludeFragment> {
                self.include_fragment.as_mut()
            }

            fn set_id(&mut self, id: String) {
                self.id = Some(id);
            }
        }
    };
}

fn exactly_one(keys: &[&str]) -> Value {
    let count: Vec<_> = keys
        .iter()
        .map(|key| format!("(has(self.{key}) ? 1 : 0)"))
        .collect();
    json!([{
        "rule": format!("{} == 1", count.join(" + ")),
        "message": format!("a step names exactly one policy of: {}", keys.join(", ")),
    }])
}

step! {
    /// A step before the backend's handshake.
    InboundStep {
        @base,
        /// Requires a valid JSON Web Token.
        validate_jwt "validateJwt": ValidateJwt,
        /// Requires a client certificate.
        validate_client_certificate "validateClientCertificate": ValidateClientCertificate,
        /// Requires a user name and password.
        basic_auth "basicAuth": BasicAuth,
        /// Requires a header.
        check_header "checkHeader": CheckHeader,
        /// Asks a server whether the client may pass.
        external_auth "externalAuth": ExternalAuth,
        /// Lets only some client addresses pass.
        ip_filter "ipFilter": IpFilter,
        /// Limits handshakes of each subscription.
        rate_limit "rateLimit": RateLimit,
        /// Limits handshakes for each value of a key.
        rate_limit_by_key "rateLimitByKey": RateLimitByKey,
        /// Limits handshakes and bytes of each subscription over a long time.
        quota "quota": Quota,
        /// Limits handshakes and bytes for each value of a key over a long time.
        quota_by_key "quotaByKey": QuotaByKey,
        /// Limits live tunnels for each value of a key.
        limit_connections "limitConnections": LimitConnections,
        /// Changes a header of the backend's handshake.
        set_header "setHeader": SetHeader,
        /// Changes a query parameter of the backend's URL.
        set_query_parameter "setQueryParameter": SetQueryParameter,
        /// Asks the backend for another path.
        rewrite_path "rewritePath": RewritePath,
        /// Chooses another backend.
        set_backend "setBackend": SetBackend,
        /// Gives the backend credentials of the gateway.
        backend_auth "backendAuth": BackendAuth,
        /// Sends an HTTP request and keeps the answer.
        send_request "sendRequest": SendRequest,
        /// Sends several HTTP requests at a time and keeps the answers.
        send_requests "sendRequests": SendRequests,
        /// Sends an HTTP request and goes on at once.
        notify "notify": Notify,
        /// Reads a value that was kept.
        cache_lookup "cacheLookup": CacheLookup,
        /// Keeps a value for later handshakes.
        cache_store "cacheStore": CacheStore,
        /// Forgets a value that was kept.
        cache_remove "cacheRemove": CacheRemove,
        /// Keeps a value.
        set_variable "setVariable": SetVariable,
        /// Runs the steps of a PolicyFragment.
        include_fragment "includeFragment": IncludeFragment,
        /// Writes a line to the gateway's log.
        log "log": Log,
        /// Tells whoever follows the handshake.
        trace "trace": Trace,
        /// Adds to a counter of the gateway's metrics.
        emit_metric "emitMetric": EmitMetric,
        /// Ends the handshake with an answer.
        return_response "returnResponse": ReturnResponse,
    }
}

step! {
    /// A step after the backend's answer.
    OutboundStep {
        @base,
        /// Changes a header of the client's answer.
        set_header "setHeader": SetHeader,
        /// Sends an HTTP request and keeps the answer.
        send_request "sendRequest": SendRequest,
        /// Sends an HTTP request and goes on at once.
        notify "notify": Notify,
        /// Reads a value that was kept.
        cache_lookup "cacheLookup": CacheLookup,
        /// Keeps a value for later handshakes.
        cache_store "cacheStore": CacheStore,
        /// Forgets a value that was kept.
        cache_remove "cacheRemove": CacheRemove,
        /// Keeps a value.
        set_variable "setVariable": SetVariable,
        /// Runs the steps of a PolicyFragment.
        include_fragment "includeFragment": IncludeFragment,
        /// Writes a line to the gateway's log.
        log "log": Log,
        /// Tells whoever follows the handshake.
        trace "trace": Trace,
        /// Adds to a counter of the gateway's metrics.
        emit_metric "emitMetric": EmitMetric,
        /// Says something to the backend first.
        on_open "onOpen": OnOpen,
        /// Ends the handshake with an answer.
        return_response "returnResponse": ReturnResponse,
    }
}

step! {
    /// A step when the handshake is refused.
    ErrorStep {
        @base,
        /// Changes a header of the client's answer.
        set_header "setHeader": SetHeader,
        /// Sends an HTTP request and keeps the answer.
        send_request "sendRequest": SendRequest,
        /// Sends an HTTP request and goes on at once.
        notify "notify": Notify,
        /// Keeps a value.
        set_variable "setVariable": SetVariable,
        /// Runs the steps of a PolicyFragment.
        include_fragment "includeFragment": IncludeFragment,
        /// Writes a line to the gateway's log.
        log "log": Log,
        /// Tells whoever follows the handshake.
        trace "trace": Trace,
        /// Changes status and message of the refusal.
        set_status "setStatus": SetStatus,
        /// Answers instead of the refusal's own answer.
        return_response "returnResponse": ReturnResponse,
    }
}

step! {
    /// A step of a PolicyFragment. The section that includes it must take its policy.
    FragmentStep {
        /// Requires a valid JSON Web Token.
        validate_jwt "validateJwt": ValidateJwt,
        /// Requires a client certificate.
        validate_client_certificate "validateClientCertificate": ValidateClientCertificate,
        /// Requires a user name and password.
        basic_auth "basicAuth": BasicAuth,
        /// Requires a header.
        check_header "checkHeader": CheckHeader,
        /// Asks a server whether the client may pass.
        external_auth "externalAuth": ExternalAuth,
        /// Lets only some client addresses pass.
        ip_filter "ipFilter": IpFilter,
        /// Limits handshakes of each subscription.
        rate_limit "rateLimit": RateLimit,
        /// Limits handshakes for each value of a key.
        rate_limit_by_key "rateLimitByKey": RateLimitByKey,
        /// Limits handshakes and bytes of each subscription over a long time.
        quota "quota": Quota,
        /// Limits handshakes and bytes for each value of a key over a long time.
        quota_by_key "quotaByKey": QuotaByKey,
        /// Limits live tunnels for each value of a key.
        limit_connections "limitConnections": LimitConnections,
        /// Changes a header: inbound of the backend's handshake, else of the client's answer.
        set_header "setHeader": SetHeader,
        /// Changes a query parameter of the backend's URL.
        set_query_parameter "setQueryParameter": SetQueryParameter,
        /// Asks the backend for another path.
        rewrite_path "rewritePath": RewritePath,
        /// Chooses another backend.
        set_backend "setBackend": SetBackend,
        /// Gives the backend credentials of the gateway.
        backend_auth "backendAuth": BackendAuth,
        /// Sends an HTTP request and keeps the answer.
        send_request "sendRequest": SendRequest,
        /// Sends several HTTP requests at a time and keeps the answers.
        send_requests "sendRequests": SendRequests,
        /// Sends an HTTP request and goes on at once.
        notify "notify": Notify,
        /// Reads a value that was kept.
        cache_lookup "cacheLookup": CacheLookup,
        /// Keeps a value for later handshakes.
        cache_store "cacheStore": CacheStore,
        /// Forgets a value that was kept.
        cache_remove "cacheRemove": CacheRemove,
        /// Keeps a value.
        set_variable "setVariable": SetVariable,
        /// Runs the steps of a PolicyFragment.
        include_fragment "includeFragment": IncludeFragment,
        /// Writes a line to the gateway's log.
        log "log": Log,
        /// Tells whoever follows the handshake.
        trace "trace": Trace,
        /// Adds to a counter of the gateway's metrics.
        emit_metric "emitMetric": EmitMetric,
        /// Says something to the backend first.
        on_open "onOpen": OnOpen,
        /// Answers, and ends the handshake.
        return_response "returnResponse": ReturnResponse,
        /// Changes status and message of the refusal.
        set_status "setStatus": SetStatus,
    }
}

/// The policies of one scope. Gateway is the widest scope, then Product, then WebSocketApi.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OnHandshake {
    /// Run the wider scope's steps where no `base` step says so. Default: true.
    #[serde(default = "yes")]
    pub inherit: bool,
    /// Steps before the backend's handshake.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub inbound: Vec<InboundStep>,
    /// Steps after the backend's answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub outbound: Vec<OutboundStep>,
    /// Steps when the handshake is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub on_error: Vec<ErrorStep>,
}

impl Default for OnHandshake {
    fn default() -> Self {
        Self {
            inherit: true,
            inbound: Vec::new(),
            outbound: Vec::new(),
            on_error: Vec::new(),
        }
    }
}

impl OnHandshake {
    /// Every step with its section and position.
    pub fn steps(&self) -> impl Iterator<Item = (Section, usize, &dyn Step)> {
        let inbound = self.inbound.iter().enumerate();
        let outbound = self.outbound.iter().enumerate();
        let on_error = self.on_error.iter().enumerate();
        inbound
            .map(|(i, step)| (Section::Inbound, i, step as &dyn Step))
            .chain(outbound.map(|(i, step)| (Section::Outbound, i, step as &dyn Step)))
            .chain(on_error.map(|(i, step)| (Section::OnError, i, step as &dyn Step)))
    }
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(json: Value) -> Result<InboundStep, serde_json::Error> {
        serde_json::from_value(json)
    }

    #[test]
    fn a_step_knows_its_only_policy() {
        let one =
            step(json!({"when": "true", "setVariable": {"name": "a", "value": "1"}})).unwrap();
        assert_eq!(one.policy().map(Policy::name), Some("setVariable"));
        let fields: Vec<_> = one.expressions().into_iter().map(|e| e.field).collect();
        assert_eq!(fields, ["when", "setVariable.value"]);
    }

    #[test]
    fn none_or_several_policies_are_no_policy() {
        assert!(step(json!({"id": "x"})).unwrap().policy().is_none());
        let two = json!({"base": {}, "setVariable": {"name": "a", "value": "1"}});
        assert!(step(two).unwrap().policy().is_none());
    }

    /// Names of a step type's policies.
    fn policies<S: JsonSchema>() -> Vec<String> {
        let schema: Value = schemars::schema_for!(S).into();
        let fields = schema["properties"].as_object().unwrap().keys().cloned();
        let common = ["id", "when", "base"];
        fields
            .filter(|name| !common.contains(&name.as_str()))
            .collect()
    }

    #[test]
    fn a_fragment_takes_the_steps_of_all_sections_and_no_base() {
        let mut all = policies::<InboundStep>();
        all.extend(policies::<OutboundStep>());
        all.extend(policies::<ErrorStep>());
        all.sort();
        all.dedup();
        assert_eq!(policies::<FragmentStep>(), all);
        let base = serde_json::from_value::<FragmentStep>(json!({"base": {}}));
        assert!(base.is_err());
    }

    #[test]
    fn a_fragments_step_becomes_one_of_the_section_or_is_named() {
        let read = |json| serde_json::from_value::<FragmentStep>(json).unwrap();
        let set = read(json!({"when": "true", "setStatus": {"status": 400}}));
        assert_eq!(InboundStep::of_fragment(&set), Err("setStatus"));
        let taken = ErrorStep::of_fragment(&set).unwrap();
        assert_eq!((taken.when(), taken.policy()), (set.when(), set.policy()));
    }

    #[test]
    fn an_unknown_policy_is_an_error_that_lists_the_known_ones() {
        let error = step(json!({"cors": {}})).unwrap_err().to_string();
        assert!(error.contains("unknown field `cors`"), "{error}");
        assert!(error.contains("validateJwt"), "{error}");
    }
}

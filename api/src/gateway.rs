//! Gateway: where clients connect, what holds for all APIs, how the pods run.

mod autoscaling;
mod deployment;
mod listener;
mod service;
mod status;
mod volume;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_config::policy::OnHandshake;
use tidegate_config::{
    Counters, DEFAULT_KEY_HEADER, DEFAULT_KEY_QUERY, Drain, GatewayLimits, GatewayTimeouts,
    NamedValue, Telemetry,
};

use crate::namespaces::NamespacesFrom;

pub use autoscaling::Autoscaling;
pub use deployment::{
    Deployment, ImagePullSecret, PodDisruptionBudgetSpec, RollingUpdate, Strategy, StrategyType,
};
pub use listener::{CertificateRef, Listener, ListenerTls};
pub use service::{Service, ServiceTrafficPolicy, ServiceType};
pub use status::{AddressType, GatewayAddress, GatewayStatus, ListenerStatus, PodsStatus};
pub use volume::{
    ClaimVolume, ConfigMapVolume, CsiVolume, EmptyDirVolume, ExtraVolume, SecretVolume,
};

/// Desired state of a Gateway: its listeners, what holds for all APIs there, and how its pods run.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "tidegate.dev",
    version = "v1alpha1",
    kind = "Gateway",
    plural = "gateways",
    shortname = "wsgw",
    category = "tidegate",
    namespaced,
    cel,
    status = "GatewayStatus",
    derive = "PartialEq",
    doc = "A gateway for WebSocket APIs: listeners, global policies, limits, and how its pods run.",
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$')")
        .message("the name is also the name of a Service: at most 63 characters of a-z, 0-9 and -, beginning with a letter"),
    validation = Rule::new("!self.spec.listeners.exists(l, has(l.proxyProtocol) && l.proxyProtocol) || (has(self.spec.trustedProxies) && self.spec.trustedProxies.size() > 0)")
        .message("proxyProtocol needs trustedProxies: without them no PROXY header is trusted"),
    printcolumn(name = "Accepted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].status"),
    printcolumn(name = "Resolved", type_ = "string", json_path = ".status.conditions[?(@.type==\"ResolvedRefs\")].status"),
    printcolumn(name = "Programmed", type_ = "string", json_path = ".status.conditions[?(@.type==\"Programmed\")].status"),
    printcolumn(name = "Address", type_ = "string", json_path = ".status.addresses[0].value"),
    printcolumn(name = "APIs", type_ = "integer", json_path = ".status.apis"),
    printcolumn(name = "Pods", type_ = "string", json_path = ".status.pods.summary", description = "Pods that serve the latest revision, of all live pods"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reason", type_ = "string", priority = 1, json_path = ".status.conditions[?(@.status==\"False\")].message"),
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewaySpec {
    /// Ports at which the Gateway accepts clients, 1 to 16.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(extend("minItems" = 1, "maxItems" = 16))]
    pub listeners: Vec<Listener>,
    /// Namespaces whose WebSocketApis may attach to the Gateway. Default: the Gateway's own
    /// namespace.
    #[serde(default)]
    pub api_namespaces: ApiNamespaces,
    /// Header and query parameter that carry the subscription key. A WebSocketApi may name others.
    #[serde(default)]
    pub subscription_key: GatewayKeyNames,
    /// Policies that run for handshakes of every API of the Gateway, unless its onHandshake leaves
    /// them out.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "!has(self.inbound) || self.inbound.all(step, !has(step.rateLimit) && !has(step.quota))",
        "message": "rateLimit and quota count what a subscription uses of a Product or WebSocketApi: use rateLimitByKey and quotaByKey in a Gateway",
    }]))]
    pub on_handshake: OnHandshake,
    /// Named values of the global scope, read in expressions as `values.NAME`. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(extend("maxItems" = 64))]
    pub values: Vec<NamedValue>,
    /// Limits of each gateway pod, and defaults for the limits of every API.
    #[serde(default)]
    pub limits: GatewayLimits,
    /// Timeout of the client's handshake, and defaults for the timeouts of every API.
    #[serde(default)]
    pub timeouts: GatewayTimeouts,
    /// How a gateway pod closes its tunnels when it shuts down.
    #[serde(default)]
    pub drain: Drain,
    /// Addresses or CIDRs of proxies whose X-Forwarded-For and PROXY protocol headers are trusted
    /// to name the client's address. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64), inner(length(min = 2, max = 64), regex(pattern = "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$")))]
    pub trusted_proxies: Vec<String>,
    /// What the Gateway reports: access log, labels of metrics, and spans.
    #[serde(default)]
    pub telemetry: Telemetry,
    /// Whether requests of policies may go to link-local addresses and to metadata services of
    /// clouds, which hand out credentials to any process on the node. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_metadata_addresses: bool,
    /// Where rate limits, quotas and limits of connections are counted. Default: in each pod by
    /// itself.
    #[serde(default)]
    pub counters: Counters,
    /// How the pods of the Gateway run.
    #[serde(default)]
    pub deployment: Deployment,
}

/// Namespaces whose WebSocketApis may attach to a Gateway.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("(self.from == 'Selector') == has(self.selector)")
    .message("selector must be set if from is Selector, and only then"))]
pub struct ApiNamespaces {
    /// Which namespaces: Same (the Gateway's own), All, or Selector (those that `selector`
    /// matches). Default: Same.
    #[serde(default)]
    pub from: NamespacesFrom,
    /// Labels of the namespaces. Required if `from` is Selector, not allowed otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// What happens if the route (host and path) of a WebSocketApi overlaps the route of a
    /// WebSocketApi in another namespace. Refuse: the one that was served first keeps its route,
    /// and the other is not served there. Allow: both are served, and a client gets the one with
    /// the more specific host, then the more specific path. Default: Refuse.
    #[serde(default)]
    pub overlapping_routes: OverlappingRoutes,
}

/// What happens to routes of different namespaces that overlap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OverlappingRoutes {
    /// The one that was served first keeps its route.
    #[default]
    Refuse,
    /// All are served.
    Allow,
}

/// Where requests carry the subscription key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayKeyNames {
    /// Name of the header that carries the key. Default: Ocp-Apim-Subscription-Key.
    #[serde(default = "default_header")]
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub header: String,
    /// Name of the query parameter that carries the key, which is read only if the header is
    /// missing. Default: subscription-key.
    #[serde(default = "default_query")]
    #[schemars(length(min = 1, max = 256))]
    pub query: String,
    /// Text in front of the key in a subprotocol that the client offers, for example
    /// `openai-insecure-api-key.`: for browsers, which cannot set headers. It is read only if
    /// header and query have no key. Such a subprotocol never reaches the backend. Default: the key
    /// is in no subprotocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 128),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub subprotocol: Option<String>,
}

impl Default for GatewayKeyNames {
    fn default() -> Self {
        Self {
            header: default_header(),
            query: default_query(),
            subprotocol: None,
        }
    }
}

fn default_header() -> String {
    DEFAULT_KEY_HEADER.to_owned()
}

fn default_query() -> String {
    DEFAULT_KEY_QUERY.to_owned()
}

//! WebSocketApi: a path that clients connect to, and the backend behind it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_config::policy::OnHandshake;
use tidegate_config::{
    ApiLimits, ApiTimeouts, BackendProxy, BackendTls, CircuitBreaker, Failover, HealthCheck,
    LiveAccess, NamedValue, OnChange, PathMatch, PoolMember, UrlScheme,
};

use crate::namespaces::SubscriptionNamespaces;
use crate::{Contact, License};

/// A WebSocket API: where clients find it, who may use it, and the backend behind it.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "tidegate.dev",
    version = "v1alpha1",
    kind = "WebSocketApi",
    plural = "websocketapis",
    shortname = "wsapi",
    category = "tidegate",
    namespaced,
    cel,
    status = "WebSocketApiStatus",
    derive = "PartialEq",
    doc = "A WebSocket API: where clients find it, who may use it, and the backend behind it.",
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
    ),
    printcolumn(
        name = "Resolved",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"ResolvedRefs\")].status"
    ),
    printcolumn(
        name = "Programmed",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Programmed\")].status"
    ),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.urls[0]"),
    printcolumn(
        name = "Backend",
        type_ = "string",
        priority = 1,
        json_path = ".status.backend"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.status==\"False\")].message"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("self.pathMatch != 'Template' || self.path.matches('^(/([^{}/]*|[{][A-Za-z_][A-Za-z0-9_]*[}]))+$')")
        .message("braces in a template must enclose a name and be a whole segment: /rooms/{room}")
        .field_path(".path"),
    validation = Rule::new("self.pathMatch == 'Template' || !self.path.matches('[{}]')")
        .message("braces need pathMatch Template")
        .field_path(".path"),
    validation = Rule::new("self.pathMatch != 'Prefix' || self.path == '/' || !self.path.endsWith('/')")
        .message("a prefix must not end with a slash; it matches the path itself and everything below it")
        .field_path(".path"),
)]
pub struct WebSocketApiSpec {
    /// Name that people see. Default: metadata.name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 300))]
    pub display_name: Option<String>,
    /// Description of the API for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// Person or team to ask about the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
    /// Licence under which the API may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<License>,
    /// URL of the terms of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = "^https?://"))]
    pub terms_of_service_url: Option<String>,
    /// Gateways that serve the API, at most 32. Other Gateways do not know its path.
    #[schemars(extend("maxItems" = 32))]
    pub gateways: Vec<GatewayRef>,
    /// Host names at which the API is served, in lower case: exact, or with a wildcard in front
    /// (`*.example.com`). Default: those of the listener.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        extend("maxItems" = 64),
        inner(
            length(min = 1, max = 253),
            regex(
                pattern = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
            )
        )
    )]
    pub hostnames: Vec<String>,
    /// Path of the API; upper and lower case differ. Encoded letters, digits and `-._~` are decoded
    /// before paths are compared (RFC 3986 §6.2.2), so `/%61` is `/a`. Only one API of a Gateway
    /// may have the same host and path.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r##"^/[!"$->@-~]*$"##))]
    pub path: String,
    /// How the path is compared: Exact, Prefix (the path and everything below it) or Template
    /// (`/rooms/{room}`, where the segment is read as `request.params.room`). Default: Exact.
    #[serde(default)]
    pub path_match: PathMatch,
    /// URL schemes that clients may use, ws and wss, as far as the listeners offer them. Default:
    /// both.
    #[serde(default = "both_schemes")]
    #[schemars(extend("minItems" = 1, "maxItems" = 2, "x-kubernetes-list-type" = "set"))]
    pub protocols: Vec<UrlScheme>,
    /// Backend to which the API's handshakes and messages go.
    pub backend: Backend,
    /// Whether clients need a subscription key; without one they get 401, unless an open Product
    /// contains the API. A key that is sent must be valid either way. Default: true.
    #[serde(default = "yes")]
    pub subscription_required: bool,
    /// Whether each Subscription to the API itself must be approved before its keys work; also each
    /// Subscription to a Gateway of its namespace that serves it. Default: true if a Product that contains the API requires
    /// approval and no published Product gives it without, so that the approval cannot be avoided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_required: Option<bool>,
    /// Namespaces whose Subscriptions may name the API with scope.namespace. Each such Subscription
    /// has a SubscriptionRequest in the API's namespace, on which the owner decides. Default: the
    /// API's own namespace.
    #[serde(default)]
    pub subscription_namespaces: SubscriptionNamespaces,
    /// Header, query parameter and subprotocol that carry the subscription key. Default: those that
    /// the Gateway names.
    #[serde(default)]
    pub subscription_key: ApiKeyNames,
    /// Policies that run for handshakes of this API.
    #[serde(default)]
    pub on_handshake: OnHandshake,
    /// Values of the Origin header that may connect, exact or with a wildcard
    /// (`https://*.example.com`). Other values get 403; a request without the header passes.
    /// Default: the header is not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        extend("maxItems" = 64),
        inner(
            length(min = 1, max = 300),
            regex(pattern = r"^(null|[a-z][a-z0-9+.-]*://(\*\.)?[^/*?#@\s]+)$")
        )
    )]
    pub allowed_origins: Option<Vec<String>>,
    /// Subprotocols that clients may use. A client that offers only others gets 400. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        extend("maxItems" = 32),
        inner(
            length(min = 1, max = 256),
            regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
        )
    )]
    pub subprotocols: Option<Vec<String>>,
    /// Limits of the API's tunnels. Default: those of the Gateway.
    #[serde(default)]
    pub limits: ApiLimits,
    /// Timeouts of the API's handshakes and tunnels. Default: those of the Gateway.
    #[serde(default)]
    pub timeouts: ApiTimeouts,
    /// What happens to live tunnels when their access ends.
    #[serde(default)]
    pub live_access: LiveAccess,
    /// What a change of this API does to its live tunnels: Keep leaves them open, Drain closes them
    /// with 1001, spread over the Gateway's drain window. A change of displayName, description or onChange
    /// closes none. Default: Keep.
    #[serde(default)]
    pub on_change: OnChange,
    /// Named values of the API's scope, read in expressions as `values.NAME`. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(extend("maxItems" = 64))]
    pub values: Vec<NamedValue>,
}

/// Reference to a Gateway that serves an API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayRef {
    /// Name of the Gateway.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Namespace of the Gateway. A Gateway of another namespace must allow it in its
    /// spec.apiNamespaces. Default: the API's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Name of the only listener to use. Default: all listeners whose protocol and host names fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 15))]
    pub listener: Option<String>,
}

/// Backend of an API: exactly one of `url` and `pool`, and how to reach it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("has(self.url) != has(self.pool)")
        .message("exactly one of url and pool must be set"),
    validation = Rule::new("!has(self.failover) || has(self.pool)")
        .message("failover needs a pool"),
)]
pub struct Backend {
    /// `ws://` or `wss://` URL of the backend. A query in it is kept, and the client's is appended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 6, max = 2048),
        regex(pattern = r"^wss?://[^/?#\s]+[^#\s]*$")
    )]
    #[x_kube(validation = Rule::new("isURL(self)").message("must be a URL"))]
    pub url: Option<String>,
    /// Several backends instead of `url`, 1 to 32. Each handshake goes to the one with the fewest
    /// live tunnels for its weight, and to the next one if that cannot be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minItems" = 1, "maxItems" = 32))]
    pub pool: Option<Vec<PoolMember>>,
    /// Stops handshakes to a backend that keeps failing. While the circuits of all backends are
    /// open, clients get 503 with Retry-After. Default: handshakes are not stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<CircuitBreaker>,
    /// Which answers of a member of the pool send the handshake on to the next member, which the
    /// client does not notice. Default: an answer of a member is the client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover: Option<Failover>,
    /// How unhealthy backends are detected. Default: a member of a pool is ejected for a while when
    /// a handshake with it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// HTTP proxy between the gateway and the backend. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<BackendProxy>,
    /// Host header that the backend gets: `host`, `host:port`, or a template that gives one of
    /// them. `${request.host}` passes the client's host on, with the port that the client named.
    /// Health checks send the host of the URL if this is a template, and TLS always uses
    /// tls.serverName or the host of the URL. Default: host of the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(
        validation = Rule::new(r"self.contains('${') || self.matches('^[A-Za-z0-9._:\\[\\]-]+$')")
            .message("must be host, host:port or a template")
    )]
    pub host_header: Option<String>,
    /// TLS to backends with a `wss://` URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<BackendTls>,
}

impl Backend {
    /// For people: its URL; of a pool, that of the first member and how many more there are.
    pub fn summary(&self) -> Option<String> {
        let pool = self.pool.as_deref().unwrap_or_default();
        match (&self.url, pool) {
            (Some(url), _) => Some(url.clone()),
            (None, [only]) => Some(only.url.clone()),
            (None, [first, more @ ..]) => Some(format!("{} +{}", first.url, more.len())),
            (None, []) => None,
        }
    }
}

/// Where requests carry the subscription key of an API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiKeyNames {
    /// Name of the header that carries the key. Default: the one that the Gateway names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub header: Option<String>,
    /// Name of the query parameter that carries the key. Default: the one that the Gateway names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub query: Option<String>,
    /// Text in front of the key in a subprotocol that the client offers, for example
    /// `openai-insecure-api-key.`: for browsers, which cannot set headers. It is read only if
    /// header and query have no key. Such a subprotocol never reaches the backend. Default: the one
    /// that the Gateway names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 128),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub subprotocol: Option<String>,
    /// Whether the key in the header or the query is forwarded to the backend. Default: false.
    #[serde(default)]
    pub keep: bool,
}

/// Observed state of a WebSocketApi.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebSocketApiStatus {
    /// Generation of the WebSocketApi that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// URLs at which clients reach the API, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub urls: Vec<String>,
    /// URL of the backend; for a pool, the URL of its first member and the number of the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Products that contain the API, at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64))]
    pub products: Vec<String>,
    /// State of the API at each Gateway that serves it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["namespace".into(), "name".into()]))]
    #[schemars(extend("maxItems" = 32))]
    pub gateways: Vec<ApiGatewayStatus>,
    /// References that do not exist or cannot be used, at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64))]
    pub unresolved: Vec<String>,
    /// Conditions of the types Accepted, ResolvedRefs, Programmed and DependenciesReachable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(extend("maxItems" = 8))]
    pub conditions: Vec<Condition>,
}

/// State of an API at one Gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiGatewayStatus {
    /// Name of the Gateway.
    pub name: String,
    /// Namespace of the Gateway.
    pub namespace: String,
    /// Generation of the API that the Gateway serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Pods that serve that generation, of all live pods, for example `3/3`.
    pub applied: String,
    /// Names of pods that do not serve it yet, at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 10))]
    pub lagging: Vec<String>,
}

fn both_schemes() -> Vec<UrlScheme> {
    vec![UrlScheme::Ws, UrlScheme::Wss]
}

fn yes() -> bool {
    true
}

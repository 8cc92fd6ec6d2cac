//! WebSocketApi: a path that clients connect to, and the backend behind it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_config::policy::OnHandshake;
use tidegate_config::{
    ApiLimits, ApiTimeouts, BackendProxy, BackendTls, CircuitBreaker, HealthCheck, LiveAccess,
    NamedValue, OnChange, PathMatch, PoolMember, UrlScheme,
};

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
        .message("a template's braces enclose whole segments with a name in them: /rooms/{room}")
        .field_path(".path"),
    validation = Rule::new("self.pathMatch == 'Template' || !self.path.matches('[{}]')")
        .message("braces need pathMatch Template")
        .field_path(".path"),
    validation = Rule::new("self.pathMatch != 'Prefix' || self.path == '/' || !self.path.endsWith('/')")
        .message("a prefix ends without a slash; it matches the path itself and everything below it")
        .field_path(".path"),
)]
pub struct WebSocketApiSpec {
    /// Name for people. Default: metadata.name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 300))]
    pub display_name: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// Whom to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
    /// Under which terms it may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<License>,
    /// Terms of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = "^https?://"))]
    pub terms_of_service_url: Option<String>,
    /// Gateways that serve it; on any other its path is unknown.
    #[schemars(extend("maxItems" = 32))]
    pub gateways: Vec<GatewayRef>,
    /// Host names it answers for, exact or `*.x`, lower case. None: those of the listener.
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
    /// Path; case matters. Encoded letters, digits and -._~ are decoded before paths are compared
    /// (RFC 3986 §6.2.2): `/%61` is `/a`. Unique per gateway and host.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r##"^/[!"$->@-~]*$"##))]
    pub path: String,
    /// Exact, Prefix or Template (`/rooms/{room}`, read as `request.params.room`). Default: Exact.
    #[serde(default)]
    pub path_match: PathMatch,
    /// URL schemes clients may use, as far as the listeners allow. Default: ws and wss.
    #[serde(default = "both_schemes")]
    #[schemars(extend("minItems" = 1, "maxItems" = 2, "x-kubernetes-list-type" = "set"))]
    pub protocols: Vec<UrlScheme>,
    /// Where the messages go.
    pub backend: Backend,
    /// Is a subscription key needed? Default: true.
    #[serde(default = "yes")]
    pub subscription_required: bool,
    /// Where clients put the key. Default: as the Gateway says.
    #[serde(default)]
    pub subscription_key: ApiKeyNames,
    /// Policies of the API's scope.
    #[serde(default)]
    pub on_handshake: OnHandshake,
    /// Values of the Origin header that may connect, exact or `https://*.example.com`; others get
    /// 403. Absent: not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        extend("maxItems" = 64),
        inner(
            length(min = 1, max = 300),
            regex(pattern = r"^(null|[a-z][a-z0-9+.-]*://(\*\.)?[^/*?#@\s]+)$")
        )
    )]
    pub allowed_origins: Option<Vec<String>>,
    /// Subprotocols that may pass. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        extend("maxItems" = 32),
        inner(
            length(min = 1, max = 256),
            regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
        )
    )]
    pub subprotocols: Option<Vec<String>>,
    /// Limits of its tunnels. Default: the Gateway's.
    #[serde(default)]
    pub limits: ApiLimits,
    /// Timeouts of its handshakes and tunnels. Default: the Gateway's.
    #[serde(default)]
    pub timeouts: ApiTimeouts,
    /// What happens to live tunnels whose access ends.
    #[serde(default)]
    pub live_access: LiveAccess,
    /// What a change of this API does to its live tunnels: Keep or Drain. Default: Keep.
    #[serde(default)]
    pub on_change: OnChange,
    /// Named values of the API's scope.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(extend("maxItems" = 64))]
    pub values: Vec<NamedValue>,
}

/// A Gateway that serves an API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayRef {
    /// Name of the Gateway.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Its namespace. Default: the API's. Another one must allow it (Gateway.spec.apiNamespaces).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Only this listener. Default: all that fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 15))]
    pub listener: Option<String>,
}

/// Where an API's messages go.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("has(self.url) != has(self.pool)")
        .message("exactly one of url and pool must be set"),
)]
pub struct Backend {
    /// `ws://` or `wss://` URL. A query in it stays, the client's is appended. Or `pool`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 6, max = 2048),
        regex(pattern = r"^wss?://[^/?#\s]+[^#\s]*$")
    )]
    #[x_kube(validation = Rule::new("isURL(self)").message("must be a URL"))]
    pub url: Option<String>,
    /// Several backends instead of `url`: each handshake goes to the one with the fewest live
    /// tunnels for its weight, and to the next one when that cannot be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minItems" = 1, "maxItems" = 32))]
    pub pool: Option<Vec<PoolMember>>,
    /// Spares backends that keep failing: 503 with Retry-After while all that could be asked are
    /// spared. Default: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<CircuitBreaker>,
    /// How it is found out which backends are well. Default: a member of a pool that fails a
    /// handshake is set aside for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// HTTP proxy on the way to the backend. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<BackendProxy>,
    /// Host header towards the backend: `host`, `host:port`, or a template that gives one of them.
    /// `${request.host}` hands the client's host on, with the port that the client named. Health
    /// checks send the host of the URL if this is a template. TLS always uses tls.serverName or the
    /// host of the URL. Default: host of the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(
        validation = Rule::new(r"self.contains('${') || self.matches('^[A-Za-z0-9._:\\[\\]-]+$')")
            .message("must be host, host:port or a template")
    )]
    pub host_header: Option<String>,
    /// How the backend's certificate is verified; holds for `wss://` URLs.
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

/// Where clients put the subscription key of an API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiKeyNames {
    /// Name of the header. Default: the Gateway's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub header: Option<String>,
    /// Name of the query parameter. Default: the Gateway's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub query: Option<String>,
    /// Forward the key to the backend. Default: false.
    #[serde(default)]
    pub keep: bool,
}

/// What the operator found out about a WebSocketApi.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebSocketApiStatus {
    /// Generation this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where clients reach it (the first 32).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub urls: Vec<String>,
    /// URL of the backend; of a pool, that of the first member and how many more there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Products that hold it (the first 64).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64))]
    pub products: Vec<String>,
    /// Gateways that serve it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["namespace".into(), "name".into()]))]
    #[schemars(extend("maxItems" = 32))]
    pub gateways: Vec<ApiGatewayStatus>,
    /// What could not be found or used (the first 64).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64))]
    pub unresolved: Vec<String>,
    /// Accepted, ResolvedRefs, Programmed, DependenciesReachable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(extend("maxItems" = 8))]
    pub conditions: Vec<Condition>,
}

/// A Gateway that serves an API, and how far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiGatewayStatus {
    /// Name of the Gateway.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Generation of the API that it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Pods that serve it, of all: `3/3`.
    pub applied: String,
    /// Names of pods that do not (the first ten).
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

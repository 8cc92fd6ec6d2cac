//! Listeners of a Gateway.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_config::{ClientCertificates, Protocol, TlsVersion, TrustAnchorRef};

/// A port at which a Gateway accepts clients.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("(self.protocol == 'WSS') == has(self.tls)")
    .message("tls must be set if protocol is WSS, and only then"))]
pub struct Listener {
    /// Unique name of the listener, to which WebSocketApis and the Service's ports refer.
    #[schemars(
        length(min = 1, max = 15),
        regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// TCP port of the listener, 1 to 65535.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// What the listener speaks: WS (plain TCP) or WSS (TLS).
    pub protocol: Protocol,
    /// Host names that the listener serves, in lower case: exact, or with a wildcard in front
    /// (`*.example.com`). Default: all host names.
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
    /// TLS of the listener. Required for WSS, not allowed for WS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
    /// Whether every connection must begin with a PROXY protocol header (version 1 or 2); a
    /// connection without one is closed. The client address in the header is trusted if the peer is
    /// one of trustedProxies. Default: false.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// Whether WebSockets over HTTP/2 (RFC 8441) are accepted as well: negotiated by ALPN with WSS,
    /// by prior knowledge with WS. Default: false.
    #[serde(default)]
    pub http2: bool,
}

/// TLS of a listener.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("(has(self.clientCertificates) && self.clientCertificates != 'Off') == has(self.clientCaRef)")
    .message("clientCaRef must be set if clientCertificates is Optional or Required, and only then"))]
pub struct ListenerTls {
    /// kubernetes.io/tls Secrets of the Gateway's namespace with the listener's certificates, 1 to
    /// 64. SNI selects one of them; the first is the default.
    #[schemars(extend("minItems" = 1, "maxItems" = 64))]
    pub certificate_refs: Vec<CertificateRef>,
    /// Oldest TLS version that clients may use, 1.2 or 1.3. Default: 1.2.
    #[serde(default)]
    pub min_version: TlsVersion,
    /// Whether clients are asked for a certificate. Off: they are not. Optional: they are, and
    /// policies decide about a missing or untrusted one. Required: without a trusted one the TLS
    /// handshake fails. Default: Off.
    #[serde(default)]
    pub client_certificates: ClientCertificates,
    /// Certificate authorities that client certificates must come from. Required if
    /// clientCertificates is Optional or Required, not allowed otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca_ref: Option<TrustAnchorRef>,
}

/// Reference to a kubernetes.io/tls Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

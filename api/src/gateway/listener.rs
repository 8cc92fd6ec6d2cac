//! Listeners of a Gateway.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_config::{ClientCertificates, Protocol, TlsVersion, TrustAnchorRef};

/// Where a Gateway listens.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("(self.protocol == 'WSS') == has(self.tls)")
    .message("tls must be set if protocol is WSS, and only then"))]
pub struct Listener {
    /// Unique name; APIs and the Service's ports refer to it.
    #[schemars(
        length(min = 1, max = 15),
        regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// TCP port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// WS (plain) or WSS (TLS).
    pub protocol: Protocol,
    /// Host names it answers for, exact or `*.x`, lower case. None: all.
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
    /// TLS; only and always with WSS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
    /// Must every connection begin with a PROXY protocol header (version 1 or 2)? What it says of
    /// the client is believed when the peer is one of trustedProxies. Default: false.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// Are WebSockets accepted over HTTP/2 as well (RFC 8441)? With WSS by ALPN, with WS by prior
    /// knowledge. Default: false.
    #[serde(default)]
    pub http2: bool,
}

/// TLS of a listener.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("(has(self.clientCertificates) && self.clientCertificates != 'Off') == has(self.clientCaRef)")
    .message("clientCaRef must be set if clientCertificates is Optional or Required, and only then"))]
pub struct ListenerTls {
    /// kubernetes.io/tls Secrets in the Gateway's namespace, chosen by SNI. The first is the
    /// default.
    #[schemars(extend("minItems" = 1, "maxItems" = 64))]
    pub certificate_refs: Vec<CertificateRef>,
    /// Oldest accepted version, 1.2 or 1.3. Default: 1.2.
    #[serde(default)]
    pub min_version: TlsVersion,
    /// Are clients asked for certificates? Off: no. Optional: policies decide about a missing or
    /// untrusted one. Required: TLS fails without a trusted one. Default: Off.
    #[serde(default)]
    pub client_certificates: ClientCertificates,
    /// Authorities whose client certificates are trusted, in the Gateway's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca_ref: Option<TrustAnchorRef>,
}

/// A kubernetes.io/tls Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

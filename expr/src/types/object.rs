//! Objects: maps of the language whose fields are known.

use super::{Item, Type};

/// A map whose fields are known. Any of them may be null as a whole, and any field may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Object {
    Request,
    Client,
    Tls,
    Certificate,
    Api,
    Product,
    Subscription,
    Gateway,
    Jwt,
    Response,
    Error,
    /// What `url.parse` gives.
    ParsedUrl,
    /// What `basic.decode` gives.
    Credentials,
}

/// What a handshake asks for.
const REQUEST: &[(&str, Type)] = &[
    ("id", Type::Text),
    ("method", Type::Text),
    ("scheme", Type::Text),
    ("host", Type::Text),
    ("authority", Type::Text),
    ("path", Type::Text),
    ("originalUrl", Type::Text),
    ("rawQuery", Type::Text),
    ("headers", Type::Map(Item::Texts)),
    ("query", Type::Map(Item::Texts)),
    ("params", Type::Map(Item::Text)),
    ("subprotocols", Type::List(Item::Text)),
];

/// What is known of a client by its certificate.
const CERTIFICATE: &[(&str, Type)] = &[
    ("subject", Type::Text),
    ("issuer", Type::Text),
    ("serialNumber", Type::Text),
    ("thumbprint", Type::Text),
    ("sha256", Type::Text),
    ("commonName", Type::Text),
    ("dnsNames", Type::List(Item::Text)),
    ("notBefore", Type::Text),
    ("notAfter", Type::Text),
    ("trusted", Type::Bool),
];

impl Object {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Client => "client",
            Self::Tls => "client.tls",
            Self::Certificate => "client.certificate",
            Self::Api => "api",
            Self::Product => "product",
            Self::Subscription => "subscription",
            Self::Gateway => "gateway",
            Self::Jwt => "jwt",
            Self::Response => "response",
            Self::Error => "error",
            Self::ParsedUrl => "url.parse(…)",
            Self::Credentials => "basic.decode(…)",
        }
    }

    pub(crate) fn fields(self) -> &'static [(&'static str, Type)] {
        const TEXT: Type = Type::Text;
        match self {
            Self::Request => REQUEST,
            Self::Client => &[
                ("ip", TEXT),
                ("port", Type::Int),
                ("tls", Type::Object(Self::Tls)),
                ("certificate", Type::Object(Self::Certificate)),
            ],
            Self::Tls => &[("version", TEXT), ("sni", TEXT)],
            Self::Certificate => CERTIFICATE,
            Self::Api => &[
                ("name", TEXT),
                ("namespace", TEXT),
                ("displayName", TEXT),
                ("path", TEXT),
            ],
            Self::Product => &[("name", TEXT), ("namespace", TEXT), ("displayName", TEXT)],
            Self::Subscription => &[
                ("name", TEXT),
                ("namespace", TEXT),
                ("displayName", TEXT),
                ("owner", TEXT),
            ],
            Self::Gateway => &[("name", TEXT), ("namespace", TEXT)],
            Self::Jwt => &[
                ("header", Type::Map(Item::Any)),
                ("claims", Type::Map(Item::Any)),
            ],
            Self::Response => &[("status", Type::Int), ("headers", Type::Map(Item::Texts))],
            Self::Error => &[
                ("source", TEXT),
                ("reason", TEXT),
                ("message", TEXT),
                ("step", TEXT),
            ],
            Self::ParsedUrl => &[
                ("scheme", TEXT),
                ("host", TEXT),
                ("port", Type::Int),
                ("path", TEXT),
                ("rawQuery", TEXT),
                ("query", Type::Map(Item::Text)),
            ],
            Self::Credentials => &[("username", TEXT), ("password", TEXT)],
        }
    }

    pub(crate) fn field(self, name: &str) -> Option<Type> {
        let named = |(field, _): &&(&str, Type)| *field == name;
        self.fields().iter().find(named).map(|(_, kind)| *kind)
    }
}

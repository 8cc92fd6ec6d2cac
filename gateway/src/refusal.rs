//! A handshake that may not pass: status, reason, origin and body of the answer.
//!
//! A refusal is a value of the handshake's path, not an error. Its reason is a closed enum: metric
//! label, log field and row of the table in `docs/errors.md`.

mod answer;

pub(crate) use answer::{LAST_CHUNK, put_chunk};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};

/// Why a handshake was refused. Closed: every value is a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    InvalidRequest,
    InvalidUpgrade,
    UnsupportedVersion,
    HeadTooLarge,
    UrlTooLong,
    HandshakeTimeout,
    ProxyHeaderInvalid,
    TlsFailed,
    Misdirected,
    RouteNotFound,
    SchemeNotAllowed,
    LoopDetected,
    OriginNotAllowed,
    SubprotocolNotAllowed,
    SubscriptionKeyMissing,
    SubscriptionKeyInvalid,
    TokenMissing,
    TokenInvalid,
    TokenExpired,
    TokenNotYetValid,
    TokenSignatureInvalid,
    TokenIssuerNotAllowed,
    TokenAudienceNotAllowed,
    TokenClientNotAllowed,
    TokenClaimMissing,
    TokenClaimNotAllowed,
    KeysUnavailable,
    ClientCertificateMissing,
    ClientCertificateNotYetValid,
    ClientCertificateExpired,
    ClientCertificateNotTrusted,
    ClientCertificateNotAllowed,
    CredentialsMissing,
    CredentialsInvalid,
    CredentialsUnchecked,
    HeaderNotFound,
    HeaderValueNotAllowed,
    CallerIpNotAllowed,
    CallerIpBlocked,
    ExternalAuthRefused,
    RateLimitExceeded,
    QuotaExceeded,
    CountersUnavailable,
    ConnectionLimit,
    GatewayFull,
    HandshakeRateExceeded,
    Draining,
    Blocked,
    ReturnResponse,
    ExpressionFailed,
    UrlNotSafe,
    RequestFailed,
    RequestTimeout,
    BackendAuthFailed,
    HandshakeDeadline,
    BackendCircuitOpen,
    BackendConnectFailed,
    BackendProxyFailed,
    BackendTlsFailed,
    BackendTimeout,
    BackendInvalidHandshake,
    BackendHeadTooLarge,
    BackendRefused,
    ClientGone,
    CutOff,
}

impl Reason {
    /// All reasons, in the order of the documentation.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 65] = [
        Self::InvalidRequest,
        Self::InvalidUpgrade,
        Self::UnsupportedVersion,
        Self::HeadTooLarge,
        Self::UrlTooLong,
        Self::HandshakeTimeout,
        Self::ProxyHeaderInvalid,
        Self::TlsFailed,
        Self::Misdirected,
        Self::RouteNotFound,
        Self::SchemeNotAllowed,
        Self::LoopDetected,
        Self::OriginNotAllowed,
        Self::SubprotocolNotAllowed,
        Self::SubscriptionKeyMissing,
        Self::SubscriptionKeyInvalid,
        Self::TokenMissing,
        Self::TokenInvalid,
        Self::TokenExpired,
        Self::TokenNotYetValid,
        Self::TokenSignatureInvalid,
        Self::TokenIssuerNotAllowed,
        Self::TokenAudienceNotAllowed,
        Self::TokenClientNotAllowed,
        Self::TokenClaimMissing,
        Self::TokenClaimNotAllowed,
        Self::KeysUnavailable,
        Self::ClientCertificateMissing,
        Self::ClientCertificateNotYetValid,
        Self::ClientCertificateExpired,
        Self::ClientCertificateNotTrusted,
        Self::ClientCertificateNotAllowed,
        Self::CredentialsMissing,
        Self::CredentialsInvalid,
        Self::CredentialsUnchecked,
        Self::HeaderNotFound,
        Self::HeaderValueNotAllowed,
        Self::CallerIpNotAllowed,
        Self::CallerIpBlocked,
        Self::ExternalAuthRefused,
        Self::RateLimitExceeded,
        Self::QuotaExceeded,
        Self::CountersUnavailable,
        Self::ConnectionLimit,
        Self::GatewayFull,
        Self::HandshakeRateExceeded,
        Self::Draining,
        Self::Blocked,
        Self::ReturnResponse,
        Self::ExpressionFailed,
        Self::UrlNotSafe,
        Self::RequestFailed,
        Self::RequestTimeout,
        Self::BackendAuthFailed,
        Self::HandshakeDeadline,
        Self::BackendCircuitOpen,
        Self::BackendConnectFailed,
        Self::BackendProxyFailed,
        Self::BackendTlsFailed,
        Self::BackendTimeout,
        Self::BackendInvalidHandshake,
        Self::BackendHeadTooLarge,
        Self::BackendRefused,
        Self::ClientGone,
        Self::CutOff,
    ];

    /// Did something not work, rather than somebody say no?
    pub(crate) const fn is_failure(self) -> bool {
        matches!(
            self,
            Self::HandshakeTimeout
                | Self::ProxyHeaderInvalid
                | Self::TlsFailed
                | Self::KeysUnavailable
                | Self::CountersUnavailable
                | Self::CredentialsUnchecked
                | Self::ExpressionFailed
                | Self::UrlNotSafe
                | Self::RequestFailed
                | Self::RequestTimeout
                | Self::BackendAuthFailed
                | Self::HandshakeDeadline
                | Self::BackendCircuitOpen
                | Self::BackendConnectFailed
                | Self::BackendProxyFailed
                | Self::BackendTlsFailed
                | Self::BackendTimeout
                | Self::BackendInvalidHandshake
                | Self::BackendHeadTooLarge
                | Self::ClientGone
                | Self::CutOff
        )
    }

    /// Label and log field.
    #[allow(clippy::too_many_lines, reason = "a line for each reason")]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidUpgrade => "invalid_upgrade",
            Self::UnsupportedVersion => "unsupported_version",
            Self::HeadTooLarge => "head_too_large",
            Self::UrlTooLong => "url_too_long",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::ProxyHeaderInvalid => "proxy_header_invalid",
            Self::TlsFailed => "tls_failed",
            Self::Misdirected => "misdirected",
            Self::RouteNotFound => "route_not_found",
            Self::SchemeNotAllowed => "scheme_not_allowed",
            Self::LoopDetected => "loop_detected",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::SubprotocolNotAllowed => "subprotocol_not_allowed",
            Self::SubscriptionKeyMissing => "subscription_key_missing",
            Self::SubscriptionKeyInvalid => "subscription_key_invalid",
            Self::TokenMissing => "token_missing",
            Self::TokenInvalid => "token_invalid",
            Self::TokenExpired => "token_expired",
            Self::TokenNotYetValid => "token_not_yet_valid",
            Self::TokenSignatureInvalid => "token_signature_invalid",
            Self::TokenIssuerNotAllowed => "token_issuer_not_allowed",
            Self::TokenAudienceNotAllowed => "token_audience_not_allowed",
            Self::TokenClientNotAllowed => "token_client_not_allowed",
            Self::TokenClaimMissing => "token_claim_missing",
            Self::TokenClaimNotAllowed => "token_claim_not_allowed",
            Self::KeysUnavailable => "keys_unavailable",
            Self::ClientCertificateMissing => "client_certificate_missing",
            Self::ClientCertificateNotYetValid => "client_certificate_not_yet_valid",
            Self::ClientCertificateExpired => "client_certificate_expired",
            Self::ClientCertificateNotTrusted => "client_certificate_not_trusted",
            Self::ClientCertificateNotAllowed => "client_certificate_not_allowed",
            Self::CredentialsMissing => "credentials_missing",
            Self::CredentialsInvalid => "credentials_invalid",
            Self::CredentialsUnchecked => "credentials_unchecked",
            Self::HeaderNotFound => "header_not_found",
            Self::HeaderValueNotAllowed => "header_value_not_allowed",
            Self::CallerIpNotAllowed => "caller_ip_not_allowed",
            Self::CallerIpBlocked => "caller_ip_blocked",
            Self::ExternalAuthRefused => "external_auth_refused",
            Self::RateLimitExceeded => "rate_limit_exceeded",
            Self::QuotaExceeded => "quota_exceeded",
            Self::CountersUnavailable => "counters_unavailable",
            Self::ConnectionLimit => "connection_limit",
            Self::GatewayFull => "gateway_full",
            Self::HandshakeRateExceeded => "handshake_rate_exceeded",
            Self::Draining => "draining",
            Self::Blocked => "blocked",
            Self::ReturnResponse => "return_response",
            Self::ExpressionFailed => "expression_failed",
            Self::UrlNotSafe => "url_not_safe",
            Self::RequestFailed => "request_failed",
            Self::RequestTimeout => "request_timeout",
            Self::BackendAuthFailed => "backend_auth_failed",
            Self::HandshakeDeadline => "handshake_deadline",
            Self::BackendCircuitOpen => "backend_circuit_open",
            Self::BackendConnectFailed => "backend_connect_failed",
            Self::BackendProxyFailed => "backend_proxy_failed",
            Self::BackendTlsFailed => "backend_tls_failed",
            Self::BackendTimeout => "backend_timeout",
            Self::BackendInvalidHandshake => "backend_invalid_handshake",
            Self::BackendHeadTooLarge => "backend_head_too_large",
            Self::BackendRefused => "backend_refused",
            Self::ClientGone => "client_gone",
            Self::CutOff => "cut_off",
        }
    }
}

/// Who is the cause of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    Client,
    Gateway,
    Policy,
    Backend,
}

impl Origin {
    /// Log field, and `error.source` in expressions.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Gateway => "gateway",
            Self::Policy => "policy",
            Self::Backend => "backend",
        }
    }
}

/// The body of a refusal when it is not the usual JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) bytes: Bytes,
    pub(crate) extent: Extent,
}

/// Is a body here as a whole?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Extent {
    #[default]
    Whole,
    /// More of it comes from the backend while the client reads; its whole length, if that is known.
    Begins(Option<u64>),
}

/// A refused handshake.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) reason: Reason,
    pub(crate) origin: Origin,
    /// What the client reads: `{"statusCode":…,"message":…}`.
    pub(crate) message: String,
    /// For the log only; nothing secret may stand in it.
    pub(crate) detail: Option<String>,
    /// More headers of the answer.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Replaces the JSON body.
    pub(crate) body: Option<Box<Body>>,
    /// The policy step that refused: its id, or section and position.
    pub(crate) step: Option<String>,
}

impl Refusal {
    /// A refusal with the usual body and nothing else.
    pub(crate) fn new(
        status: u16,
        reason: Reason,
        origin: Origin,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            reason,
            origin,
            message: message.into(),
            detail: None,
            headers: Vec::new(),
            body: None,
            step: None,
        }
    }

    /// Adds what the log shows besides.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_documentation_lists_every_reason_and_no_other() {
        let page = include_str!("../../docs/errors.md");
        let rows = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let listed: Vec<_> = rows.collect();
        let known: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(listed, known);
        for reason in Reason::ALL {
            let row = page
                .lines()
                .find(|line| line.starts_with(&format!("| `{}`", reason.as_str())));
            let failed = row.is_some_and(|row| row.contains("*failed*"));
            assert_eq!(failed, reason.is_failure(), "{}", reason.as_str());
        }
    }

    fn text(refusal: &Refusal) -> String {
        String::from_utf8(refusal.encode()).unwrap()
    }

    #[test]
    fn the_usual_answer_is_json_and_the_end() {
        let name = HeaderName::from_static("retry-after");
        let refusal = Refusal::new(503, Reason::Draining, Origin::Gateway, "say \"no\"")
            .header(name, HeaderValue::from_static("1"))
            .detail("not for the client");
        let expected = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n\
            Retry-After: 1\r\nContent-Length: 41\r\nConnection: close\r\n\r\n\
            {\"statusCode\":503,\"message\":\"say \\\"no\\\"\"}";
        assert_eq!(text(&refusal), expected);
    }

    #[test]
    fn another_body_comes_with_its_own_type_and_our_framing() {
        let mut refusal = Refusal::new(418, Reason::BackendRefused, Origin::Backend, "");
        refusal.body = Some(Box::new(Body {
            content_type: Some(HeaderValue::from_static("text/plain")),
            bytes: Bytes::from_static(b"tea"),
            extent: Extent::Whole,
        }));
        let length = HeaderName::from_static("content-length");
        refusal
            .headers
            .push((length, HeaderValue::from_static("999")));
        let expected = "HTTP/1.1 418 I'm a teapot\r\nContent-Type: text/plain\r\n\
            Content-Length: 3\r\nConnection: close\r\n\r\ntea";
        assert_eq!(text(&refusal), expected);
    }

    /// RFC 9110 §7.8: who sends Upgrade names it in Connection; over HTTP/2 there is neither.
    #[test]
    fn upgrade_is_named_in_connection() {
        let refusal = Refusal::new(426, Reason::BackendRefused, Origin::Backend, "")
            .header(http::header::UPGRADE, HeaderValue::from_static("websocket"));
        let text = text(&refusal);
        assert!(text.contains("\r\nUpgrade: websocket\r\n"), "{text}");
        assert!(
            text.contains("\r\nConnection: close, Upgrade\r\n"),
            "{text}"
        );
        let (message, _) = refusal.message();
        assert!(!message.headers().contains_key("upgrade"));
        assert!(!message.headers().contains_key("connection"));
    }

    #[test]
    fn a_body_that_only_begins_shows_its_whole_length_or_comes_in_chunks() {
        for (extent, framing) in [
            (
                Extent::Begins(Some(9)),
                "Content-Length: 9\r\nConnection: close\r\n\r\ntea",
            ),
            (
                Extent::Begins(None),
                "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\ntea\r\n",
            ),
        ] {
            let mut refusal = Refusal::new(418, Reason::BackendRefused, Origin::Backend, "");
            refusal.body = Some(Box::new(Body {
                content_type: None,
                bytes: Bytes::from_static(b"tea"),
                extent,
            }));
            assert_eq!(refusal.extent(), extent);
            let text = text(&refusal);
            assert!(text.ends_with(framing), "{text}");
            let (message, _) = refusal.message();
            let length = message.headers().get("content-length");
            let told = (extent == Extent::Begins(Some(9))).then_some("9");
            assert_eq!(length.map(|value| value.to_str().unwrap()), told);
            refusal.status = 304;
            assert_eq!(refusal.extent(), Extent::Whole, "a 304 has no body");
        }
    }

    #[test]
    fn labels_are_unique_and_in_snake_case() {
        let labels: HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(labels.len(), Reason::ALL.len());
        let snake = |label: &&str| label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(labels.iter().all(snake));
    }
}

//! The refusal of a handshake: status, reason, origin and body of the answer.
//!
//! A refusal is a regular result of a handshake, not an error. Its reason is a closed enum: metric
//! label, log field and row of the table in `docs/errors.md`.

mod answer;

pub(crate) use answer::{LAST_CHUNK, put_chunk};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};

/// Defines [`Reason`] from one table: variant and label.
macro_rules! reasons {
    ($($reason:ident => $label:literal,)+) => {
        /// Why a handshake was refused. Closed: every value is a metric label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum Reason {
            $($reason,)+
        }

        impl Reason {
            /// All reasons, in the order of the documentation.
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$reason,)+];

            /// Label and log field.
            pub(crate) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$reason => $label,)+
                }
            }
        }
    };
}

reasons! {
    InvalidRequest => "invalid_request",
    InvalidUpgrade => "invalid_upgrade",
    UnsupportedVersion => "unsupported_version",
    HeadTooLarge => "head_too_large",
    UrlTooLong => "url_too_long",
    HandshakeTimeout => "handshake_timeout",
    ProxyHeaderInvalid => "proxy_header_invalid",
    TlsFailed => "tls_failed",
    Misdirected => "misdirected",
    RouteNotFound => "route_not_found",
    SchemeNotAllowed => "scheme_not_allowed",
    LoopDetected => "loop_detected",
    OriginNotAllowed => "origin_not_allowed",
    SubprotocolNotAllowed => "subprotocol_not_allowed",
    SubscriptionKeyMissing => "subscription_key_missing",
    SubscriptionKeyInvalid => "subscription_key_invalid",
    TokenMissing => "token_missing",
    TokenInvalid => "token_invalid",
    TokenExpired => "token_expired",
    TokenNotYetValid => "token_not_yet_valid",
    TokenSignatureInvalid => "token_signature_invalid",
    TokenIssuerNotAllowed => "token_issuer_not_allowed",
    TokenAudienceNotAllowed => "token_audience_not_allowed",
    TokenClientNotAllowed => "token_client_not_allowed",
    TokenClaimMissing => "token_claim_missing",
    TokenClaimNotAllowed => "token_claim_not_allowed",
    KeysUnavailable => "keys_unavailable",
    ClientCertificateMissing => "client_certificate_missing",
    ClientCertificateNotYetValid => "client_certificate_not_yet_valid",
    ClientCertificateExpired => "client_certificate_expired",
    ClientCertificateNotTrusted => "client_certificate_not_trusted",
    ClientCertificateNotAllowed => "client_certificate_not_allowed",
    CredentialsMissing => "credentials_missing",
    CredentialsInvalid => "credentials_invalid",
    CredentialsUnchecked => "credentials_unchecked",
    HeaderNotFound => "header_not_found",
    HeaderValueNotAllowed => "header_value_not_allowed",
    CallerIpNotAllowed => "caller_ip_not_allowed",
    CallerIpBlocked => "caller_ip_blocked",
    ExternalAuthRefused => "external_auth_refused",
    RateLimitExceeded => "rate_limit_exceeded",
    QuotaExceeded => "quota_exceeded",
    CountersUnavailable => "counters_unavailable",
    ConnectionLimit => "connection_limit",
    GatewayFull => "gateway_full",
    HandshakeRateExceeded => "handshake_rate_exceeded",
    Draining => "draining",
    Blocked => "blocked",
    ReturnResponse => "return_response",
    ExpressionFailed => "expression_failed",
    UrlNotSafe => "url_not_safe",
    RequestFailed => "request_failed",
    RequestTimeout => "request_timeout",
    BackendAuthFailed => "backend_auth_failed",
    HandshakeDeadline => "handshake_deadline",
    BackendCircuitOpen => "backend_circuit_open",
    BackendConnectFailed => "backend_connect_failed",
    BackendProxyFailed => "backend_proxy_failed",
    BackendTlsFailed => "backend_tls_failed",
    BackendTimeout => "backend_timeout",
    BackendInvalidHandshake => "backend_invalid_handshake",
    BackendHeadTooLarge => "backend_head_too_large",
    BackendRefused => "backend_refused",
    ClientGone => "client_gone",
    CutOff => "cut_off",
}

impl Reason {
    /// Is it a failure, not a decision to refuse?
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
        for &reason in Reason::ALL {
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

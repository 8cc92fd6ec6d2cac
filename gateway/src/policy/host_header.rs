//! `backend.hostHeader`: the Host header that the backend gets instead of its own name.

use tidegate_expr::{CompileError, Stage};

use super::expression::{Text, expression_failed};
use crate::exchange::Exchange;
use crate::head::host_of;
use crate::refusal::Refusal;

/// Longest rendered text that the log shows.
const MAX_SHOWN: usize = 64;

/// Where a refusal says it comes from.
const STEP: &str = "backend.hostHeader";

/// Why a text cannot be a Host header.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidHostHeader {
    #[error("backend.hostHeader")]
    Template(#[source] CompileError),
    #[error("backend.hostHeader is neither host nor host:port")]
    Value,
}

/// The template, compiled.
#[derive(Clone, Debug)]
pub(crate) struct HostHeader(Text);

impl HostHeader {
    /// # Errors
    /// [`InvalidHostHeader`]: the text is not a Host header, or its template does not compile.
    pub(crate) fn compile(source: &str) -> Result<Self, InvalidHostHeader> {
        let text = Text::compile(source, Stage::Inbound).map_err(InvalidHostHeader::Template)?;
        match text.literal().map(host_of) {
            Some(None) => Err(InvalidHostHeader::Value),
            _ => Ok(Self(text)),
        }
    }

    /// The text, when it is the same for every handshake.
    pub(crate) fn literal(&self) -> Option<&str> {
        self.0.literal()
    }

    /// The value for this handshake. What gives the client's host gets the client's port as well:
    /// a backend that compares Origin with Host compares both.
    pub(super) fn render(&self, exchange: &mut Exchange) -> Result<String, Refusal> {
        let text = self.0.render(exchange).map_err(|mut refusal| {
            refusal.step = Some(STEP.to_owned());
            refusal
        })?;
        let Some(host) = host_of(&text) else {
            let shown = exchange.masked(&text);
            let shown: String = shown.escape_debug().take(MAX_SHOWN).collect();
            let detail = format!("{STEP} gave \"{shown}\", which is neither host nor host:port");
            let mut refusal = expression_failed(detail);
            refusal.step = Some(STEP.to_owned());
            return Err(refusal);
        };
        let names_no_port = host.len() == text.trim_end_matches('.').len();
        if names_no_port && host == exchange.host {
            return Ok(exchange.authority());
        }
        Ok(text.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use http::header::HOST;

    use super::*;
    use crate::policy::tests::exchange;
    use crate::refusal::Reason;

    /// The Host header for a client that asks for `host`.
    fn rendered(template: &str, host: &str) -> Result<String, Refusal> {
        let mut exchange = exchange(&[("x-tenant", "blue")]);
        exchange.host = host_of(host).unwrap();
        exchange.request.headers.insert(HOST, host.parse().unwrap());
        HostHeader::compile(template).unwrap().render(&mut exchange)
    }

    #[test]
    fn the_clients_host_comes_with_its_port() {
        for (name, template, host, expected) in [
            (
                "with a port",
                "${request.host}",
                "lab.example:8443",
                "lab.example:8443",
            ),
            ("without", "${request.host}", "lab.example", "lab.example"),
            (
                "in another case",
                "${request.host}",
                "Lab.Example:81",
                "lab.example:81",
            ),
            ("an address", "${request.host}", "[::1]:81", "[::1]:81"),
            (
                "an empty port",
                "${request.host}",
                "lab.example:",
                "lab.example",
            ),
            (
                "the authority",
                "${request.authority}",
                "lab.example:81",
                "lab.example:81",
            ),
            (
                "as it was sent",
                "${request.header('Host')}",
                "Lab.example:81",
                "Lab.example:81",
            ),
            (
                "another port",
                "${request.host}:9000",
                "lab.example:81",
                "lab.example:9000",
            ),
            (
                "another host",
                "${request.header('X-Tenant')}.int",
                "lab.example:81",
                "blue.int",
            ),
            (
                "part of the host",
                "${request.host}.int",
                "lab.example:81",
                "lab.example.int",
            ),
            ("literal", "lab.example", "other.example:81", "lab.example"),
        ] {
            assert_eq!(rendered(template, host).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused_with_a_reason() {
        for (template, shown) in [
            ("${request.header('X-Missing')}", "gave \"\""),
            ("${request.header('X-Tenant')} x", "gave \"blue x\""),
            ("a${'\\r\\n'}X-Admin: 1", "gave \"a\\r\\nX-Admin: 1\""),
            ("${request.host}:99999", "gave \"lab.example:99999\""),
            ("https://${request.host}/", "gave \"https://lab.example/\""),
            ("${vars.missing.x}", ""),
        ] {
            let refusal = rendered(template, "lab.example").expect_err(template);
            let (status, reason) = (refusal.status, refusal.reason);
            assert_eq!(
                (status, reason),
                (500, Reason::ExpressionFailed),
                "{template}"
            );
            assert_eq!(refusal.step.as_deref(), Some("backend.hostHeader"));
            let detail = refusal.detail.unwrap_or_default();
            assert!(detail.contains(shown), "{template}: {detail}");
            assert_eq!(refusal.message, "Internal server error");
        }
    }

    #[test]
    fn what_never_was_a_host_is_not_compiled() {
        for bad in [
            "",
            "a b",
            "a\r\nb",
            "a:b",
            "a/b",
            "${request.nothing}",
            "${",
            "${response.status}",
        ] {
            assert!(HostHeader::compile(bad).is_err(), "{bad:?}");
        }
    }
}

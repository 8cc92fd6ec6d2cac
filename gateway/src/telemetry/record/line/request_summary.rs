//! What of a request may stand in a line.

use http::header::USER_AGENT;

use crate::head::RequestHead;

/// Longest text from a client in a line; more says nothing more.
const LONGEST_TEXT: usize = 1024;

/// What a line says of a request.
#[derive(Debug, Default)]
pub(in crate::telemetry::record) struct RequestSummary {
    /// Version.
    pub(super) http: Option<&'static str>,
    method: String,
    host: String,
    path: String,
    /// Names kept, values masked.
    pub(super) query: Option<String>,
    pub(super) user_agent: Option<String>,
}

impl RequestSummary {
    pub(in crate::telemetry::record) fn method(&self) -> &str {
        &self.method
    }

    pub(in crate::telemetry::record) fn host(&self) -> &str {
        &self.host
    }

    pub(in crate::telemetry::record) fn path(&self) -> &str {
        &self.path
    }

    pub(in crate::telemetry::record) fn of(head: &RequestHead) -> Self {
        let user_agent = head.headers.get(USER_AGENT);
        Self {
            http: Some(head.version.as_str()),
            method: head.method.as_str().to_owned(),
            host: text(head.host.as_bytes()),
            path: text(head.path.as_bytes()),
            query: head.raw_query.as_deref().map(masked),
            user_agent: user_agent.map(|value| text(value.as_bytes())),
        }
    }
}

/// A query with `***` for each value.
fn masked(query: &str) -> String {
    let mut out = String::new();
    for part in query.split('&') {
        if out.len() > LONGEST_TEXT {
            break;
        }
        if !out.is_empty() {
            out.push('&');
        }
        // A part without `=` may be a value as well as a name.
        match part.split_once('=') {
            Some((name, _)) => {
                out.push_str(&text(name.as_bytes()));
                out.push_str("=***");
            }
            None if part.is_empty() => {}
            None => out.push_str("***"),
        }
    }
    out
}

/// What a client sent, as text of bounded length.
pub(super) fn text(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(LONGEST_TEXT)];
    String::from_utf8_lossy(cut).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_keeps_its_names_and_hides_its_values() {
        for (query, expected) in [
            ("", ""),
            ("a=1&b=&c", "a=***&b=***&***"),
            ("a=1=2&&x%20y=z", "a=***&&x%20y=***"),
        ] {
            assert_eq!(masked(query), expected, "{query}");
        }
        let long = "name=value&".repeat(1000);
        assert!(masked(&long).len() < 2 * LONGEST_TEXT);
    }
}

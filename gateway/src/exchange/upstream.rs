//! What the backend gets: its address and the headers of its handshake.

use http::HeaderMap;

use super::Query;
use crate::dial::BackendUrl;

/// The backend's handshake as it will be sent.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    /// Where to: scheme, host, port and path. Its query is in `query`.
    pub(crate) target: BackendUrl,
    pub(crate) query: Query,
    /// End-to-end headers only: whoever builds this left out those that end at the gateway, by our
    /// own list. What the client's Connection header names stays: it can not name anything away.
    pub(crate) headers: HeaderMap,
    /// Host header instead of the target's authority.
    pub(crate) host_header: Option<String>,
    /// What a prefix route leaves of the client's path; goes to the end of the target's.
    remainder: String,
    redirected: bool,
}

impl Upstream {
    /// The handshake to `target`, with the client's raw query (already without its key), the rest of
    /// its path behind the route (empty or with a leading `/`) and its end-to-end headers.
    pub(crate) fn new(
        target: &BackendUrl,
        client_query: Option<&str>,
        remainder: &str,
        headers: HeaderMap,
    ) -> Self {
        Self {
            query: Query::new(target.query.as_deref(), client_query),
            target: with_remainder(target.clone(), remainder),
            headers,
            host_header: None,
            remainder: remainder.to_owned(),
            redirected: false,
        }
    }

    /// Another backend. What belongs to the API's own backend, its Host header, does not go there.
    pub(crate) fn redirect(&mut self, target: BackendUrl) {
        self.query.set_own(target.query.as_deref());
        self.target = with_remainder(target, &self.remainder);
        self.host_header = None;
        self.redirected = true;
    }

    /// Another member of the pool: scheme, host and port. Path and query are the same for all.
    pub(crate) fn relocate(&mut self, member: &BackendUrl) {
        self.target.scheme = member.scheme;
        self.target.host.clone_from(&member.host);
        self.target.port = member.port;
    }

    /// Another path; its query's parameters replace those of the same name.
    pub(crate) fn rewrite(&mut self, path: &str, query: Option<&str>, keep_query: bool) {
        path.clone_into(&mut self.target.path);
        self.query.rewrite(query, keep_query);
    }

    /// Did a policy choose another backend than the API's?
    pub(crate) fn is_redirected(&self) -> bool {
        self.redirected
    }

    /// The request target: path and query.
    pub(crate) fn path_and_query(&self) -> String {
        match self.query.raw() {
            Some(query) => format!("{}?{query}", self.target.path),
            None => self.target.path.clone(),
        }
    }
}

fn with_remainder(mut target: BackendUrl, remainder: &str) -> BackendUrl {
    if !remainder.is_empty() {
        target
            .path
            .truncate(target.path.trim_end_matches('/').len());
        target.path.push_str(remainder);
    }
    target.query = None;
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> BackendUrl {
        BackendUrl::parse(text).unwrap()
    }

    #[test]
    fn path_and_query_are_the_backends_then_the_clients() {
        for (name, backend, query, remainder, expected) in [
            ("exact", "ws://a/b", Some("x=%20"), "", "/b?x=%20"),
            (
                "both queries",
                "ws://a/b?k=1",
                Some("x=1"),
                "",
                "/b?k=1&x=1",
            ),
            ("prefix", "ws://a/b/", None, "/c/d", "/b/c/d"),
            ("prefix at the root", "ws://a", None, "/c", "/c"),
            ("empty query", "ws://a/b", Some(""), "", "/b"),
        ] {
            let upstream = Upstream::new(&url(backend), query, remainder, HeaderMap::new());
            assert_eq!(upstream.path_and_query(), expected, "{name}");
        }
    }

    #[test]
    fn another_backend_keeps_the_clients_part() {
        let mut upstream = Upstream::new(&url("ws://a/b?k=1"), Some("x=1"), "/c", HeaderMap::new());
        upstream.host_header = Some("virtual".to_owned());
        upstream.redirect(url("wss://z/y?q=2"));
        assert_eq!(upstream.path_and_query(), "/y/c?q=2&x=1");
        assert_eq!(upstream.target.authority(), "z");
        assert!(upstream.is_redirected() && upstream.host_header.is_none());
    }
}

//! What the backend gets: its address and the headers of its handshake.

use std::time::SystemTime;

use http::HeaderMap;
use tidegate_config::UrlScheme;

use super::Query;
use crate::credentials::aws::{CannotSign, Signing};
use crate::exchange::BackendUrl;

/// The backend's handshake as it will be sent.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    /// Scheme, host, port and path; the query is in `query`.
    pub(crate) target: BackendUrl,
    pub(crate) query: Query,
    /// End-to-end headers only, without the fixed list of headers that end at the gateway. Headers that the
    /// client's Connection header names stay: a client cannot remove a header that a policy sets.
    pub(crate) headers: HeaderMap,
    /// Host header instead of the target's authority.
    pub(crate) host_header: Option<String>,
    /// The client's path behind a prefix route; appended to the target's path.
    remainder: String,
    destination: Destination,
    /// The API's own backend, while another one was chosen.
    own: Option<Box<OwnBackend>>,
    /// Signs the handshake with whichever backend is asked.
    pub(crate) signing: Option<Signing>,
}

/// Which backend is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// The member that the pool chooses.
    Pool,
    /// This member of the pool.
    Member(usize),
    /// A backend that a policy named, which is not the API's.
    Elsewhere,
}

/// The API's own backend while a policy chose another one.
#[derive(Clone, Debug)]
struct OwnBackend {
    target: BackendUrl,
    query: Vec<String>,
    host_header: Option<String>,
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
            destination: Destination::Pool,
            own: None,
            signing: None,
        }
    }

    /// Signs the handshake with the present target, if a policy says so.
    ///
    /// # Errors
    /// [`CannotSign`]: the target is not what a signature can be for.
    pub(crate) fn sign(&mut self, now: SystemTime) -> Result<(), CannotSign> {
        let Some(signing) = &self.signing else {
            return Ok(());
        };
        let host = match &self.host_header {
            Some(host) => host.clone(),
            None => self.target.authority(),
        };
        let target = self.path_and_query();
        signing.sign((&host, &target), &mut self.headers, now)
    }

    /// Another backend. What belongs to the API's own backend, its Host header, does not go there.
    pub(crate) fn redirect(&mut self, target: BackendUrl) {
        let query = self.query.set_own(target.query.as_deref());
        let target = with_remainder(target, &self.remainder);
        let target = std::mem::replace(&mut self.target, target);
        let host_header = self.host_header.take();
        if self.destination != Destination::Elsewhere {
            self.own = Some(Box::new(OwnBackend {
                target,
                query,
                host_header,
            }));
        }
        self.destination = Destination::Elsewhere;
    }

    /// Selects a member of the API's pool, and undoes an earlier choice of another backend.
    pub(crate) fn select(&mut self, member: usize) {
        if let Some(own) = self.own.take() {
            self.query.restore_own(own.query);
            self.target = own.target;
            self.host_header = own.host_header;
        }
        self.destination = Destination::Member(member);
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

    /// Which backend is asked: the API's pool, unless a policy chose.
    pub(crate) fn destination(&self) -> Destination {
        self.destination
    }

    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> String {
        let scheme = match self.target.scheme {
            UrlScheme::Ws => "ws",
            UrlScheme::Wss => "wss",
        };
        format!("{scheme}://{}", self.target.authority())
    }

    /// Bytes of URL and headers, roughly.
    pub(crate) fn size(&self) -> usize {
        let fields = self.headers.iter();
        let fields = fields.map(|(name, value)| name.as_str().len() + value.len());
        let target = &self.target;
        target.host.len() + target.path.len() + self.query.size() + fields.sum::<usize>()
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
        assert_eq!(upstream.destination(), Destination::Elsewhere);
        assert_eq!(upstream.host_header, None);
    }

    #[test]
    fn a_member_after_another_backend_is_asked_as_if_there_had_been_none() {
        let mut upstream = Upstream::new(&url("ws://a/b?k=1"), Some("x=1"), "/c", HeaderMap::new());
        upstream.host_header = Some("virtual".to_owned());
        upstream.redirect(url("wss://z/y?q=2"));
        upstream.redirect(url("wss://zz/"));
        upstream.select(1);
        assert_eq!(upstream.destination(), Destination::Member(1));
        assert_eq!(upstream.path_and_query(), "/b/c?k=1&x=1");
        assert_eq!(upstream.target.authority(), "a");
        assert_eq!(upstream.host_header.as_deref(), Some("virtual"));
    }
}

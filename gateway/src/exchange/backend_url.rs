//! Addresses of backends: `ws://` and `wss://` URLs, parsed once.

use tidegate_config::UrlScheme;

/// A backend's URL in parts; path and query stay as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackendUrl {
    pub(crate) scheme: UrlScheme,
    /// Name or address, lower case, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// With a leading `/`.
    pub(crate) path: String,
    /// Without the `?`.
    pub(crate) query: Option<String>,
}

/// Why a text is not the URL of a backend.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum InvalidBackendUrl {
    #[error("not a URL")]
    Malformed(#[source] ::url::ParseError),
    #[error("the scheme must be ws or wss, not {0}")]
    Scheme(String),
    #[error("the URL has no host")]
    Host,
    #[error("the URL must not carry user name or password")]
    Credentials,
    #[error("the URL must not have a fragment")]
    Fragment,
}

impl BackendUrl {
    /// Parses `text`.
    ///
    /// # Errors
    /// [`InvalidBackendUrl`]: why the text is not the URL of a backend.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidBackendUrl> {
        let url = ::url::Url::parse(text).map_err(InvalidBackendUrl::Malformed)?;
        let (scheme, default_port) = match url.scheme() {
            "ws" => (UrlScheme::Ws, 80),
            "wss" => (UrlScheme::Wss, 443),
            other => return Err(InvalidBackendUrl::Scheme(other.to_owned())),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidBackendUrl::Credentials);
        }
        if url.fragment().is_some() {
            return Err(InvalidBackendUrl::Fragment);
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or(InvalidBackendUrl::Host)?;
        Ok(Self {
            scheme,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(default_port),
            path: url.path().to_owned(),
            query: url.query().map(str::to_owned),
        })
    }

    /// Value of the Host header: the port only where it is not the scheme's own.
    pub(crate) fn authority(&self) -> String {
        let default_port = match self.scheme {
            UrlScheme::Ws => 80,
            UrlScheme::Wss => 443,
        };
        let (open, close) = if self.host.contains(':') {
            ("[", "]")
        } else {
            ("", "")
        };
        if self.port == default_port {
            format!("{open}{}{close}", self.host)
        } else {
            format!("{open}{}{close}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_fall_into_parts() {
        let url = BackendUrl::parse("wss://Chat.Example.com/a%2Fb?x=1&y").unwrap();
        assert_eq!(url.host, "chat.example.com");
        assert_eq!((url.port, url.scheme), (443, UrlScheme::Wss));
        assert_eq!(
            (url.path.as_str(), url.query.as_deref()),
            ("/a%2Fb", Some("x=1&y"))
        );
        assert_eq!(url.authority(), "chat.example.com");
        let url = BackendUrl::parse("ws://[::1]:8080").unwrap();
        assert_eq!((url.host.as_str(), url.path.as_str()), ("::1", "/"));
        assert_eq!(url.authority(), "[::1]:8080");
    }

    #[test]
    fn what_is_no_backend_says_why() {
        use InvalidBackendUrl as Why;
        let cases = [
            ("http://a", Why::Scheme("http".to_owned())),
            ("ws://u@a", Why::Credentials),
            ("ws://a/#f", Why::Fragment),
        ];
        for (text, why) in cases {
            assert_eq!(BackendUrl::parse(text), Err(why), "{text}");
        }
        assert!(BackendUrl::parse("no url").is_err());
    }
}

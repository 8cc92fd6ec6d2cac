//! URLs of backends, which resources and policies name.

use tidegate_config::check_url;
use url::Url;

use crate::problem::Problem;

/// A `ws://` or `wss://` URL without user, password and fragment.
pub(crate) fn check_backend_url(text: &str) -> Result<(), Problem> {
    let refuse = |what: &str| Err(Problem::invalid(format!("\"{text}\" {what}")));
    let Ok(url) = Url::parse(text) else {
        return refuse("is not a URL");
    };
    if !matches!(url.scheme(), "ws" | "wss") {
        return refuse("must begin with ws:// or wss://");
    }
    // The parser takes `ws:///path` for the host "path".
    if url.host_str().is_none_or(str::is_empty) || text.contains(":///") {
        return refuse("has no host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        // It would be sent to nobody and stand in logs.
        return Err(Problem::invalid(
            "the URL must not contain a user or password: use setHeader with a secret value",
        ));
    }
    if url.fragment().is_some() {
        return refuse("must not have a fragment (RFC 6455 §3)");
    }
    check_url(text, &[])
        .map_err(|why| Problem::invalid(format!("\"{text}\" cannot be used: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_backends() {
        for good in [
            "ws://chat",
            "wss://chat.example:8443/hub?room=1",
            "ws://[2001:db8::1]:80/",
        ] {
            assert_eq!(check_backend_url(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "chat",
            "http://chat",
            "ws://",
            "ws:///path",
            "ws://user:secret@chat",
            "ws://chat/#part",
            "ws://chat:99999",
            "ws://chat/a/../b",
            "ws://chat/a/%2e%2e;x/b",
            "ws://chat\\b",
            "ws://chat/a\tb",
            " ws://chat",
        ] {
            assert!(check_backend_url(bad).is_err(), "{bad}");
        }
        let refused = check_backend_url("ws://user:secret@chat").unwrap_err();
        assert!(!refused.message.contains("secret@"), "{refused:?}");
    }
}

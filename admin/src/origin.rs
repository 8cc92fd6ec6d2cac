//! Refuses requests that a page in a browser sends.
//!
//! A browser on a machine that reaches an admin port, for example through `kubectl port-forward`, runs
//! pages of any site. A page can send simple requests without a preflight (CSRF), and with a host name
//! that it resolves to the loopback address it can read the answers too (DNS rebinding).

use std::net::IpAddr;

use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Uri};

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrowserRequest {
    /// It has an `Origin`, or its `Sec-Fetch-Site` says that a page sent it.
    Page,
    /// Its `Host` is a name that anybody's DNS could resolve to this server.
    Host,
}

impl BrowserRequest {
    /// The body of the answer.
    pub fn text(self) -> &'static str {
        match self {
            Self::Page => {
                "requests from pages in browsers are refused: send no Origin, and no Sec-Fetch-Site but none\n"
            }
            Self::Host => "the Host must be an IP address or localhost\n",
        }
    }
}

/// Refuses what a page in a browser sends. Fetch §3.1: browsers send `Origin` with everything but simple
/// reads. Fetch Metadata §2.3: `Sec-Fetch-Site: none` is a request that the user made, not a page.
///
/// # Errors
///
/// [`BrowserRequest::Page`] when there is an `Origin`, or a `Sec-Fetch-Site` other than `none`.
pub fn refuse_pages(headers: &HeaderMap) -> Result<(), BrowserRequest> {
    let mut sites = headers.get_all("sec-fetch-site").iter();
    if headers.contains_key(ORIGIN) || sites.any(|site| site != "none") {
        return Err(BrowserRequest::Page);
    }
    Ok(())
}

/// Refuses host names that anybody's DNS could resolve to this server. What remains are IP addresses and
/// `localhost`, which browsers never look up (RFC 6761 §6.3).
///
/// # Errors
///
/// [`BrowserRequest::Host`] when there is not exactly one `Host`, or when it or the authority of `uri` is
/// another name.
pub fn refuse_rebound_hosts(headers: &HeaderMap, uri: &Uri) -> Result<(), BrowserRequest> {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(BrowserRequest::Host);
    };
    let host = Authority::try_from(host.as_bytes()).map_err(|_| BrowserRequest::Host)?;
    let is_safe = is_safe(&host) && uri.authority().is_none_or(is_safe);
    is_safe.then_some(()).ok_or(BrowserRequest::Host)
}

fn is_safe(authority: &Authority) -> bool {
    let host = authority.host();
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    literal.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

/// Is the `Content-Type` JSON? A page cannot send that to another site without a preflight.
pub fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = only.to_str().ok().and_then(|text| text.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_static(name);
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn requests_of_pages_are_told_from_those_of_users() {
        for (fields, from_page) in [
            (&[][..], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("origin", "https://evil.example")], true),
            (&[("origin", "null")], true),
            (&[("origin", "http://127.0.0.1:9090")], true),
            (&[("sec-fetch-site", "cross-site")], true),
            (&[("sec-fetch-site", "same-site")], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none"), ("sec-fetch-site", "x")], true),
        ] {
            let refused = refuse_pages(&headers(fields)).is_err();
            assert_eq!(refused, from_page, "{fields:?}");
        }
    }

    #[test]
    fn only_hosts_that_nobody_can_rebind_are_answered() {
        let uri = |text: &'static str| Uri::from_static(text);
        for (hosts, target, safe) in [
            (&["127.0.0.1:9090"][..], "/config", true),
            (&["10.1.2.3"], "/config", true),
            (&["[::1]:9090"], "/config", true),
            (&["localhost:9090"], "/config", true),
            (&["LocalHost."], "/config", true),
            (&["edge.localhost:9090"], "/config", true),
            (&["evil.example:9090"], "/config", false),
            (&["localhost.evil.example"], "/config", false),
            (&["127.0.0.1.evil.example"], "/config", false),
            (&["notlocalhost"], "/config", false),
            (&["edge.shop.svc"], "/config", false),
            (&["2130706433"], "/config", false),
            (&[""], "/config", false),
            (&[], "/config", false),
            (&["127.0.0.1", "evil.example"], "/config", false),
            (&["127.0.0.1"], "http://evil.example/config", false),
            (&["127.0.0.1"], "http://127.0.0.1:9090/config", true),
        ] {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, HeaderValue::from_static(host));
            }
            let found = refuse_rebound_hosts(&headers, &uri(target)).is_ok();
            assert_eq!(found, safe, "{hosts:?} {target}");
        }
    }

    #[test]
    fn json_needs_to_be_called_json() {
        for (fields, json) in [
            (&[("content-type", "application/json")][..], true),
            (&[("content-type", "Application/JSON; charset=utf-8")], true),
            (&[("content-type", "text/plain")], false),
            (&[("content-type", "text/plain;application/json")], false),
            (
                &[("content-type", "application/x-www-form-urlencoded")],
                false,
            ),
            (
                &[
                    ("content-type", "application/json"),
                    ("content-type", "text/plain"),
                ],
                false,
            ),
            (&[], false),
        ] {
            assert_eq!(is_json(&headers(fields)), json, "{fields:?}");
        }
    }
}

//! Where a request comes from: not from a page in a browser.
//!
//! A browser on a machine that reaches an admin port, through `kubectl port-forward` for example, runs
//! pages of anybody. They can post what is sent without asking first, and a name that they make lead
//! to the loopback address (DNS rebinding) makes them read the answers as well.

use std::net::IpAddr;

use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Uri};

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromPage {
    /// It has an Origin, or says that a page made it.
    Page,
    /// It was sent to a name that could lead anywhere.
    Name,
}

impl FromPage {
    /// For whoever asked.
    pub fn text(self) -> &'static str {
        match self {
            Self::Page => "pages in browsers are not answered: no Origin, Sec-Fetch-Site none\n",
            Self::Name => "ask by an address or as localhost: no other Host is answered\n",
        }
    }
}

/// Refuses what a page in a browser sends. Fetch §3.1: Origin is there for everything but simple
/// reads; Fetch Metadata §2.3: `none` is a person's own.
pub fn not_from_a_page(headers: &HeaderMap) -> Result<(), FromPage> {
    let mut sites = headers.get_all("sec-fetch-site").iter();
    if headers.contains_key(ORIGIN) || sites.any(|site| site != "none") {
        return Err(FromPage::Page);
    }
    Ok(())
}

/// Refuses names that somebody's DNS could make lead here: what remains are addresses and
/// `localhost`, which browsers never ask anybody for (RFC 6761 §6.3).
pub fn named_safely(headers: &HeaderMap, uri: &Uri) -> Result<(), FromPage> {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(FromPage::Name);
    };
    let host = Authority::try_from(host.as_bytes()).map_err(|_| FromPage::Name)?;
    let is_safe = is_safe(&host) && uri.authority().is_none_or(is_safe);
    is_safe.then_some(()).ok_or(FromPage::Name)
}

fn is_safe(authority: &Authority) -> bool {
    let host = authority.host();
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    literal.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

/// Does it say that its body is JSON? A page cannot send that elsewhere without asking first.
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
    fn what_a_page_sends_is_told_from_what_a_person_sends() {
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
            let refused = not_from_a_page(&headers(fields)).is_err();
            assert_eq!(refused, from_page, "{fields:?}");
        }
    }

    #[test]
    fn only_names_that_nobody_can_give_away_are_answered() {
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
            let found = named_safely(&headers, &uri(target)).is_ok();
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

//! Converts an HTTP/2 request to a request head. Pure.

use http::header::{COOKIE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};

use super::parse::{MAX_FIELDS, check_single, host, is_web_scheme, malformed, split_target};
use super::{HeadLimits, InvalidHead, RequestHead, Version};

/// What a field line of HTTP/1.1 has besides name and value: a colon, a space, a line end.
const LINE_REST: usize = 4;

/// The head, within the limits that hold for HTTP/1.1.
///
/// # Errors
/// [`InvalidHead`]: the request is not valid or exceeds a limit.
pub(crate) fn from_http2(request: Parts, limits: HeadLimits) -> Result<RequestHead, InvalidHead> {
    let Parts {
        method,
        uri,
        mut headers,
        extensions,
        ..
    } = request;
    let protocol = extensions.get::<h2::ext::Protocol>();
    let websocket = protocol.is_some_and(|protocol| protocol.as_str() == "websocket");
    let target = uri.path_and_query().map(|target| target.as_str());
    // An ordinary CONNECT has none (RFC 9113 §8.5).
    let target = target.filter(|target| target.starts_with('/'));
    let target = target.ok_or(malformed("the request target is not a path"))?;
    if target.len() > limits.url_bytes {
        return Err(InvalidHead::UrlTooLong);
    }
    check_size(&headers, limits)?;
    check_single(&headers)?;
    // The library takes an empty one for valid; HTTP/1.1 has the same rule for absolute targets.
    if uri
        .scheme_str()
        .is_some_and(|scheme| !is_web_scheme(scheme))
    {
        return Err(malformed("the scheme is not of the web"));
    }
    let authority = uri.authority().map(http::uri::Authority::as_str);
    if let Some(authority) = authority.filter(|_| !headers.contains_key(HOST)) {
        let value = HeaderValue::from_str(authority);
        headers.insert(HOST, value.map_err(|_| malformed("the host is not valid"))?);
    }
    join_cookies(&mut headers)?;
    let (_, path, raw_query) = split_target(target)?;
    Ok(RequestHead {
        // That is what the handshake would be, and is towards the backend (RFC 8441 §5).
        method: if websocket { Method::GET } else { method },
        path: path.to_owned(),
        raw_query: raw_query.map(str::to_owned),
        version: Version::Http2 { websocket },
        host: host(authority, &headers)?,
        headers,
    })
}

fn check_size(headers: &HeaderMap, limits: HeadLimits) -> Result<(), InvalidHead> {
    let line = |(name, value): (&http::HeaderName, &HeaderValue)| {
        name.as_str().len() + value.len() + LINE_REST
    };
    let size: usize = headers.iter().map(line).sum();
    if headers.len() > MAX_FIELDS {
        return Err(InvalidHead::TooManyFields);
    }
    if size > limits.header_bytes {
        return Err(InvalidHead::TooLarge);
    }
    Ok(())
}

/// Clients of HTTP/2 may send each cookie as a field of its own; servers of HTTP/1.1 want one
/// (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) -> Result<(), InvalidHead> {
    let lines = headers.get_all(COOKIE);
    if lines.iter().count() > 1 {
        let lines: Vec<&[u8]> = lines.iter().map(HeaderValue::as_bytes).collect();
        let joined = HeaderValue::from_maybe_shared(lines.join(&b"; "[..]));
        headers.insert(
            COOKIE,
            joined.map_err(|_| malformed("a cookie is not valid"))?,
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const LIMITS: HeadLimits = HeadLimits {
        header_bytes: 200,
        url_bytes: 40,
    };

    fn request(uri: &str, fields: &[(&'static str, &str)]) -> Parts {
        let mut request = Request::builder().method("CONNECT").uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        let protocol = h2::ext::Protocol::from_static("websocket");
        request.extensions_mut().insert(protocol);
        request.into_parts().0
    }

    #[test]
    fn an_extended_connect_is_read_as_a_handshake() {
        let fields = [("cookie", "a=b"), ("cookie", "c=d"), ("x-user", "u")];
        let head = request("https://Edge.test:81/chat?a=%2f", &fields);
        let head = from_http2(head, LIMITS).unwrap();
        assert_eq!(head.version, Version::Http2 { websocket: true });
        assert_eq!(head.method, Method::GET);
        assert_eq!(
            (head.path.as_str(), head.host.as_str()),
            ("/chat", "edge.test")
        );
        assert_eq!(head.raw_query.as_deref(), Some("a=%2f"));
        assert_eq!(head.headers["host"], "Edge.test:81");
        let cookies: Vec<_> = head.headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=b; c=d"]);
    }

    #[test]
    fn other_protocols_are_ordinary_requests() {
        let mut head = request("https://edge.test/chat", &[]);
        let udp = h2::ext::Protocol::from_static("connect-udp");
        head.extensions.insert(udp);
        let head = from_http2(head, LIMITS).unwrap();
        assert_eq!(head.version, Version::Http2 { websocket: false });
        assert_eq!(head.method, Method::CONNECT);
    }

    #[test]
    fn what_http_1_refuses_is_refused() {
        let long = "x".repeat(200);
        let url = format!("https://edge.test/{}", "x".repeat(40));
        for (name, uri, fields, expected) in [
            (
                "ordinary CONNECT",
                "edge.test:443",
                vec![],
                malformed("the request target is not a path"),
            ),
            (
                "no host",
                "/chat",
                vec![],
                malformed("there is no Host field"),
            ),
            (
                "another host",
                "https://edge.test/chat",
                vec![("host", "other.test")],
                malformed("Host and request target name different hosts"),
            ),
            (
                "another scheme",
                "file://edge.test/chat",
                vec![],
                malformed("the scheme is not of the web"),
            ),
            (
                "two origins",
                "https://edge.test/chat",
                vec![("origin", "a"), ("origin", "b")],
                malformed("a field that may occur once occurs twice"),
            ),
            (
                "a user in the host",
                "https://me@edge.test/chat",
                vec![],
                malformed("the Host field is not valid"),
            ),
            (
                "too large",
                "https://edge.test/chat",
                vec![("x", long.as_str())],
                InvalidHead::TooLarge,
            ),
            ("too long", url.as_str(), vec![], InvalidHead::UrlTooLong),
        ] {
            let head = from_http2(request(uri, &fields), LIMITS);
            assert_eq!(head.unwrap_err(), expected, "{name}");
        }
    }
}

//! Bytes to heads. Pure; strict where leniency would let two readers see two messages.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::{InvalidHead, RequestHead, ResponseHead, Version, only};

/// More fields than a browser with many cookies and a chain of proxies ever sends.
pub(super) const MAX_FIELDS: usize = 100;

/// Fields that must have at most one line: readers might join several lines, or pick one.
const SINGLE: [HeaderName; 4] = [
    header::HOST,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::ORIGIN,
];

/// A whole request head, up to and including the empty line.
///
/// # Errors
/// [`InvalidHead`]: the head is not valid.
pub(crate) fn parse_request(bytes: &Bytes) -> Result<RequestHead, InvalidHead> {
    let mut fields = [MaybeUninit::uninit(); MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(malformed("the head is not complete")),
        Err(error) => return Err(rejected(error)),
    }
    let (Some(method), Some(target), Some(minor_version)) =
        (request.method, request.path, request.version)
    else {
        return Err(malformed("the head is not complete"));
    };
    let method =
        Method::from_bytes(method.as_bytes()).map_err(|_| malformed("the method is not valid"))?;
    let headers = collect(bytes, request.headers)?;
    check_single(&headers)?;
    let (authority, path, raw_query) = split_target(target)?;
    Ok(RequestHead {
        method,
        path: path.to_owned(),
        raw_query: raw_query.map(str::to_owned),
        version: version(minor_version),
        host: host(authority, &headers)?,
        headers,
    })
}

/// A whole response head, up to and including the empty line.
///
/// Repaired as RFC 9112 requires of a proxy: white space before a field's colon is removed (§5.1), folded lines
/// are joined by spaces (§5.2). In a request both are errors.
///
/// # Errors
/// [`InvalidHead`]: the head is not valid.
pub(crate) fn parse_response(bytes: &Bytes) -> Result<ResponseHead, InvalidHead> {
    let mut fields = [MaybeUninit::uninit(); MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let mut config = httparse::ParserConfig::default();
    config
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_multiple_spaces_in_response_status_delimiters(true);
    match config.parse_response_with_uninit_headers(&mut response, bytes, &mut fields) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(malformed("the head is not complete")),
        Err(error) => return Err(rejected(error)),
    }
    let (Some(minor_version), Some(status)) = (response.version, response.code) else {
        return Err(malformed("the head is not complete"));
    };
    if status < 100 {
        return Err(malformed("the status is not valid"));
    }
    Ok(ResponseHead {
        version: version(minor_version),
        status,
        headers: collect(bytes, response.headers)?,
    })
}

const fn version(minor: u8) -> Version {
    match minor {
        0 => Version::Http10,
        _ => Version::Http11,
    }
}

/// Where an answer is malformed, for the log: its beginning, or the first line that is not a field. Empty if
/// there is no single line. Values are never shown.
pub(super) fn fault_in(answer: &[u8]) -> String {
    let is_blank = |line: &[u8]| line.iter().all(u8::is_ascii_whitespace);
    let mut lines = answer
        .split(|byte| *byte == b'\n')
        .zip(1..)
        .skip_while(|(line, _)| is_blank(line));
    let Some((first, _)) = lines.next() else {
        return String::new();
    };
    if !first.starts_with(b"HTTP/1.") || !first.get(9).is_some_and(u8::is_ascii_digit) {
        return format!(" (it begins \"{}\")", excerpt(first));
    }
    let bad = lines.find(|(line, _)| !is_blank(line) && !is_field(line));
    bad.map_or_else(String::new, |(line, number)| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or(line);
        format!(" (line {number}: \"{}\")", excerpt(name))
    })
}

/// A field line, or the continuation of one.
fn is_field(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let is_value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).is_ok();
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return is_value(line);
    }
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return false;
    };
    let (name, value) = (line[..colon].trim_ascii_end(), &line[colon + 1..]);
    HeaderName::from_bytes(name).is_ok() && is_value(value)
}

/// Longest text of a peer in one line of the log: enough for a name or the start of a banner.
const MAX_EXCERPT: usize = 32;

/// Bytes as text of bounded length without line ends.
fn excerpt(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let cut = &bytes[..bytes.len().min(MAX_EXCERPT)];
    let more = if cut.len() < bytes.len() { "…" } else { "" };
    format!("{}{more}", cut.escape_ascii())
}

pub(super) fn check_single(headers: &HeaderMap) -> Result<(), InvalidHead> {
    let twice = |name: &HeaderName| headers.get_all(name).iter().count() > 1;
    if SINGLE.iter().any(twice) {
        return Err(malformed("a field that may occur once occurs twice"));
    }
    Ok(())
}

fn collect(bytes: &Bytes, fields: &[httparse::Header<'_>]) -> Result<HeaderMap, InvalidHead> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| malformed("a field name is not valid"))?;
        let value = if field.value.contains(&b'\n') {
            HeaderValue::from_maybe_shared(unfolded(field.value))
        } else {
            HeaderValue::from_maybe_shared(bytes.slice_ref(field.value))
        };
        let value = value.map_err(|_| malformed("a field value is not valid"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// A folded value as one line (RFC 9112 §5.2). Only in answers.
fn unfolded(value: &[u8]) -> Vec<u8> {
    let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    lines.join(&b' ')
}

/// Authority, path and query of a request target: origin form, or absolute form (RFC 9112 §3.2.2).
pub(super) fn split_target(
    target: &str,
) -> Result<(Option<&str>, &str, Option<&str>), InvalidHead> {
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) || target.contains('#') {
        return Err(malformed("the request target is not valid"));
    }
    let (authority, rest) = if target.starts_with('/') {
        (None, target)
    } else {
        let after_scheme = target
            .split_once("://")
            .filter(|(scheme, _)| is_web_scheme(scheme))
            .ok_or(malformed("the request target is neither a path nor a URL"))?
            .1;
        let end = after_scheme.find(['/', '?']).unwrap_or(after_scheme.len());
        let (authority, rest) = after_scheme.split_at(end);
        (Some(authority), rest)
    };
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    Ok((authority, if path.is_empty() { "/" } else { path }, query))
}

pub(super) fn is_web_scheme(scheme: &str) -> bool {
    ["http", "https", "ws", "wss"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(scheme))
}

/// The host asked for. Host must be there and valid (RFC 9112 §3.2); an authority in the target
/// must name the same, since a reader behind us might take the other one.
pub(super) fn host(authority: Option<&str>, headers: &HeaderMap) -> Result<String, InvalidHead> {
    let field = only(headers, &header::HOST)
        .and_then(|value| value.to_str().ok())
        .ok_or(malformed("there is no Host field"))?;
    if authority.is_some_and(|authority| !authority.eq_ignore_ascii_case(field)) {
        return Err(malformed("Host and request target name different hosts"));
    }
    host_of(field).ok_or(malformed("the Host field is not valid"))
}

/// `host[:port]` without its port, in lower case and without the root's dot.
pub(crate) fn host_of(text: &str) -> Option<String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (&text[..address.len() + 2], after)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port_is_valid = match port.strip_prefix(':') {
        Some(digits) => digits.is_empty() || digits.parse::<u16>().is_ok(),
        None => port.is_empty(),
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~[]:".contains(&byte);
    let usable = port_is_valid && !name.is_empty() && name.bytes().all(valid);
    usable.then(|| name.to_ascii_lowercase())
}

pub(super) const fn malformed(fact: &'static str) -> InvalidHead {
    InvalidHead::Malformed(fact)
}

fn rejected(error: httparse::Error) -> InvalidHead {
    match error {
        httparse::Error::HeaderName => malformed("a field name is not valid"),
        httparse::Error::HeaderValue => malformed("a field value is not valid"),
        httparse::Error::NewLine => malformed("a line does not end as it should"),
        httparse::Error::Status => malformed("the status is not valid"),
        httparse::Error::Token => malformed("the first line is not valid"),
        httparse::Error::TooManyHeaders => InvalidHead::TooManyFields,
        httparse::Error::Version => malformed("the HTTP version is not valid"),
    }
}

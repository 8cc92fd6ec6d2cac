//! Heads of requests and answers: read whole or in pieces, they are the same; what is accepted can
//! be written again without a second meaning; a handshake that passes becomes exactly one request
//! for the backend.

use std::fmt;

use bytes::Bytes;
use futures::FutureExt;
use http::header::{HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, Method};

use crate::backend::{self};
use crate::exchange::BackendUrl;
use crate::exchange::Upstream;
use crate::exchange::upgrade::{self, Key};
use crate::head::{
    HeadLimits, ReadHead, ReadHeadError, RequestHead, Version, is_forwarded, list_members,
    parse_request, read_final_response, read_request, read_response,
};
use tidegate_tunnel::fuzzing::{Arriving, Input};

/// Small ones are those that a fuzzer reaches.
const SMALL: HeadLimits = HeadLimits {
    header_bytes: 200,
    url_bytes: 40,
};

const USUAL: HeadLimits = HeadLimits {
    header_bytes: 16 * 1024,
    url_bytes: 16 * 1024,
};

/// The key of RFC 6455 §1.3, whose accept value a fuzzer can know.
const SAMPLE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

/// Reads heads: of a request, of a backend's answer, of a proxy's answer.
pub fn heads(data: &[u8]) {
    let Some(input) = Input::read(data) else {
        return;
    };
    let limits = if input.chose(2) { SMALL } else { USUAL };
    match input.choices % 4 {
        0 | 1 => request(&input, limits),
        2 => answer(&input, limits),
        _ => {
            let limit = limits.header_bytes;
            both_ways(&input, |peer| {
                read_final_response(peer, limit, &mut 0)
                    .now_or_never()
                    .map(|read| read.map(parts))
            });
        }
    }
}

/// What was read: a head, and how many bytes stood behind it, or belong to it.
type Read<H> = Result<(H, usize), ReadHeadError>;

fn parts<H>(read: ReadHead<H>) -> (H, usize) {
    (read.head, read.read_ahead.len())
}

/// Reads the stream whole and in pieces; gives what came out, with the bytes of the head.
fn both_ways<H: fmt::Debug>(
    input: &Input<'_>,
    read: impl Fn(&mut Arriving<'_>) -> Option<Read<H>>,
) -> Option<(H, usize)> {
    let [whole, pieces] = [input.at_once(), input.in_pieces()].map(|mut peer| {
        let read = read(&mut peer).expect("a peer that never makes one wait");
        let taken = input.stream.len() - peer.left().len();
        read.map(|(head, rest)| (head, taken - rest))
    });
    assert_eq!(
        facts(&whole),
        facts(&pieces),
        "the split changes what is read"
    );
    whole.ok()
}

/// All that a head says, and how long it is; or what is wrong with it.
fn facts<H: fmt::Debug>(read: &Read<H>) -> String {
    match read {
        Ok((head, size)) => format!("{size} bytes: {head:?}"),
        Err(ReadHeadError::Gone { received, .. }) => format!("gone after {received}"),
        Err(ReadHeadError::Invalid(fault) | ReadHeadError::InvalidAnswer { fault, .. }) => {
            format!("{fault:?}")
        }
    }
}

fn request(input: &Input<'_>, limits: HeadLimits) {
    let read = both_ways(input, |peer| {
        read_request(peer, Bytes::new(), || limits, &mut 0)
            .now_or_never()
            .map(|read| read.map(parts))
    });
    let Some((head, size)) = read else { return };
    assert!(size <= limits.url_bytes + 32 + limits.header_bytes);
    is_harmless(&head);
    let again = parse_request(&Bytes::from(written(&head)));
    let again = again.expect("a head that was accepted once");
    let [now, then] = [&again, &head].map(|head| format!("{head:?}"));
    assert_eq!(now, then, "it says something else now");
    for allowed in ["https://app.example.com", "https://*.example.com"] {
        if upgrade::check_origin(&head.headers, &[allowed.to_owned()]).is_ok() {
            came_from(&head.headers, allowed);
        }
    }
    if let Ok(Some(key)) = upgrade::validate(&head) {
        handshake(&head, &key);
    }
}

/// Nothing in it can be taken for something else by a reader behind us.
fn is_harmless(head: &RequestHead) {
    assert!(head.path.starts_with('/'), "{}", head.path);
    let target = [head.path.as_str(), head.raw_query.as_deref().unwrap_or("")].concat();
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    assert!(target.bytes().all(plain) && !head.path.contains('?'));
    let host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~[]:".contains(&byte);
    assert!(!head.host.is_empty() && head.host.bytes().all(host));
    assert_eq!(head.host, head.host.to_ascii_lowercase());
    assert_eq!(head.headers.get_all(HOST).iter().count(), 1);
    for value in head.headers.values() {
        let breaks = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
        assert!(!value.as_bytes().iter().any(breaks), "{value:?}");
    }
}

/// The head in the form in which most clients write it.
fn written(head: &RequestHead) -> Vec<u8> {
    let mut text = format!("{} {}", head.method, head.path).into_bytes();
    if let Some(query) = &head.raw_query {
        text.push(b'?');
        text.extend_from_slice(query.as_bytes());
    }
    text.extend_from_slice(match head.version {
        Version::Http10 => b" HTTP/1.0\r\n",
        _ => b" HTTP/1.1\r\n",
    });
    for (name, value) in &head.headers {
        crate::head::put_field(&mut text, name, value);
    }
    text.extend_from_slice(b"\r\n");
    text
}

/// An origin that passes is that of the pattern: nothing before or behind it.
fn came_from(headers: &HeaderMap, allowed: &str) {
    let Some(origin) = headers.get("origin") else {
        return;
    };
    let origin = origin.to_str().map(str::to_ascii_lowercase);
    let origin = origin.expect("text, like the pattern");
    let (scheme, host) = allowed.split_once("://").unwrap_or_default();
    let found = origin.strip_prefix(scheme);
    let found = found.and_then(|rest| rest.strip_prefix("://"));
    let found = found.expect("the scheme of the pattern");
    match host.strip_prefix('*') {
        Some(suffix) => assert!(found.len() > suffix.len() && found.ends_with(suffix)),
        None => assert_eq!(found, host),
    }
}

/// A handshake that passes, on its way to the backend.
fn handshake(head: &RequestHead, key: &Key) {
    assert!(head.method == Method::GET && head.version == Version::Http11);
    assert_eq!(key.accept().len(), 28);
    let mut headers = HeaderMap::new();
    for (name, value) in &head.headers {
        if is_forwarded(name) {
            headers.append(name, value.clone());
        }
    }
    let allowed = ["chat".to_owned()];
    let offered = headers.contains_key(SEC_WEBSOCKET_PROTOCOL);
    if upgrade::filter_subprotocols(&mut headers, &allowed).is_ok() && offered {
        let kept: Vec<_> = list_members(&headers, &SEC_WEBSOCKET_PROTOCOL).collect();
        assert!(kept.iter().all(|name| *name == "chat"), "{kept:?}");
        let mut lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
        assert!(lines.all(|line| line.to_str().is_ok()), "offers unseen");
    }
    let url = BackendUrl::parse("ws://backend.test:81/base?own=1").expect("a URL of ours");
    let upstream = Upstream::new(&url, head.raw_query.as_deref(), "", headers.clone());
    let sent = backend::encode_request(&upstream, key);
    let end = sent.windows(4).position(|end| end == b"\r\n\r\n");
    assert_eq!(end, Some(sent.len() - 4), "more than one head");
    let seen = parse_request(&Bytes::from(sent)).expect("a head of ours");
    assert_eq!(
        (seen.host.as_str(), seen.path.as_str()),
        ("backend.test", "/base")
    );
    assert!(matches!(upgrade::validate(&seen), Ok(Some(again)) if again == *key));
    for name in headers.keys() {
        let values =
            |headers: &HeaderMap| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
        assert_eq!(values(&seen.headers), values(&headers), "{name}");
    }
}

/// A backend's answer to the sample of RFC 6455.
fn answer(input: &Input<'_>, limits: HeadLimits) {
    let limit = limits.header_bytes;
    let read = both_ways(input, |peer| {
        read_response(peer, Bytes::new(), limit, &mut 0)
            .now_or_never()
            .map(|read| read.map(parts))
    });
    let Some((head, size)) = read else { return };
    assert!(size <= limit, "{size} bytes");
    let sample = parse_request(&Bytes::from_static(SAMPLE)).expect("the sample");
    let key = upgrade::validate(&sample).ok().flatten().expect("its key");
    if backend::judge(&head, &key, &sample.headers) != backend::Verdict::Accepted {
        return;
    }
    let accepts = head.headers.get_all(SEC_WEBSOCKET_ACCEPT);
    let accepts: Vec<_> = accepts.iter().map(|value| value.as_bytes()).collect();
    assert_eq!(
        accepts,
        [b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="],
        "it proves nothing"
    );
    assert_eq!(head.status, 101);
    let extensions = head.headers.get_all(SEC_WEBSOCKET_EXTENSIONS);
    let mut extensions = extensions.iter().map(|line| line.to_str());
    assert!(extensions.all(|line| line.is_ok()), "extensions unseen");
    let chosen: Vec<_> = list_members(&head.headers, &SEC_WEBSOCKET_PROTOCOL).collect();
    assert!(
        matches!(chosen[..], [] | ["chat"] | ["superchat"]),
        "{chosen:?}"
    );
}

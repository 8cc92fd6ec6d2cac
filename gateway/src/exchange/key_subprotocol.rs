//! The subscription key in a subprotocol: a browser can set no header, and a URL ends up in logs. Pure.
//!
//! The key is taken out of the request itself, before anything else reads it: no policy, log or backend sees
//! it, and neither does the agreement on the real subprotocol (RFC 6455 §4.2.2).

use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderMap, HeaderValue};

/// Takes every subprotocol that begins with `prefix` out of the offer. Gives the first key that stands behind it.
///
/// A line is split byte by byte: one that is not text must not carry a key past this.
pub(crate) fn take_key(headers: &mut HeaderMap, prefix: &str) -> Option<HeaderValue> {
    let lines: Vec<_> = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .cloned()
        .collect();
    let mut keys = lines.iter().flat_map(offers).filter_map(|offer| {
        let key = offer.strip_prefix(prefix.as_bytes())?;
        Some(HeaderValue::from_bytes(key))
    });
    // Empty ones count: a line that offers one is written anew too.
    let first = keys.next()?;
    let found = std::iter::once(first).chain(keys).flatten();
    let mut key = found.into_iter().find(|key| !key.is_empty());
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    for line in lines.iter().filter_map(|line| without(line, prefix)) {
        headers.append(SEC_WEBSOCKET_PROTOCOL, line);
    }
    if let Some(key) = &mut key {
        key.set_sensitive(true);
    }
    key
}

/// The subprotocols that a line offers.
fn offers(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let members = line.as_bytes().split(|byte| *byte == b',');
    members.map(<[u8]>::trim_ascii)
}

/// The line without keys, as it came if there is none in it; `None`: it offers nothing else.
fn without(line: &HeaderValue, prefix: &str) -> Option<HeaderValue> {
    let is_key = |offer: &&[u8]| offer.starts_with(prefix.as_bytes());
    if !offers(line).any(|offer| is_key(&offer)) {
        return Some(line.clone());
    }
    let kept: Vec<&[u8]> = offers(line)
        .filter(|offer| !offer.is_empty() && !is_key(offer))
        .collect();
    let kept = HeaderValue::from_bytes(&kept.join(&b", "[..])).ok()?;
    (!kept.is_empty()).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "key.";

    fn taken(lines: &[&[u8]]) -> (Option<Vec<u8>>, Vec<Vec<u8>>) {
        let mut headers = HeaderMap::new();
        for line in lines {
            let line = HeaderValue::from_bytes(line).unwrap();
            headers.append(SEC_WEBSOCKET_PROTOCOL, line);
        }
        let key = take_key(&mut headers, PREFIX);
        assert!(key.as_ref().is_none_or(HeaderValue::is_sensitive));
        let rest = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
        let rest = rest.map(|line| line.as_bytes().to_vec()).collect();
        (key.map(|key| key.as_bytes().to_vec()), rest)
    }

    #[test]
    fn the_key_is_taken_out_of_the_offer() {
        type Lines<'a> = &'a [&'a [u8]];
        for (name, lines, key, rest) in [
            ("no offer", &[][..] as Lines<'_>, None, &[][..] as Lines<'_>),
            (
                "none is a key, byte for byte",
                &[b"a ,,b", b"c"],
                None,
                &[b"a ,,b", b"c"],
            ),
            (
                "between others",
                &[b"realtime, key.whale, beta"],
                Some(&b"whale"[..]),
                &[b"realtime, beta"],
            ),
            (
                "in a line of its own",
                &[b"realtime", b"key.whale", b"beta"],
                Some(b"whale"),
                &[b"realtime", b"beta"],
            ),
            ("the only offer", &[b" key.whale\t"], Some(b"whale"), &[]),
            (
                "the first of several, and none stays",
                &[b"key., a,key.one", b"key.two"],
                Some(b"one"),
                &[b"a"],
            ),
            ("an empty key is none", &[b"a, key."], None, &[b"a"]),
            (
                "case differs: another subprotocol",
                &[b"KEY.whale"],
                None,
                &[b"KEY.whale"],
            ),
            (
                "a line that is not text",
                &[b"\xffa, key.whale"],
                Some(b"whale"),
                &[b"\xffa"],
            ),
            (
                "behind white space and empty members",
                &[b",\t key.whale ,, a"],
                Some(b"whale"),
                &[b"a"],
            ),
        ] {
            let (found, left) = taken(lines);
            assert_eq!(found.as_deref(), key, "{name}");
            assert_eq!(left, rest, "{name}");
        }
    }
}

use http::{HeaderMap, HeaderValue};
use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::head::Version;

const LIMIT: u64 = 1024 * 1024;

fn answer(status: u16, fields: &[(&'static str, &'static str)]) -> ResponseHead {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_static(value));
    }
    ResponseHead {
        version: Version::Http11,
        status,
        headers,
    }
}

/// All of a body, and why there is no more where that is not its end.
async fn body(
    framing: Framing,
    read_ahead: &str,
    remainder: &[u8],
    limit: u64,
) -> (Vec<u8>, Option<String>) {
    let read_ahead = Bytes::copy_from_slice(read_ahead.as_bytes());
    let begun = begin(remainder, framing, read_ahead, limit).await;
    let mut bytes = begun.bytes.to_vec();
    let Some(mut remainder) = begun.remainder else {
        return (bytes, None);
    };
    loop {
        match remainder.next().await {
            Ok(Some(piece)) => {
                assert!(!piece.is_empty(), "an empty chunk would be the last one");
                bytes.extend_from_slice(&piece);
            }
            Ok(None) => return (bytes, None),
            Err(cut) => return (bytes, Some(cut.to_string())),
        }
    }
}

type Fields = &'static [(&'static str, &'static str)];

const FRAMINGS: [(&str, Fields, Result<Framing, ()>); 13] = [
    ("nothing", &[], Ok(Framing::UntilClose)),
    (
        "a length",
        &[("content-length", "5")],
        Ok(Framing::Length(5)),
    ),
    (
        "the same length twice",
        &[("content-length", "5"), ("content-length", "5")],
        Ok(Framing::Length(5)),
    ),
    (
        "the same length in a list",
        &[("content-length", "5, 5")],
        Ok(Framing::Length(5)),
    ),
    (
        "two lengths",
        &[("content-length", "5"), ("content-length", "6")],
        Err(()),
    ),
    (
        "a sign in front of a length",
        &[("content-length", "+5")],
        Err(()),
    ),
    (
        "a length that is none",
        &[("content-length", "five")],
        Err(()),
    ),
    (
        "a length beyond numbers",
        &[("content-length", "99999999999999999999")],
        Err(()),
    ),
    (
        "chunks",
        &[("transfer-encoding", "Chunked")],
        Ok(Framing::Chunked),
    ),
    (
        "chunks win over a length",
        &[("transfer-encoding", "chunked"), ("content-length", "5")],
        Ok(Framing::Chunked),
    ),
    (
        "identity is none",
        &[("transfer-encoding", "identity"), ("content-length", "5")],
        Ok(Framing::Length(5)),
    ),
    (
        "a coding that nobody asked for",
        &[("transfer-encoding", "gzip, chunked")],
        Err(()),
    ),
    (
        "chunks twice",
        &[("transfer-encoding", "chunked, chunked")],
        Err(()),
    ),
];

#[test]
fn the_framing_of_a_body_is_one_or_an_error() {
    for (name, fields, expected) in FRAMINGS {
        let found = framing(&answer(403, fields)).map_err(|_| ());
        assert_eq!(found, expected, "{name}");
    }
    let unmodified = answer(304, &[("content-length", "5")]);
    assert_eq!(framing(&unmodified), Ok(Framing::None), "304");
}

const HUNG_UP: Option<&str> = Some("the backend closed the connection in the middle of it");
const BAD_CHUNK: Option<&str> = Some("a chunk is not valid");

/// Name, framing, what is here and what comes, the body, why it is cut.
type Case = (
    &'static str,
    Framing,
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
);

const BODIES: [Case; 11] = [
    (
        "length",
        Framing::Length(5),
        "he",
        "llo, world",
        "hello",
        None,
    ),
    (
        "length, cut short",
        Framing::Length(5),
        "he",
        "l",
        "hel",
        HUNG_UP,
    ),
    ("length of zero", Framing::Length(0), "", "x", "", None),
    ("none", Framing::None, "x", "y", "", None),
    (
        "chunked",
        Framing::Chunked,
        "3\r\nhel\r",
        "\n2;x=y\r\nlo\r\n0\r\n\r\n",
        "hello",
        None,
    ),
    (
        "chunked with trailers",
        Framing::Chunked,
        "",
        "5\r\nhello\r\n0\r\nDigest: x\r\n\r\n",
        "hello",
        None,
    ),
    (
        "chunked, cut short",
        Framing::Chunked,
        "3\r\nhel\r\n",
        "9\r\nlo",
        "hello",
        HUNG_UP,
    ),
    (
        "chunked, without the last chunk",
        Framing::Chunked,
        "3\r\nhel\r\n",
        "",
        "hel",
        HUNG_UP,
    ),
    (
        "chunked, broken size",
        Framing::Chunked,
        "3\r\nhel\r\nzz",
        "",
        "hel",
        BAD_CHUNK,
    ),
    (
        "chunked, longer than it says",
        Framing::Chunked,
        "3\r\nhello\r\n",
        "",
        "hel",
        BAD_CHUNK,
    ),
    (
        "until close",
        Framing::UntilClose,
        "hel",
        "lo",
        "hello",
        None,
    ),
];

#[tokio::test]
async fn a_body_ends_where_its_framing_says_and_a_cut_is_told() {
    for (name, framing, read_ahead, remainder, expected, cut) in BODIES {
        let found = body(framing, read_ahead, remainder.as_bytes(), LIMIT).await;
        let (bytes, why) = &found;
        assert_eq!(
            (std::str::from_utf8(bytes).unwrap(), why.as_deref()),
            (expected, cut),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_large_body_is_whole_up_to_the_limit_and_cut_beyond_it() {
    let long: Vec<u8> = (0..300_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    let size = long.len() as u64;
    let mut chunks = format!("{size:x}\r\n").into_bytes();
    chunks.extend_from_slice(&long);
    chunks.extend_from_slice(b"\r\n0\r\n\r\n");
    for (name, framing, sent) in [
        ("length", Framing::Length(size), &long),
        ("until close", Framing::UntilClose, &long),
        ("chunked", Framing::Chunked, &chunks),
    ] {
        for limit in [size, size + 1] {
            let (bytes, cut) = body(framing, "", sent, limit).await;
            assert!(bytes == long && cut.is_none(), "{name}: {cut:?}");
        }
        for limit in [1024, START as u64, size - 1] {
            let (bytes, cut) = body(framing, "", sent, limit).await;
            assert_eq!(bytes.len() as u64, limit, "{name}");
            let cut = cut.unwrap_or_default();
            assert!(cut.contains("limits.maxResponseBodyBytes"), "{name}: {cut}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_keeps_its_body_back_holds_nobody_for_ever() {
    let (ours, mut theirs) = tokio::io::duplex(1024);
    theirs.write_all(b"hel").await.unwrap();
    let begun = begin(ours, Framing::Length(5), Bytes::new(), LIMIT).await;
    assert_eq!(&begun.bytes[..], b"hel", "the client gets what there is");
    let mut remainder = begun.remainder.expect("more to come");
    assert_eq!(remainder.length, Some(5));
    theirs.write_all(b"l").await.unwrap();
    assert_eq!(remainder.next().await.unwrap().as_deref(), Some(&b"l"[..]));
    assert!(matches!(remainder.next().await, Err(BodyCut::Late)));
}

#[tokio::test]
async fn a_line_of_a_chunk_has_an_end() {
    let line = format!("5;{}", "x".repeat(20_000));
    let (_, cut) = body(Framing::Chunked, "", line.as_bytes(), LIMIT).await;
    assert_eq!(cut.as_deref(), Some("a chunk is not valid"));
}

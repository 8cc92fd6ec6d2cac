//! Heads that HTTP/2 forbids, or that an HTTP/1.1 backend would read in another way (RFC 9113 §8.2, §8.3;
//! RFC 8441 §4): none opens a tunnel, none reaches a backend.

use h2::Reason;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::abuse::{PREFACE, frame};
use super::*;

/// How the gateway answers one head.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// A head; was it 200?
    Answered {
        opened: bool,
    },
    Reset(Reason),
    Goaway(Reason),
}

type Fields = Vec<(String, String)>;

const RIGHT: [(&str, &str); 6] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":path", "/chat"),
    (":authority", "harbour.example"),
    ("sec-websocket-version", "13"),
];

fn right() -> Fields {
    RIGHT
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn without(name: &str) -> Fields {
    right()
        .into_iter()
        .filter(|(field, _)| field != name)
        .collect()
}

fn with(name: &str, value: &str) -> Fields {
    let mut fields = right();
    fields.push((name.to_owned(), value.to_owned()));
    fields
}

fn instead(name: &str, value: &str) -> Fields {
    let mut fields = right();
    for field in fields.iter_mut().filter(|(field, _)| field == name) {
        value.clone_into(&mut field.1);
    }
    fields
}

/// Literal fields that are not indexed (RFC 7541 §6.2.2).
fn block(fields: &[(String, String)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// Sends one head and waits for what becomes of it.
async fn ask(address: std::net::SocketAddr, fields: &[(String, String)]) -> End {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = frame(1, 4, 1, &block(fields));
    let bytes = [PREFACE, &frame(4, 0, 0, &[]), &head].concat();
    stream.write_all(&bytes).await.unwrap();
    loop {
        let mut header = [0; 9];
        stream.read_exact(&mut header).await.unwrap();
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.unwrap();
        let code = |at: usize| {
            let code: [u8; 4] = payload[at..at + 4].try_into().unwrap();
            Reason::from(u32::from_be_bytes(code))
        };
        match header[3] {
            // The first field is :status, and 200 is entry 8 of the static table.
            1 => {
                return End::Answered {
                    opened: payload.first() == Some(&0x88),
                };
            }
            3 => return End::Reset(code(0)),
            7 => return End::Goaway(code(4)),
            _ => {}
        }
    }
}

fn pseudo_fields() -> Vec<(String, Fields)> {
    let mut rows = Vec::new();
    for (name, value) in &RIGHT[..5] {
        rows.push((format!("no {name}"), without(name)));
        let mut twice = right();
        twice.insert(0, ((*name).to_owned(), (*value).to_owned()));
        rows.push((format!("{name} twice"), twice));
        let mut late = without(name);
        late.push(((*name).to_owned(), (*value).to_owned()));
        rows.push((format!("{name} behind a field"), late));
    }
    for (name, value) in [
        (":status", "200"),
        (":nonsense", "x"),
        (":Path", "/chat"),
        (":", "x"),
    ] {
        let mut more = right();
        more.insert(0, (name.to_owned(), value.to_owned()));
        rows.push((format!("{name} besides"), more));
    }
    for (name, value) in [
        (":method", "GET"),
        (":method", "connect"),
        (":method", "CON NECT"),
        (":protocol", "connect-udp"),
        (":protocol", "WebSocket"),
        (":protocol", ""),
        (":scheme", ""),
        (":scheme", "ht tp"),
        (":scheme", "file"),
        (":path", ""),
        (":path", "*"),
        (":path", "chat"),
        (":path", "/ch at"),
        (":path", "http://harbour.example/chat"),
        (":authority", ""),
        (":authority", "me@harbour.example"),
        (":authority", "harbour.example/x"),
        (":authority", "harbour.example, b"),
    ] {
        rows.push((format!("{name} {value:?}"), instead(name, value)));
    }
    rows
}

fn ordinary_fields() -> Vec<(String, Fields)> {
    let besides = [
        ("X-Upper", "x"),
        ("connection", "upgrade"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("", "x"),
        ("x y", "z"),
        ("x:y", "z"),
        ("x\r\ny", "z"),
        ("x", "y\r\nz: 1"),
        ("x", "y\nz"),
        ("x", "y\0z"),
        ("host", "other.example"),
        ("origin", "https://a.example"),
        ("content-length", "5"),
        ("content-length", "x"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-version", "8"),
    ];
    let mut rows: Vec<_> = besides
        .map(|(name, value)| (format!("{name:?}: {value:?}"), with(name, value)))
        .into();
    for (_, fields) in rows.iter_mut().filter(|(name, _)| name.contains("origin")) {
        fields.push(("origin".to_owned(), "https://b.example".to_owned()));
    }
    rows.push(("no version".to_owned(), without("sec-websocket-version")));
    rows.push((
        "another version".to_owned(),
        instead("sec-websocket-version", "8"),
    ));
    rows
}

#[tokio::test]
async fn no_head_that_http_2_forbids_opens_a_tunnel() {
    let (backend, config) = chat().await;
    let gateway = TestGateway::start(&config).await;
    let address = gateway.address("plain");
    let all = [pseudo_fields(), ordinary_fields()].concat();
    assert!(all.len() > 55, "{}", all.len());
    for (name, fields) in &all {
        let end = within(name, ask(address, fields)).await;
        let refused = match end {
            End::Answered { opened } => !opened,
            End::Reset(reason) | End::Goaway(reason) => reason == Reason::PROTOCOL_ERROR,
        };
        assert!(refused, "{name}: {end:?}");
    }
    assert!(backend.heads().is_empty(), "{:?}", backend.heads());
    let end = within("the right one", ask(address, &right())).await;
    assert_eq!(end, End::Answered { opened: true });
}

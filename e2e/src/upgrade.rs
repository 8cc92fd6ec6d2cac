//! The request of a handshake.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The request of a handshake, to be changed at will.
#[derive(Clone, Debug)]
pub struct Upgrade {
    /// Path and query.
    pub target: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
}

impl Upgrade {
    /// A correct one.
    pub fn new(host: &str, target: &str) -> Self {
        let key = STANDARD.encode(rand::random::<[u8; 16]>());
        let headers = [
            ("Host", host),
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", &key),
        ];
        Self {
            target: target.to_owned(),
            headers: headers.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec(),
        }
    }

    /// The same with one more header line.
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same without a header.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }

    /// As it stands on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let lines = self.headers.iter().map(|(n, v)| format!("{n}: {v}\r\n"));
        let lines: String = lines.collect();
        format!("GET {} HTTP/1.1\r\n{lines}\r\n", self.target).into_bytes()
    }
}

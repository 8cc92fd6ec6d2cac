//! A scripted endpoint that writes frames byte by byte as told, and reads them with tungstenite's
//! header parser.

use std::io::Cursor;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;

pub(super) const TEXT: u8 = 0x81;
pub(super) const BINARY: u8 = 0x82;
pub(super) const CONTINUATION: u8 = 0x80;
pub(super) const CLOSE: u8 = 0x88;
pub(super) const PING: u8 = 0x89;
pub(super) const PONG: u8 = 0x8A;

/// A bit to leave out of the first byte: more fragments follow.
pub(super) const MORE: u8 = 0x80;

const MASK: [u8; 4] = [1, 2, 3, 4];

/// A frame as it goes over the wire.
pub(super) fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let bit = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(bit | length as u8),
        length @ 126..0x1_0000 => {
            frame.push(bit | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(bit | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(mask.iter().flatten());
    let key = mask.unwrap_or_default();
    frame.extend(
        payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    frame
}

pub(super) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// A frame that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) first: u8,
    pub(super) masked: bool,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// Code and reason of a Close.
    #[track_caller]
    pub(super) fn close(&self) -> (Option<u16>, String) {
        assert_eq!(self.first, CLOSE, "not a Close: {self:?}");
        match &*self.payload {
            [] => (None, String::new()),
            [high, low, reason @ ..] => {
                let reason = String::from_utf8(reason.to_vec()).unwrap();
                (Some(u16::from_be_bytes([*high, *low])), reason)
            }
            [_] => panic!("half a code"),
        }
    }
}

/// One end of a tunnel.
pub(super) struct Peer {
    pub(super) io: DuplexStream,
    mask: Option<[u8; 4]>,
    read: Vec<u8>,
}

impl Peer {
    pub(super) fn client(io: DuplexStream) -> Self {
        Self {
            io,
            mask: Some(MASK),
            read: Vec::new(),
        }
    }

    pub(super) fn backend(io: DuplexStream) -> Self {
        Self {
            io,
            mask: None,
            read: Vec::new(),
        }
    }

    pub(super) fn frame(&self, first: u8, payload: &[u8]) -> Vec<u8> {
        frame(first, payload, self.mask)
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    pub(super) async fn send(&mut self, first: u8, payload: &[u8]) {
        let frame = self.frame(first, payload);
        self.write(&frame).await;
    }

    pub(super) async fn close(&mut self, code: u16, reason: &str) {
        self.send(CLOSE, &close_payload(code, reason)).await;
    }

    /// The next frame; `None` when the stream ends between frames.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.parse() {
                return Some(frame);
            }
            if !self.fill().await {
                assert_eq!(self.read, b"", "the stream ends inside a frame");
                return None;
            }
        }
    }

    pub(super) async fn expect(&mut self) -> Frame {
        self.next().await.expect("the stream ended")
    }

    /// The Close that comes next, and then the end.
    pub(super) async fn expect_close(&mut self) -> (Option<u16>, String) {
        self.expect().await.close()
    }

    pub(super) async fn expect_end(&mut self) {
        assert_eq!(self.next().await, None);
    }

    /// All that comes until the stream ends.
    pub(super) async fn drain(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.read)
    }

    /// Nothing comes for `time`.
    pub(super) async fn expect_silence(&mut self, time: Duration) {
        assert_eq!(self.read, b"");
        let mut byte = [0];
        let read = tokio::time::timeout(time, self.io.read(&mut byte)).await;
        assert!(read.is_err(), "something came: {read:?} {byte:?}");
    }

    async fn fill(&mut self) -> bool {
        let read = self.io.read_buf(&mut self.read);
        let read = tokio::time::timeout(Duration::from_secs(3600), read).await;
        read.expect("nothing came for an hour").unwrap() > 0
    }

    fn parse(&mut self) -> Option<Frame> {
        let mut cursor = Cursor::new(&self.read);
        let (header, length) = FrameHeader::parse(&mut cursor).unwrap()?;
        let start = cursor.position() as usize;
        let end = start + length as usize;
        let payload = self.read.get(start..end)?;
        let key = header.mask.unwrap_or_default();
        let plain = payload.iter().zip(key.iter().cycle());
        let frame = Frame {
            first: self.read[0],
            masked: header.mask.is_some(),
            payload: plain.map(|(byte, key)| byte ^ key).collect(),
        };
        self.read.drain(..end);
        Some(frame)
    }
}

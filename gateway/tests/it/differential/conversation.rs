//! What two peers say to each other: valid frames (RFC 6455 §5) of every kind, cut anywhere.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;
use tidegate_wire::frame::encode;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Side {
    Client,
    Backend,
}

/// Codes that may stand in a Close frame (RFC 6455 §7.4, and the registry's later ones).
const CODES: [u16; 17] = [
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4500,
    4999,
];

/// One frame, ready to be sent.
#[derive(Clone, PartialEq)]
struct Frame {
    bytes: Vec<u8>,
}

/// What each side sends, its Close last, and the sizes of the writes it is cut into.
#[derive(Clone)]
pub(super) struct Conversation {
    client: Vec<Frame>,
    backend: Vec<Frame>,
    /// Bytes per write, over and over.
    cuts: Vec<usize>,
    /// Who sends its Close first; the other one waits for it.
    pub(super) closing: Side,
}

impl Conversation {
    /// All that a side sends.
    pub(super) fn bytes(&self, side: Side) -> Vec<u8> {
        let frames = self.frames(side);
        frames
            .iter()
            .flat_map(|frame| frame.bytes.clone())
            .collect()
    }

    /// All but its Close, and that.
    pub(super) fn parts(&self, side: Side) -> (Vec<u8>, Vec<u8>) {
        let (last, before) = self.frames(side).split_last().unwrap();
        let before = before.iter().flat_map(|frame| frame.bytes.clone());
        (before.collect(), last.bytes.clone())
    }

    /// The sizes of the writes.
    pub(super) fn cuts(&self) -> impl Iterator<Item = usize> + use<> {
        self.cuts.clone().into_iter().cycle()
    }

    fn frames(&self, side: Side) -> &[Frame] {
        match side {
            Side::Client => &self.client,
            Side::Backend => &self.backend,
        }
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |frames: &[Frame]| -> Vec<String> {
            frames
                .iter()
                .map(|frame| {
                    let head = &frame.bytes[..frame.bytes.len().min(10)];
                    format!("{}+{}", hex::encode(head), frame.bytes.len() - head.len())
                })
                .collect()
        };
        f.debug_struct("Conversation")
            .field("client", &list(&self.client))
            .field("backend", &list(&self.backend))
            .field("cuts", &self.cuts)
            .field("closing", &self.closing)
            .finish()
    }
}

/// A frame with this first byte; the client's is masked (§5.3).
fn frame(side: Side, first: u8, payload: &[u8], mask: [u8; 4]) -> Frame {
    let mask = (side == Side::Client).then_some(mask);
    let bytes = encode(first, payload, mask);
    Frame { bytes }
}

/// A Close without a code, or with code and reason.
fn close(side: Side, code: Option<u16>, reason: &str) -> Frame {
    let mut payload = Vec::new();
    if let Some(code) = code {
        payload.extend(code.to_be_bytes());
        payload.extend(reason.as_bytes());
    }
    frame(side, 0x88, &payload, [7, 11, 13, 17])
}

/// A message as its fragments' payloads, and pings and pongs between them.
#[derive(Clone, Debug)]
struct Message {
    binary: bool,
    /// As permessage-deflate marks what it compressed (RFC 7692 §6.1).
    compressed: bool,
    fragments: Vec<Vec<u8>>,
    /// Before each fragment: a control frame's opcode and payload.
    between: Vec<Option<(bool, Vec<u8>)>>,
    mask: [u8; 4],
}

impl Message {
    fn frames(&self, side: Side) -> Vec<Frame> {
        let last = self.fragments.len() - 1;
        let mut frames = Vec::new();
        for (index, payload) in self.fragments.iter().enumerate() {
            if let Some((ping, payload)) = self.between.get(index).cloned().flatten() {
                let first = if ping { 0x89 } else { 0x8a };
                frames.push(frame(side, first, &payload, self.mask));
            }
            let opcode = match (index, self.binary) {
                (0, false) => 1,
                (0, true) => 2,
                _ => 0,
            };
            let rsv1 = if index == 0 && self.compressed {
                0x40
            } else {
                0
            };
            let fin = if index == last { 0x80 } else { 0 };
            frames.push(frame(side, fin | rsv1 | opcode, payload, self.mask));
        }
        frames
    }
}

fn message() -> impl Strategy<Value = Message> {
    let payload = prop_oneof![
        4 => vec(any::<u8>(), 0..40),
        2 => vec(any::<u8>(), 120..132),
        1 => (65_530_usize..65_542).prop_map(|length| vec![0xa5; length]),
        1 => (0_usize..200_000).prop_map(|length| vec![0x5a; length]),
    ];
    let control = proptest::option::of((any::<bool>(), vec(any::<u8>(), 0..=125)));
    (
        any::<bool>(),
        any::<bool>(),
        vec(payload, 1..5),
        vec(control, 0..5),
        any::<[u8; 4]>(),
    )
        .prop_map(|(binary, compressed, fragments, between, mask)| Message {
            binary,
            compressed,
            fragments,
            between,
            mask,
        })
}

fn ending() -> impl Strategy<Value = (Option<u16>, String)> {
    (
        proptest::option::of(proptest::sample::select(&CODES[..])),
        "[a-zé ]{0,40}",
    )
}

/// Any conversation that both sides may have.
pub(super) fn conversations() -> impl Strategy<Value = Conversation> {
    let cut = prop_oneof![1_usize..16, 1_usize..2_000, Just(100_000)];
    (
        vec(message(), 0..6),
        vec(message(), 0..6),
        ending(),
        vec(cut, 1..12),
        prop_oneof![Just(Side::Client), Just(Side::Backend)],
    )
        .prop_map(|(client, backend, (code, reason), cuts, closing)| {
            let said = |messages: &[Message], side| {
                let mut frames: Vec<_> = messages.iter().flat_map(|m| m.frames(side)).collect();
                frames.push(close(side, code, &reason));
                frames
            };
            Conversation {
                client: said(&client, Side::Client),
                backend: said(&backend, Side::Backend),
                cuts,
                closing,
            }
        })
}

fn only(client: Vec<Frame>, backend: Vec<Frame>, cuts: Vec<usize>, closing: Side) -> Conversation {
    Conversation {
        client,
        backend,
        cuts,
        closing,
    }
}

/// Every code, none, and the longest reason there can be.
pub(super) fn closes(closing: Side) -> Vec<Conversation> {
    let longest = "r".repeat(123);
    let codes = CODES.iter().map(|&code| (Some(code), "bye"));
    let special = [(None, ""), (Some(1000), ""), (Some(4000), longest.as_str())];
    codes
        .chain(special)
        .map(|(code, reason)| {
            let said = |side| vec![close(side, code, reason)];
            only(said(Side::Client), said(Side::Backend), vec![3], closing)
        })
        .collect()
}

/// Messages of the lengths around each form of the length field, cut inside the header.
pub(super) fn lengths() -> Vec<Conversation> {
    let lengths = [
        0, 1, 124, 125, 126, 127, 128, 65_534, 65_535, 65_536, 65_537,
    ];
    [1, 2, 3, 9, 70_000]
        .into_iter()
        .map(|cut| {
            let said = |side| {
                let sized = lengths.iter().filter(|&&length| cut > 3 || length < 1_000);
                let data = sized.map(|&length| frame(side, 0x82, &vec![9; length], [1, 2, 3, 4]));
                data.chain([close(side, Some(1000), "")]).collect()
            };
            only(
                said(Side::Client),
                said(Side::Backend),
                vec![cut],
                Side::Client,
            )
        })
        .collect()
}

/// One frame of this size each way, at the same time.
pub(super) fn large(size: usize) -> Conversation {
    let said = |side| {
        let payload: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        vec![
            frame(side, 0x82, &payload, [5, 6, 7, 8]),
            close(side, Some(1000), "done"),
        ]
    };
    only(
        said(Side::Client),
        said(Side::Backend),
        vec![1 << 20],
        Side::Backend,
    )
}

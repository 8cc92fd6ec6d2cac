use std::io::Cursor;

use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::*;

const MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

fn from_client() -> Tracker {
    Tracker::new(true, false)
}

fn from_backend() -> Tracker {
    Tracker::new(false, false)
}

/// A header as a server writes it.
fn unmasked(first: u8, length: &[u8]) -> Vec<u8> {
    [&[first], length].concat()
}

#[test]
fn a_header_is_read_with_every_form_of_length() {
    let cases: [(&str, &[u8], u64, usize); 4] = [
        ("empty", &[0], 0, 2),
        ("seven bits", &[125], 125, 2),
        ("two bytes", &[126, 0xFF, 0xFE], 0xFFFE, 4),
        (
            "eight bytes",
            &[127, 0, 0, 1, 0, 0, 0, 0, 2],
            (1 << 40) + 2,
            10,
        ),
    ];
    for (name, length, expected, size) in cases {
        let input = unmasked(0x82, length);
        let header = from_backend().header(&input).unwrap().unwrap();
        assert_eq!((header.length, header.size), (expected, size), "{name}");
        for cut in 0..input.len() {
            assert_eq!(
                from_backend().header(&input[..cut]),
                Ok(None),
                "{name} cut at {cut}"
            );
        }
    }
}

#[test]
fn a_mask_is_part_of_the_header() {
    let input = [&[0x81, 0x85], &MASK[..], b"hello"].concat();
    let header = from_client().header(&input).unwrap().unwrap();
    assert_eq!(
        (header.mask, header.size, header.length),
        (Some(MASK), 6, 5)
    );
    for cut in 0..6 {
        assert_eq!(
            from_client().header(&input[..cut]),
            Ok(None),
            "cut at {cut}"
        );
    }
}

#[test]
fn what_two_bytes_tell_is_judged_at_once() {
    let cases = [
        (
            "text frame with RSV1",
            [0xC1, 0x00],
            Violation::ReservedBits,
        ),
        (
            "text frame with RSV2",
            [0xA1, 0x00],
            Violation::ReservedBits,
        ),
        (
            "text frame with RSV3",
            [0x91, 0x00],
            Violation::ReservedBits,
        ),
        ("opcode 3", [0x83, 0x00], Violation::ReservedOpcode),
        ("opcode 7", [0x87, 0x00], Violation::ReservedOpcode),
        ("opcode 11", [0x8B, 0x00], Violation::ReservedOpcode),
        ("opcode 15", [0x8F, 0x00], Violation::ReservedOpcode),
        ("mask from a server", [0x81, 0x80], Violation::Masked),
        (
            "fragmented ping",
            [0x09, 0x00],
            Violation::FragmentedControl,
        ),
        (
            "fragmented close",
            [0x08, 0x00],
            Violation::FragmentedControl,
        ),
        ("ping of 126 bytes", [0x89, 126], Violation::LongControl),
        (
            "close of 64-bit length",
            [0x88, 127],
            Violation::LongControl,
        ),
        (
            "continuation of nothing",
            [0x80, 0x00],
            Violation::StrayContinuation,
        ),
    ];
    for (name, input, violation) in cases {
        assert_eq!(from_backend().header(&input), Err(violation), "{name}");
    }
}

#[test]
fn an_unmasked_frame_of_a_client_is_a_violation() {
    assert_eq!(
        from_client().header(&[0x81, 0x00]),
        Err(Violation::NotMasked)
    );
}

#[test]
fn a_length_with_the_highest_bit_is_a_violation() {
    let input = unmasked(0x82, &[127, 0x80, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(from_backend().header(&input), Err(Violation::Length));
}

#[test]
fn reserved_bits_pass_when_an_extension_was_agreed_on() {
    let tracker = Tracker::new(false, true);
    assert!(tracker.header(&[0xC1, 0x00]).unwrap().is_some());
}

#[test]
fn a_message_cannot_begin_inside_another() {
    let mut tracker = from_backend();
    let first = tracker.header(&[0x01, 0x00]).unwrap().unwrap();
    tracker.enter(&first);
    assert_eq!(
        tracker.header(&[0x81, 0x00]),
        Err(Violation::InterruptedMessage)
    );
    assert!(
        tracker.header(&[0x89, 0x00]).is_ok(),
        "a ping between fragments"
    );
    let last = tracker.header(&[0x80, 0x00]).unwrap().unwrap();
    tracker.enter(&last);
    assert!(tracker.header(&[0x81, 0x00]).is_ok(), "the next message");
}

#[test]
fn the_size_of_a_message_is_that_of_all_its_fragments() {
    let mut tracker = from_backend();
    for (first, ping, expected) in [(0x02, false, 100), (0x89, true, 0), (0x00, false, 200)] {
        let header = tracker.header(&[first, 100]).unwrap().unwrap();
        assert_eq!(tracker.message_size_with(&header), expected, "ping: {ping}");
        tracker.enter(&header);
        assert_eq!(tracker.take_payload(1000), 100);
    }
    let last = unmasked(0x80, &[127, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
    let header = tracker.header(&last).unwrap().unwrap();
    assert_eq!(tracker.message_size_with(&header), i64::MAX as u64 + 200);
}

#[test]
fn a_boundary_is_where_no_payload_is_due() {
    let mut tracker = from_backend();
    assert!(tracker.at_boundary());
    let header = tracker.header(&[0x82, 10]).unwrap().unwrap();
    tracker.enter(&header);
    assert!(!tracker.at_boundary());
    assert_eq!(tracker.take_payload(4), 4);
    assert!(!tracker.at_boundary());
    assert_eq!(tracker.take_payload(100), 6);
    assert!(tracker.at_boundary());
}

/// Reads a whole Close frame of a client.
fn close_of(payload: &[u8]) -> Result<Close, Violation> {
    let mut frame = Vec::new();
    let mut payload = payload.to_vec();
    control::write_control(&mut frame, Opcode::Close, &mut payload, Some(MASK));
    let header = from_client().header(&frame).unwrap().unwrap();
    read_close(&header, &frame[header.size..])
}

#[test]
fn a_close_is_read_with_code_and_reason() {
    let close = |code, reason: &str| {
        Ok(Close {
            code,
            reason: reason.to_owned(),
        })
    };
    assert_eq!(close_of(b""), close(None, ""));
    assert_eq!(close_of(b"\x03\xE8"), close(Some(1000), ""));
    assert_eq!(
        close_of(b"\x0F\xA1bye \xC3\xA9"),
        close(Some(4001), "bye é")
    );
    assert_eq!(close_of(b"\x03"), Err(Violation::CloseCode));
    assert_eq!(close_of(b"\x03\xE8\xFF"), Err(Violation::CloseReason));
}

#[test]
fn a_close_code_must_be_one_that_may_be_sent() {
    let valid = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
    ];
    for code in valid.into_iter().chain([3000, 3999, 4000, 4999]) {
        assert!(close_of(&u16::to_be_bytes(code)).is_ok(), "{code}");
    }
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
    ] {
        assert_eq!(
            close_of(&u16::to_be_bytes(code)),
            Err(Violation::CloseCode),
            "{code}"
        );
    }
}

#[test]
fn a_close_that_we_write_can_be_read() {
    for mask in [None, Some(MASK)] {
        let mut frame = Vec::new();
        write_close(&mut frame, Some(1001), &"é".repeat(100), mask);
        let tracker = Tracker::new(mask.is_some(), false);
        let header = tracker.header(&frame).unwrap().unwrap();
        assert_eq!(header.control_size(), frame.len());
        let close = read_close(&header, &frame[header.size..]).unwrap();
        assert_eq!(close.code, Some(1001));
        assert_eq!(
            close.reason,
            "é".repeat(61),
            "cut at a character, not inside one"
        );
    }
}

#[test]
fn a_pong_is_ours_when_it_carries_our_tag() {
    for mask in [None, Some(MASK)] {
        let mut ping = Vec::new();
        write_ping(&mut ping, 0x0102_0304_0506_0708, mask);
        let tracker = Tracker::new(mask.is_some(), false);
        let header = tracker.header(&ping).unwrap().unwrap();
        let payload = &ping[header.size..];
        assert!(carries(&header, payload, 0x0102_0304_0506_0708));
        assert!(!carries(&header, payload, 0x0102_0304_0506_0709));
        assert!(!carries(&header, &payload[..7], 0x0102_0304_0506_0708));
    }
}

/// What the tracker makes of a stream that comes in pieces.
fn frames_in_pieces(
    mut tracker: Tracker,
    stream: &[u8],
    pieces: &[usize],
) -> (Vec<(u8, bool, u64)>, Option<Violation>) {
    let mut frames = Vec::new();
    let (mut held, mut at, mut sizes) = (Vec::new(), 0, pieces.iter().cycle());
    while at < stream.len() {
        let size = (*sizes.next().unwrap()).min(stream.len() - at);
        held.extend_from_slice(&stream[at..at + size]);
        at += size;
        loop {
            let payload = tracker.take_payload(held.len());
            held.drain(..payload);
            if !tracker.at_boundary() {
                break;
            }
            match tracker.header(&held) {
                Err(violation) => return (frames, Some(violation)),
                Ok(None) => break,
                Ok(Some(header)) => {
                    frames.push((header.opcode.bits(), header.fin, header.length));
                    tracker.enter(&header);
                    held.drain(..header.size);
                }
            }
        }
    }
    (frames, None)
}

/// The same by tungstenite's parser, with RFC 6455's rules written down a second time.
fn frames_by_tungstenite(
    masked: bool,
    extensions: bool,
    stream: &[u8],
) -> (Vec<(u8, bool, u64)>, bool) {
    let mut frames = Vec::new();
    let mut cursor = Cursor::new(stream);
    let mut open = false;
    loop {
        let start = cursor.position();
        let (header, length) = match FrameHeader::parse(&mut cursor) {
            Err(_) => return (frames, true),
            Ok(None) => return (frames, false),
            Ok(Some(parsed)) => parsed,
        };
        let opcode = header.opcode;
        let reserved = header.rsv1 || header.rsv2 || header.rsv3;
        let control = matches!(opcode, OpCode::Control(_));
        let long_form = cursor.position() - start > 6;
        let bad = (reserved && !extensions)
            || matches!(
                opcode,
                OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_))
            )
            || header.mask.is_some() != masked
            || (control && (!header.is_final || length > 125 || long_form))
            || (opcode == OpCode::Data(Data::Continue) && !open)
            || (matches!(opcode, OpCode::Data(Data::Text | Data::Binary)) && open)
            || length >> 63 == 1;
        if bad {
            return (frames, true);
        }
        if !control {
            open = !header.is_final;
        }
        frames.push((u8::from(opcode), header.is_final, length));
        let next = cursor.position().saturating_add(length);
        if next > stream.len() as u64 {
            return (frames, false);
        }
        cursor.set_position(next);
    }
}

/// A frame: mostly a good one, sometimes with a first byte from dice or a mask where none belongs.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => prop::sample::select(vec![0x81_u8, 0x82, 0x01, 0x00, 0x80, 0x89, 0x8A, 0x88]),
        1 => any::<u8>(),
    ];
    let masked = prop::bool::weighted(0.97);
    let payload = prop::collection::vec(any::<u8>(), 0..300);
    (first, masked, payload, 0..12_u8).prop_map(|(first, masked, payload, form)| {
        let bit = if masked { 0x80 } else { 0 };
        let length = payload.len();
        let mut frame = vec![first];
        match form {
            0 => {
                frame.push(bit | 127);
                frame.extend((length as u64).to_be_bytes());
            }
            1 => {
                frame.push(bit | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ if length > 125 => {
                frame.push(bit | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => frame.push(bit | length as u8),
        }
        if masked {
            frame.extend(MASK);
        }
        frame.extend(payload);
        frame
    })
}

proptest! {
    #[test]
    fn frames_are_those_that_tungstenite_sees_however_they_are_cut(
        frames in prop::collection::vec(any_frame(), 0..12),
        tail in prop::collection::vec(any::<u8>(), 0..20),
        pieces in prop::collection::vec(1..40_usize, 1..20),
        extensions: bool,
    ) {
        let stream = [frames.concat(), tail].concat();
        let tracker = Tracker::new(true, extensions);
        let (ours, violation) = frames_in_pieces(tracker, &stream, &pieces);
        let (theirs, bad) = frames_by_tungstenite(true, extensions, &stream);
        prop_assert_eq!(&ours, &theirs);
        // Two bytes may be enough for us where tungstenite waits for the whole header.
        prop_assert!(violation.is_some() || !bad, "{:?} {:?}", ours, violation);
        let whole = frames_in_pieces(Tracker::new(true, extensions), &stream, &[stream.len().max(1)]);
        prop_assert_eq!((ours, violation), whole);
    }
}

#[test]
fn a_text_message_is_whole_and_masked_whatever_its_length() {
    for length in [0, 1, 125, 126, 0xffff, 0x1_0000] {
        let text = "x".repeat(length);
        let mut out = Vec::new();
        write_text(&mut out, &text, [1, 2, 3, 4]);
        let message = tokio_tungstenite::tungstenite::protocol::frame::FrameHeader::parse(
            &mut std::io::Cursor::new(&out),
        );
        let (header, found) = message.unwrap().unwrap();
        assert_eq!(found, length as u64);
        assert!(
            header.is_final && header.mask == Some([1, 2, 3, 4]),
            "{length}"
        );
        let payload = &out[out.len() - length..];
        let plain = payload.iter().zip([1, 2, 3, 4].iter().cycle());
        assert!(plain.map(|(byte, key)| byte ^ key).all(|byte| byte == b'x'));
    }
}

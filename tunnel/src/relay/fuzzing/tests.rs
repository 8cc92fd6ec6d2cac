//! Where fuzzing begins: the kinds of streams that the tests of the relay know.

use crate::fuzzing::{input, replay};

use super::frames as follow;

const MASKED: u8 = 1;
const EXTENSIONS: u8 = 2;
const PINGED: u8 = 4;
const SMALL: u8 = 8;

/// A frame with the shortest length that holds; masked by a key of zeros, or not.
fn frame(first: u8, masked: bool, payload: &[u8]) -> Vec<u8> {
    let bit = if masked { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        length @ ..126 => frame.push(bit | length as u8),
        length => {
            frame.push(bit | 126);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    frame.extend(if masked { &[0; 4][..] } else { &[] });
    frame.extend(payload);
    frame
}

fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let server = |first, payload: &[u8]| frame(first, false, payload);
    let client = |first, payload: &[u8]| frame(first, true, payload);
    let fragments = [
        server(0x01, b"one"),
        server(0x89, b"ping"),
        server(0x00, b"two"),
        server(0x8a, b""),
        server(0x80, b"three"),
        server(0x88, b"\x03\xe8bye"),
    ];
    let masked = [
        client(0x82, &[7; 200]),
        client(0x81, b"text"),
        client(0x88, b"\x0f\xa1\xc3\xa9"),
    ];
    let pongs = [
        server(0x8a, b"tidegate"),
        server(0x82, b"between"),
        server(0x8a, b"tidegate"),
        server(0x8a, b"tidegate"),
    ];
    let long = [&[0x82, 127, 0, 0, 0, 0, 0, 0, 0, 3][..], b"abc"].concat();
    let longest = vec![0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 3];
    let large = [server(0x02, &[1; 900]), server(0x80, &[1; 101])].concat();
    let inner = [server(0x01, b"a"), server(0x81, b"b")].concat();
    vec![
        ("fragments", input(0, &[0, 2], &fragments.concat())),
        ("masked", input(MASKED, &[3], &masked.concat())),
        ("pongs of ours", input(PINGED, &[1, 4], &pongs.concat())),
        ("deflated", input(EXTENSIONS, &[0], &server(0xc1, b"\xaa"))),
        ("reserved bits", input(0, &[0], &server(0xc1, b"\xaa"))),
        ("eight bytes of length", input(0, &[4], &long)),
        ("length out of range", input(0, &[4], &longest)),
        ("message too big", input(SMALL, &[250, 250], &large)),
        ("message inside a message", input(0, &[0], &inner)),
        ("stray continuation", input(0, &[], &server(0x80, b"x"))),
        ("fragmented ping", input(0, &[0], &server(0x09, b""))),
        ("long ping", input(0, &[], &server(0x89, &[0; 126]))),
        ("reserved opcode", input(0, &[], &server(0x83, b""))),
        ("not masked", input(MASKED, &[], &server(0x81, b"a"))),
        ("empty close", input(0, &[], &server(0x88, b""))),
        ("half a code", input(0, &[], &server(0x88, b"\x03"))),
        ("code 1005", input(0, &[], &server(0x88, b"\x03\xed"))),
        ("reason", input(0, &[], &server(0x88, b"\x03\xe8\xff"))),
    ]
}

#[test]
fn frames_hold_for_every_seed() {
    replay("frames", &frames(), follow);
}

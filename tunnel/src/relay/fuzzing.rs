//! Frames: what the scanner takes of a stream, however it is cut, against RFC 6455 §5 written down
//! a second time.

#[cfg(test)]
mod tests;
mod walk;

use std::time::Duration;

use tokio::time::Instant;

use super::outcome::Counts;
use super::rules::Rules;
use super::scan::{Scanner, Stop, Want};
use crate::close_cause::CloseCause;
use crate::frame::{self, Close, Tracker};
use crate::fuzzing::Input;
use walk::Walk;

/// What our pings carry here.
const TAG: u64 = u64::from_be_bytes(*b"tidegate");

/// Pings that wait for their answer when a stream begins.
const PINGS: u8 = 2;

/// Most of a partial frame that is kept: a header and the payload of a control frame.
const MAX_HELD: usize = 14 + 125;

/// A small limit is one that a fuzzer reaches.
const MAX_MESSAGE: u64 = 1000;

/// What a stream is read with.
#[derive(Clone, Copy)]
struct Setup {
    masked: bool,
    extensions: bool,
    pinged: bool,
    max_message: Option<u64>,
}

/// How a stream ends for its reader; what is not here is that it just stops.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Close(Close),
    Violation,
    TooBig,
}

/// What a reader makes of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    passed: Vec<u8>,
    counts: Counts,
    end: Option<End>,
    at_boundary: bool,
}

/// Follows one direction of a tunnel.
pub fn frames(data: &[u8]) {
    let Some(input) = Input::read(data) else {
        return;
    };
    let setup = Setup {
        masked: input.chose(0),
        extensions: input.chose(1),
        pinged: input.chose(2),
        max_message: input.chose(3).then_some(MAX_MESSAGE),
    };
    let walk = Walk::over(input.stream, setup);
    let whole = told(setup, [input.stream].into_iter());
    assert_eq!(whole, walk.told, "not what the RFC says");
    let pieces = Pieces::of(&input);
    assert_eq!(told(setup, pieces), walk.told, "the split changes it");
    stops_at_a_boundary(&input, setup, &walk);
    if let Some(End::Close(close)) = &walk.told.end {
        can_be_said_again(close, setup);
    }
}

/// The stream in its pieces.
struct Pieces<'a> {
    left: &'a [u8],
    sizes: std::iter::Cycle<std::vec::IntoIter<usize>>,
}

impl<'a> Pieces<'a> {
    fn of(input: &Input<'a>) -> Self {
        Self {
            left: input.stream,
            sizes: input.pieces.clone().into_iter().cycle(),
        }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let size = self.sizes.next()?.min(self.left.len());
        let (piece, left) = self.left.split_at(size);
        self.left = left;
        (!piece.is_empty()).then_some(piece)
    }
}

fn scanner(setup: Setup, rules: &Rules, now: Instant) -> Scanner {
    let tracker = Tracker::new(setup.masked, setup.extensions);
    let mut scanner = Scanner::new(tracker, rules, TAG, now);
    scanner.pings = if setup.pinged { PINGS } else { 0 };
    scanner
}

fn rules(setup: Setup) -> Rules {
    Rules {
        max_message_bytes: setup.max_message,
        messages: None,
        bytes: None,
        idle: None,
        max_duration: None,
        ping_interval: None,
        pong_timeout: Duration::ZERO,
        write_stall: None,
        close_timeout: Duration::ZERO,
    }
}

/// Reads pieces as the relay does: what is not taken of one comes again before the next.
fn told<'a>(setup: Setup, pieces: impl Iterator<Item = &'a [u8]>) -> Told {
    let (rules, now) = (rules(setup), Instant::now());
    let mut scanner = scanner(setup, &rules, now);
    let mut held = Vec::new();
    let mut passed = Vec::new();
    let mut end = None;
    for piece in pieces {
        held.extend_from_slice(piece);
        let mut done = 0;
        end = loop {
            let scan = scanner.scan(&held[done..], Want::Relay, &rules, now);
            passed.extend_from_slice(&held[done..done + scan.taken]);
            done += scan.taken;
            match scan.stop {
                Stop::Skip(size) => done += size,
                Stop::Close(close) => break Some(End::Close(close)),
                Stop::Violation(_) => break Some(End::Violation),
                Stop::Exceeded(CloseCause::MessageTooBig) => break Some(End::TooBig),
                Stop::End | Stop::Hold => break None,
                other => unreachable!("{other:?} without a rate or a Close"),
            }
        };
        if end.is_some() {
            break;
        }
        held.drain(..done);
        assert!(held.len() < MAX_HELD, "{} bytes are kept", held.len());
    }
    Told {
        passed,
        counts: scanner.counts,
        end,
        at_boundary: scanner.tracker.at_boundary(),
    }
}

/// When a Close of ours is to stand behind the current frame, that is where passing on ends.
fn stops_at_a_boundary(input: &Input<'_>, setup: Setup, walk: &Walk) {
    let (rules, now) = (rules(setup), Instant::now());
    let mut scanner = scanner(setup, &rules, now);
    let first = input.pieces[0].min(input.stream.len());
    let scan = scanner.scan(&input.stream[..first], Want::Relay, &rules, now);
    if !matches!(scan.stop, Stop::End | Stop::Hold) {
        return;
    }
    let rest = scanner.scan(&input.stream[scan.taken..], Want::Boundary, &rules, now);
    let at = scan.taken + rest.taken;
    let expected = walk.boundaries.iter().find(|&&end| end >= scan.taken);
    match rest.stop {
        Stop::Boundary => assert_eq!(Some(&at), expected, "inside a frame"),
        Stop::End => assert!(at == input.stream.len(), "stopped early at {at}"),
        other => unreachable!("{other:?} before a boundary"),
    }
}

/// A Close that was read is one that we can write.
fn can_be_said_again(close: &Close, setup: Setup) {
    let mask = setup.masked.then_some([7, 0, 255, 1]);
    let mut frame = Vec::new();
    frame::write_close(&mut frame, close.code, &close.reason, mask);
    let header = Tracker::new(setup.masked, false).header(&frame);
    let header = header.ok().flatten().expect("a whole header of ours");
    assert_eq!(header.control_size(), frame.len());
    let read = frame::read_close(&header, &frame[header.size..]);
    assert_eq!(read.as_ref(), Ok(close));
}

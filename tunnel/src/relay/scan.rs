//! What is to be done with bytes that came from one side. Pure: no socket, no timer.

use tidegate_config::{OnExceed, Rate};
use tokio::time::Instant;

use super::bucket::Bucket;
use super::outcome::{Counts, FrameKind};
use super::rules::Rules;
use crate::close_cause::CloseCause;
use crate::frame::{self, Close, Header, Opcode, Tracker, Violation};

/// What one side's bytes are wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// To be passed on, within the limits.
    Relay,
    /// To be passed on, while the tunnel is ending: limits do not matter any more.
    Rest,
    /// To be passed on to the end of the current frame, where our own Close will stand.
    Boundary,
    /// Only to find the Close that answers ours.
    Answer,
    /// Not at all: after a Close, or after what cannot be understood.
    Nothing,
}

impl Want {
    pub(super) const fn passes_on(self) -> bool {
        matches!(self, Self::Relay | Self::Rest | Self::Boundary)
    }
}

/// Why a scan ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// All is taken.
    End,
    /// The rest is the beginning of a frame that must be seen whole.
    Hold,
    /// The frame ends here ([`Want::Boundary`]).
    Boundary,
    /// A pong of ours of so many bytes follows, to be left out: go on behind it.
    Skip(usize),
    /// Too fast: go on then.
    Wait(Instant),
    /// A Close, taken as the last frame.
    Close(Close),
    /// A frame that is not allowed; its header is not taken.
    Violation(Violation),
    /// A limit with this cause is exceeded; the header is not taken.
    Exceeded(CloseCause),
}

/// So many bytes are taken, to be passed on if so wanted; then this.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) taken: usize,
    pub(super) stop: Stop,
}

/// One side as a sender: where it stands, what it may still send, what it has sent.
#[derive(Debug)]
pub(super) struct Scanner {
    pub(super) tracker: Tracker,
    /// Boxed, because most APIs have no rates.
    buckets: Option<Box<Buckets>>,
    /// What our pings carry.
    pub(super) tag: u64,
    /// Our pings that are not answered yet.
    pub(super) pings: u8,
    /// The frame that it stands in, or stood in last.
    kind: FrameKind,
    /// What was passed on.
    pub(super) counts: Counts,
}

/// What a side may still send under each rate of the API.
#[derive(Debug)]
struct Buckets {
    messages: Option<Bucket>,
    bytes: Option<Bucket>,
}

impl Buckets {
    /// `None` where the API has no rate.
    fn new(rules: &Rules, now: Instant) -> Option<Box<Self>> {
        let bucket = |rate: &Option<Rate>| rate.as_ref().map(|rate| Bucket::new(rate, now));
        let buckets = Self {
            messages: bucket(&rules.messages),
            bytes: bucket(&rules.bytes),
        };
        let some = buckets.messages.is_some() || buckets.bytes.is_some();
        some.then(|| Box::new(buckets))
    }
}

impl Scanner {
    /// `tag` is what our pings carry.
    pub(super) fn new(tracker: Tracker, rules: &Rules, tag: u64, now: Instant) -> Self {
        Self {
            tracker,
            buckets: Buckets::new(rules, now),
            tag,
            pings: 0,
            kind: FrameKind::default(),
            counts: Counts::default(),
        }
    }

    /// Takes what it can from the front of `input`.
    pub(super) fn scan(&mut self, input: &[u8], want: Want, rules: &Rules, now: Instant) -> Scan {
        if want == Want::Nothing {
            return Scan {
                taken: input.len(),
                stop: Stop::End,
            };
        }
        // Only what goes through in normal times is limited: to slow a tunnel down that is ending would
        // only make its end later.
        let byte_rate = rules.bytes.as_ref().filter(|_| want == Want::Relay);
        let mut allowed = usize::MAX;
        if let (Some(rate), Some(bucket)) = (byte_rate, self.byte_bucket()) {
            allowed = bucket.available(rate, now);
        }
        let (taken, stop) = self.take_frames(input, want, allowed, (rules, now));
        let (Some(rate), Some(bucket)) = (byte_rate, self.byte_bucket()) else {
            return Scan {
                taken,
                stop: stop.unwrap_or(Stop::End),
            };
        };
        // A header is never cut in two, so this may be more than was allowed: a debt.
        bucket.take(taken);
        let stop = stop.unwrap_or_else(|| match rate.on_exceed {
            OnExceed::Delay => Stop::Wait(bucket.refilled(rate, true)),
            OnExceed::Close => Stop::Exceeded(CloseCause::ByteRate),
        });
        Scan { taken, stop }
    }

    fn byte_bucket(&mut self) -> Option<&mut Bucket> {
        self.buckets.as_mut()?.bytes.as_mut()
    }

    /// `None` instead of a [`Stop`]: no more bytes are allowed, and there are more.
    fn take_frames(
        &mut self,
        input: &[u8],
        want: Want,
        mut allowed: usize,
        limits: (&Rules, Instant),
    ) -> (usize, Option<Stop>) {
        let mut taken = 0;
        loop {
            let rest = &input[taken..];
            let boundary = self.tracker.at_boundary();
            if boundary && want == Want::Boundary {
                return (taken, Some(Stop::Boundary));
            }
            if rest.is_empty() {
                return (taken, Some(Stop::End));
            }
            if allowed == 0 {
                return (taken, None);
            }
            let size = if boundary {
                match self.take_header(rest, want, limits) {
                    Ok(size) => size,
                    Err(Refused::Close(close, size)) => {
                        self.count_bytes(size, want);
                        return (taken + size, Some(Stop::Close(close)));
                    }
                    Err(Refused::Stop(stop)) => return (taken, Some(stop)),
                }
            } else {
                self.tracker.take_payload(rest.len().min(allowed))
            };
            self.count_bytes(size, want);
            taken += size;
            allowed = allowed.saturating_sub(size);
        }
    }

    /// Takes one header; says how long it is.
    fn take_header(
        &mut self,
        input: &[u8],
        want: Want,
        (rules, now): (&Rules, Instant),
    ) -> Result<usize, Refused> {
        let header = self.tracker.header(input).map_err(Stop::Violation)?;
        let header = header.ok_or(Stop::Hold)?;
        match header.opcode {
            // Seen whole before any of it is passed on: once its header is at the other side, neither
            // its code could be judged nor another Close be put in its place.
            Opcode::Close => {
                let payload = control_payload(&header, input)?;
                let close = frame::read_close(&header, payload).map_err(Stop::Violation)?;
                self.count(Opcode::Close);
                return Err(Refused::Close(close, header.control_size()));
            }
            // Only one of 8 bytes can be ours, so the peers' own pongs pass without being held.
            Opcode::Pong if self.pings > 0 && header.length == 8 => {
                let payload = control_payload(&header, input)?;
                if frame::carries(&header, payload, self.tag) {
                    self.pings -= 1;
                    return Err(Stop::Skip(header.control_size()).into());
                }
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary if want == Want::Relay => {
                self.check_limits(&header, rules, now)?;
            }
            _ => {}
        }
        self.count(header.opcode);
        self.tracker.enter(&header);
        Ok(header.size)
    }

    fn check_limits(&mut self, header: &Header, rules: &Rules, now: Instant) -> Result<(), Stop> {
        let size = self.tracker.message_size_with(header);
        if rules.max_message_bytes.is_some_and(|max| size > max) {
            return Err(Stop::Exceeded(CloseCause::MessageTooBig));
        }
        let bucket = self.buckets.as_mut();
        let bucket = bucket.and_then(|buckets| buckets.messages.as_mut());
        let (Some(rate), Some(bucket)) = (&rules.messages, bucket) else {
            return Ok(());
        };
        // A message counts once, by its first frame.
        if header.opcode == Opcode::Continuation {
            return Ok(());
        }
        if bucket.available(rate, now) == 0 {
            return Err(match rate.on_exceed {
                OnExceed::Delay => Stop::Wait(bucket.refilled(rate, false)),
                OnExceed::Close => Stop::Exceeded(CloseCause::MessageRate),
            });
        }
        bucket.take(1);
        Ok(())
    }

    fn count(&mut self, opcode: Opcode) {
        self.kind = match opcode {
            Opcode::Continuation if self.tracker.in_binary() => FrameKind::BinaryFragment,
            Opcode::Continuation => FrameKind::TextFragment,
            Opcode::Text => FrameKind::Text,
            Opcode::Binary => FrameKind::Binary,
            Opcode::Close => FrameKind::Close,
            Opcode::Ping => FrameKind::Ping,
            Opcode::Pong => FrameKind::Pong,
        };
        self.counts.frames[self.kind] += 1;
    }

    /// `size` bytes of the frame that it stands in.
    fn count_bytes(&mut self, size: usize, want: Want) {
        if want.passes_on() {
            self.counts.bytes[self.kind] += size as u64;
        }
    }
}

/// Why a header was not taken.
enum Refused {
    /// It is that of a Close, of so many bytes in all.
    Close(Close, usize),
    /// Something else.
    Stop(Stop),
}

impl From<Stop> for Refused {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// The payload of a control frame at the start of `input`, or [`Stop::Hold`].
fn control_payload<'a>(header: &Header, input: &'a [u8]) -> Result<&'a [u8], Stop> {
    input
        .get(header.size..header.control_size())
        .ok_or(Stop::Hold)
}

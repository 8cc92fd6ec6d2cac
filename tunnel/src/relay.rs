//! Carries bytes between a client and its backend until one of them, or the gateway, closes.
//!
//! One hand-written future per tunnel. It follows frame headers in both directions (`frame`,
//! `scan`), so it knows where a frame of our own may stand, and passes everything else through as
//! it came: no payload is unmasked, copied into a message, or re-framed.
//!
//! While nothing moves, a tunnel holds no buffer: bytes are read into a scratch buffer that all
//! tunnels of a worker thread share, and which is borrowed only inside one poll. What the other
//! side does not take at once is kept (`backlog`), and until it is taken, nothing more is read: a
//! slow reader costs one scratch buffer of memory at most.
//!
//! A round moves what can be moved without waiting, in both directions by turns; `pump` is one
//! direction of a round, `ending` the way from the first Close to the last byte, `timer` the table
//! of everything that waits for time. This module must not know why a tunnel may be opened.

mod backlog;
mod bucket;
mod close_codes;
mod ending;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod leg;
mod outcome;
mod pump;
mod rules;
mod scan;
#[cfg(test)]
mod tests;
mod timer;

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::time::Instant;

pub use outcome::{Counts, FrameKind, Initiator, Meter, Outcome, PerKind, Side};
pub use rules::Rules;

use crate::close_cause::CloseCause;
use crate::frame::Tracker;
use crate::session::{Command, Session};
use crate::transport::{Transport, Wire};
use ending::Ending;
use leg::Leg;
use scan::Scanner;
use timer::Alarm;

/// Bytes read at once. 64 KiB is where larger reads stop saving system calls noticeably, and what
/// a tunnel may keep in memory for a slow reader.
const SCRATCH: usize = 64 * 1024;

/// Rounds in one poll; then the other tunnels of this worker have their turn. Eight rounds are 1 MiB
/// at most, about 200 µs.
const ROUNDS: usize = 8;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into());
}

/// Two legs after their handshakes.
pub struct Tunnel<T = Transport> {
    /// The leg to the client; the 101 is written.
    pub client: T,
    /// The leg to the backend.
    pub backend: T,
    /// What was read from the client beyond its request head.
    pub from_client: Bytes,
    /// What was read from the backend beyond its answer's head.
    pub from_backend: Bytes,
    /// Did the 101 agree on an extension? Without one, RSV bits are a violation.
    pub extensions: bool,
    /// Limits and timeouts.
    pub rules: Arc<Rules>,
    /// Who is told to end it.
    pub session: Session,
    /// Who counts what goes through.
    pub meter: Option<Arc<dyn Meter>>,
}

/// Runs a tunnel to its end. Must be called on the runtime that polls the future.
pub fn relay<T: Wire>(tunnel: Tunnel<T>) -> Relay<T> {
    let now = Instant::now();
    let rules = tunnel.rules;
    // 64 random bits, so that only a pong to our ping carries it.
    let tag = rand::random();
    let scanner = |masked| {
        let tracker = Tracker::new(masked, tunnel.extensions);
        Scanner::new(tracker, &rules, tag, now)
    };
    Relay {
        legs: [
            Leg::new(tunnel.client, scanner(true), &tunnel.from_client, now),
            Leg::new(tunnel.backend, scanner(false), &tunnel.from_backend, now),
        ],
        started: now,
        moved: now,
        retire_at: timer::retirement(&rules, now),
        expiry: tunnel.session.expiry(now),
        command: None,
        ending: None,
        waker: None,
        alarm: Alarm::default(),
        calm: false,
        rules,
        session: tunnel.session,
        meter: tunnel.meter,
    }
}

/// A running tunnel.
pub struct Relay<T> {
    legs: [Leg<T>; 2],
    started: Instant,
    /// When bytes were last passed on in any direction.
    moved: Instant,
    /// When it reaches its maximum age.
    retire_at: Option<Instant>,
    /// When its token or subscription expires.
    expiry: Option<(Instant, CloseCause)>,
    command: Option<Command>,
    /// Boxed: most of a tunnel's life there is none.
    ending: Option<Box<Ending>>,
    /// The waker that the control channel and the alarm know.
    waker: Option<Waker>,
    alarm: Alarm,
    /// The alarm was set, or not needed, when it was last calm.
    calm: bool,
    rules: Arc<Rules>,
    session: Session,
    meter: Option<Arc<dyn Meter>>,
}

/// What one poll works with.
struct Round<'a, 'b> {
    cx: &'a mut Context<'b>,
    now: Instant,
    /// Sides that had nothing to read: they wake the task when they have.
    silent: [bool; 2],
    /// What a side had sent before this poll. `None`: it has sent nothing since, so most polls copy the
    /// counts of one side only.
    before: [Option<Counts>; 2],
}

impl<T: Wire> Future for Relay<T> {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let this = self.get_mut();
        let mut round = Round {
            now: Instant::now(),
            cx,
            silent: [false; 2],
            before: [None; 2],
        };
        let new_waker = this.notice_waker(round.cx);
        let poll_command = this.take_command(round.now);
        // Otherwise no row of the table can be due: most polls need not look.
        if new_waker || poll_command || this.alarm.is_due(round.now) {
            this.fire_timers(round.now);
        }
        if this.is_over() {
            return Poll::Ready(this.outcome(round.now));
        }
        let waited = this.waits();
        let tired = BUFFER.with_borrow_mut(|scratch| this.run(&mut round, scratch));
        this.report(&round.before);
        if this.is_over() {
            return Poll::Ready(this.outcome(round.now));
        }
        // From one calm moment to the next, times only move forward: most polls need not look. A
        // tunnel that never comes to rest has its timers like any other.
        let was_calm = this.calm;
        let began = (0..2).any(|leg| this.waits()[leg] && !waited[leg]);
        this.calm = this.is_calm();
        if began
            || !(this.calm && was_calm)
            || new_waker
            || poll_command
            || this.alarm.is_due(round.now)
        {
            this.set_alarm(&mut round, new_waker);
        }
        if tired {
            round.cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl<T: Wire> Relay<T> {
    /// Registers the task with the control channel. Tasks keep their waker, so this happens once.
    fn notice_waker(&mut self, cx: &Context<'_>) -> bool {
        if let Some(waker) = &self.waker
            && waker.will_wake(cx.waker())
        {
            return false;
        }
        self.session.watch(cx.waker());
        self.waker = Some(cx.waker().clone());
        true
    }

    /// Reads the control channel; a command to cut is executed at once.
    fn take_command(&mut self, now: Instant) -> bool {
        let Some(command) = self.session.poll_command() else {
            return false;
        };
        // The channel also wakes us when only the expiry has moved.
        self.expiry = self.session.expiry(now);
        self.command = command;
        if command.is_some_and(|command| command.cause == CloseCause::Cut) {
            self.cut(now);
        }
        true
    }

    /// Moves what can be moved; says whether there is more than one poll's share.
    fn run(&mut self, round: &mut Round<'_, '_>, scratch: &mut [u8]) -> bool {
        for _ in 0..ROUNDS {
            let was_ending = self.ending.is_some();
            let mut progress = false;
            for side in [Side::Client, Side::Backend] {
                // In this order: what waits goes first, then a frame of our own if one may stand behind
                // it, and only then is more taken from the other side.
                progress |= self.leg(side).deliver(round.cx, round.now);
                progress |= self.inject(round, side);
                progress |= self.pump(round, side, scratch);
            }
            for leg in &mut self.legs {
                let was_ready = leg.is_ready();
                leg.flush(round.cx, round.now);
                progress |= !was_ready && leg.is_ready();
            }
            self.shut_legs(round);
            progress |= was_ending != self.ending.is_some();
            // Another round would ask sockets once more that have nothing left to tell.
            if !progress || self.is_over() {
                return false;
            }
        }
        true
    }

    /// Is something on the way to each side?
    fn waits(&self) -> [bool; 2] {
        [0, 1].map(|leg| self.legs[leg].waiting.is_some())
    }

    fn leg(&mut self, side: Side) -> &mut Leg<T> {
        &mut self.legs[side as usize]
    }

    /// The leg of `side`, and the one across.
    fn pair(&mut self, side: Side) -> (&mut Leg<T>, &mut Leg<T>) {
        let [client, backend] = &mut self.legs;
        match side {
            Side::Client => (client, backend),
            Side::Backend => (backend, client),
        }
    }

    /// What each side has sent so far.
    fn counts(&self) -> [Counts; 2] {
        [self.legs[0].scanner.counts, self.legs[1].scanner.counts]
    }

    /// Tells the registry and the meter what was passed on since `before`.
    fn report(&self, before: &[Option<Counts>; 2]) {
        for side in [Side::Client, Side::Backend] {
            let Some(before) = &before[side as usize] else {
                continue;
            };
            let counts = &self.legs[side as usize].scanner.counts;
            if counts == before {
                continue;
            }
            let (messages, bytes) = (counts.messages(), counts.bytes.sum());
            self.session.passed(side as usize, messages, bytes);
            if let Some(meter) = &self.meter {
                meter.passed(side, &counts.since(before));
            }
        }
    }
}

//! From the first Close to the last byte: who is told what, and how long is waited for whom.
//!
//! A leg has its say: everything taken for it is written, then a Close (the other peer's own, or
//! ours), unless no frame boundary comes; it answers, or time runs out. Then our side is shut, and
//! what still comes is read and dropped for a moment: closing a socket with unread bytes makes
//! the kernel send a reset, and a reset may destroy our Close before the peer has read it.
//!
//! Time runs for a peer from when it has what it was sent, the Close included. Until then only one thing
//! ends it: that it takes nothing (docs/gateway.md has the table).
//!
//! The server closes first (RFC 6455 §7.1.1): a backend whose Close came is given that moment to
//! do so before our side is shut, so that no port of ours is kept in TIME_WAIT for it.

use std::time::Duration;

use tokio::time::Instant;

use super::leg::{Incoming, Leg, Outgoing, PendingClose, Ping, QUARTERS};
use super::outcome::{Outcome, Side};
use super::{Relay, Round};
use crate::close_cause::CloseCause;
use crate::frame::{self, Close, Violation};
use crate::socket::USER_TIMEOUT;
use crate::transport::Wire;

/// How long a peer may take to close its socket after we shut ours. Two seconds are several round
/// trips of a bad mobile network; a slower peer may see a reset after a complete closing handshake.
const LINGER: Duration = Duration::from_secs(2);

/// How often it is looked whether a peer still takes what waits for it: at most a second late is
/// noticed what it has taken, or that it takes nothing.
const LOOK: Duration = Duration::from_secs(1);

/// What is read and dropped of both peers between two looks: little work, and within `closeTimeout` more
/// than is on its way in most kernels when a Close reaches its sender, so that the answer is found behind.
const MAX_DISCARDED: usize = 8 * 1024 * 1024;

/// A tunnel that is on its way out.
pub(super) struct Ending {
    cause: CloseCause,
    reason: String,
    /// Until then peers have time, as far as is known.
    deadline: Instant,
    /// When to look before that whether something is still taken.
    look_at: Option<Instant>,
    /// Since when it is as strict as it is.
    since: Instant,
    /// A peer that takes nothing has `closeTimeout` only: see [`CloseCause::is_strict`].
    strict: bool,
    /// How long a peer may take nothing of what waits for it.
    stall: Duration,
    /// How long the end of a frame is waited for that our Close must follow, if its receiver is the one
    /// that takes its time.
    frames_until: Instant,
    /// Read and dropped since the last look.
    discarded: usize,
    /// Only for the sockets to close is waited now.
    lingering: bool,
    over: bool,
}

/// Where a peer stands with what it was sent.
enum Progress {
    /// It does not have everything.
    Pending,
    /// It has had everything since then at the latest.
    Done(Instant),
    /// Nothing has changed.
    Idle,
}

impl Ending {
    /// When something is to be done about it.
    pub(super) fn due(&self) -> Instant {
        self.look_at
            .map_or(self.deadline, |at| at.min(self.deadline))
    }

    pub(super) const fn is_strict(&self) -> bool {
        self.strict
    }

    /// Looks what became of what was sent to `leg`; gives it up when it takes nothing.
    fn check_delivery<T: Wire>(&self, leg: &mut Leg<T>, now: Instant) -> Progress {
        if leg.is_broken() {
            return Progress::Idle;
        }
        let told = leg.outgoing.is_told();
        let look = leg.look(now);
        // As long as the other one still speaks, some bytes are always on their way.
        let pending = if told { look.pending } else { !leg.is_ready() };
        if !pending {
            let taken = look.taken_at.filter(|_| told);
            return taken.map_or(Progress::Idle, Progress::Done);
        }
        let since = leg.waiting.unwrap_or(now);
        let since = if self.strict {
            since.max(self.since)
        } else {
            since
        };
        if now < since + self.stall {
            return Progress::Pending;
        }
        leg.abandon();
        Progress::Idle
    }
}

impl<T: Wire> Relay<T> {
    /// Begins to end the tunnel, unless it is ending already. `offender` broke a rule.
    pub(super) fn begin(&mut self, cause: CloseCause, offender: Option<Side>, now: Instant) {
        self.begin_with(cause, offender, None, now);
    }

    /// As [`begin`](Self::begin), with the configured code of a drain or of ended access.
    pub(super) fn begin_with(
        &mut self,
        cause: CloseCause,
        offender: Option<Side>,
        code: Option<u16>,
        now: Instant,
    ) {
        if self.ending.is_some() {
            return;
        }
        for leg in &mut self.legs {
            leg.settle(now);
        }
        let codes = cause.close_codes(offender, code);
        for side in [Side::Client, Side::Backend] {
            let leg = self.leg(side);
            if leg.ping == Ping::Wanted {
                leg.ping = Ping::Idle;
            }
            leg.resume_at = None;
            leg.say_close(codes.to(side), cause.text());
        }
        let (strict, close_timeout) = (cause.is_strict(), self.rules.close_timeout);
        let stall = self.stall_limit(strict);
        self.ending = Some(Box::new(Ending {
            cause,
            reason: cause.text().to_owned(),
            deadline: now + close_timeout,
            look_at: None,
            since: now,
            strict,
            stall,
            frames_until: now + self.stall_limit(false).max(close_timeout),
            discarded: 0,
            lingering: false,
            over: false,
        }));
    }

    /// How long a peer may take nothing while the tunnel ends.
    fn stall_limit(&self, strict: bool) -> Duration {
        let stall = self.rules.write_stall.unwrap_or(USER_TIMEOUT);
        if strict {
            stall.min(self.rules.close_timeout)
        } else {
            stall
        }
    }

    /// Ends the tunnel by command or age. One that is ending already, for reasons that leave its peers all
    /// the time that they need, is told to pass on nothing more.
    pub(super) fn execute(&mut self, cause: CloseCause, code: Option<u16>, now: Instant) {
        let close_timeout = self.rules.close_timeout;
        let stall = self.stall_limit(cause.is_strict());
        let frames_until = now + self.stall_limit(false).max(close_timeout);
        let Some(ending) = &mut self.ending else {
            return self.begin_with(cause, None, code, now);
        };
        ending.strict |= cause.is_strict();
        ending.since = now;
        ending.stall = ending.stall.min(stall);
        ending.frames_until = frames_until;
        ending.deadline = ending.deadline.min(now + close_timeout);
        let codes = cause.close_codes(None, code);
        for side in [Side::Client, Side::Backend] {
            self.leg(side).say_close(codes.to(side), cause.text());
        }
    }

    /// Is what is read only to be dropped, and was enough of it dropped for now?
    pub(super) fn has_discarded_enough(&self) -> bool {
        let ending = self.ending.as_ref();
        ending.is_some_and(|ending| ending.discarded >= MAX_DISCARDED)
    }

    /// Bytes were read that go nowhere.
    pub(super) fn discard(&mut self, count: usize) {
        if let Some(ending) = &mut self.ending {
            ending.discarded += count;
        }
    }

    /// Ends it now, without a Close.
    pub(super) fn cut(&mut self, now: Instant) {
        self.begin(CloseCause::Cut, None, now);
        if let Some(ending) = &mut self.ending {
            ending.over = true;
        }
    }

    /// `side` sent a Close.
    pub(super) fn on_close(&mut self, side: Side, close: Close, passed_on: bool, now: Instant) {
        let (from, to) = self.pair(side);
        from.incoming = Incoming::Closed;
        from.code = from.code.or(close.code);
        if passed_on {
            to.outgoing = Outgoing::Closed;
            to.code = to.code.or(close.code);
        }
        if self.ending.is_none() {
            self.begin(
                match side {
                    Side::Client => CloseCause::ClientClosed,
                    Side::Backend => CloseCause::BackendClosed,
                },
                None,
                now,
            );
            self.give_reason(close.reason);
        }
    }

    /// Nothing more comes from `side`.
    pub(super) fn on_ended(&mut self, side: Side, now: Instant) {
        if self.leg(side).incoming.has_closed() {
            return;
        }
        self.begin(
            match side {
                Side::Client => CloseCause::ClientLost,
                Side::Backend => CloseCause::BackendLost,
            },
            None,
            now,
        );
        self.leg(side).mute();
        self.answer_for(side);
    }

    /// `side` sent what RFC 6455 does not allow.
    pub(super) fn on_violation(&mut self, side: Side, violation: Violation, now: Instant) {
        self.leg(side).incoming = Incoming::Garbled;
        if self.ending.is_some() {
            self.answer_for(side);
            return;
        }
        self.begin(CloseCause::ProtocolViolation, Some(side), now);
        self.give_reason(violation.text().to_owned());
        if let Outgoing::Closing(close) = &mut self.leg(side).outgoing {
            close.reason = violation.text();
        }
    }

    /// The text of a Close: ours, or that of whoever closed the tunnel.
    fn reason_of(&self, close: PendingClose) -> &str {
        match &self.ending {
            Some(ending)
                if ending.cause == CloseCause::AdminClosed
                    && close.reason == CloseCause::AdminClosed.text() =>
            {
                &ending.reason
            }
            _ => close.reason,
        }
    }

    fn give_reason(&mut self, reason: String) {
        if let Some(ending) = &mut self.ending {
            ending.reason = reason;
        }
    }

    /// The reason that whoever closed the tunnel gave, if it ends for that.
    pub(super) fn give_reason_of(&mut self, cause: CloseCause) {
        let is_cause = self
            .ending
            .as_ref()
            .is_some_and(|ending| ending.cause == cause);
        if cause == CloseCause::AdminClosed
            && is_cause
            && let Some(reason) = self.session.close_reason()
        {
            self.give_reason(reason);
        }
    }

    /// `side` will not answer the Close of the other one: we do, with its own code.
    fn answer_for(&mut self, side: Side) {
        let (_, other) = self.pair(side);
        if other.incoming.has_closed() && !other.outgoing.is_told() {
            other.outgoing = Outgoing::Closing(PendingClose {
                code: other.code,
                reason: "",
            });
        }
    }

    /// Writes frames of our own for `side` if one may stand here; says whether one did.
    pub(super) fn inject(&mut self, round: &mut Round<'_, '_>, side: Side) -> bool {
        let (leg, other) = self.pair(side);
        let close = match leg.outgoing {
            Outgoing::Closing(close) => Some(close),
            _ => None,
        };
        if close.is_none() && leg.ping != Ping::Wanted {
            return false;
        }
        if !other.scanner.tracker.at_boundary() {
            // The rest of the frame will never come.
            if other.incoming.has_ended() {
                leg.mute();
            }
            return false;
        }
        let mask = (side == Side::Backend).then(rand::random);
        let mut frame = Vec::new();
        if let Some(close) = close {
            frame::write_close(&mut frame, close.code, self.reason_of(close), mask);
        }
        let leg = self.leg(side);
        if let Some(close) = close {
            leg.outgoing = Outgoing::Closed;
            leg.code = leg.code.or(close.code);
        } else {
            frame::write_ping(&mut frame, leg.scanner.tag, mask);
            leg.scanner.pings = leg.scanner.pings.saturating_add(1);
            leg.ping = Ping::Sent {
                since: round.now,
                left: false,
            };
        }
        leg.send(round.cx, &frame, round.now);
        true
    }

    /// While the tunnel is ending: shuts the legs that are done with.
    pub(super) fn shut_legs(&mut self, round: &mut Round<'_, '_>) {
        let Some(ending) = &mut self.ending else {
            return;
        };
        let mut all = true;
        for (side, leg) in [Side::Client, Side::Backend].iter().zip(&mut self.legs) {
            if !leg.was_told_all() || !(ending.lingering || leg.has_said_all()) {
                all = false;
            } else if *side == Side::Client || !leg.will_end() {
                leg.shutdown(round.cx);
            }
        }
        if all && !ending.lingering {
            ending.lingering = true;
            ending.deadline = ending.deadline.min(round.now + LINGER);
        }
        if ending.discarded >= MAX_DISCARDED {
            ending.look_at.get_or_insert(round.now + LOOK);
        }
        // What has left is the kernels' business; what has not would be lost with this process.
        let parted = self
            .legs
            .iter()
            .all(|leg| leg.is_shut() && leg.incoming.has_ended());
        if parted && !self.legs.iter_mut().any(|leg| leg.has_unsent(round.now)) {
            ending.over = true;
        }
    }

    /// It is time to look at the ending, or its deadline is reached.
    pub(super) fn on_deadline(&mut self, now: Instant) {
        let close_timeout = self.rules.close_timeout;
        let Some(ending) = &mut self.ending else {
            return;
        };
        ending.discarded = 0;
        ending.look_at = None;
        let time = if ending.lingering {
            LINGER
        } else {
            close_timeout
        };
        let mut pending = false;
        for leg in &mut self.legs {
            match ending.check_delivery(leg, now) {
                Progress::Pending => pending = true,
                Progress::Done(at) => ending.deadline = ending.deadline.max(at + time),
                Progress::Idle => {}
            }
        }
        if pending {
            let look_at = now + LOOK.min(ending.stall / u32::from(QUARTERS));
            ending.deadline = look_at.max(now + time);
            ending.look_at = Some(look_at);
            if now >= ending.frames_until {
                self.give_up_frames();
            }
            return;
        }
        if now < ending.deadline {
            return;
        }
        if ending.lingering {
            ending.over = true;
            return;
        }
        ending.lingering = true;
        ending.deadline = now + LINGER;
        self.answer_for(Side::Client);
        self.answer_for(Side::Backend);
        self.give_up_frames();
        for leg in &mut self.legs {
            leg.give_up_answer();
        }
    }

    /// Frames that did not end in time get no Close behind them.
    fn give_up_frames(&mut self) {
        for side in [Side::Client, Side::Backend] {
            let (leg, other) = self.pair(side);
            let waits = matches!(leg.outgoing, Outgoing::Closing(_));
            if waits && !other.scanner.tracker.at_boundary() {
                leg.mute();
            }
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.ending.as_ref().is_some_and(|ending| ending.over)
    }

    /// What is to be told of the tunnel.
    pub(super) fn outcome(&mut self, now: Instant) -> Outcome {
        let (cause, reason) = match self.ending.take() {
            Some(ending) => (ending.cause, ending.reason),
            None => (CloseCause::Fault, String::new()),
        };
        let [from_client, from_backend] = self.counts();
        let [client, backend] = &self.legs;
        Outcome {
            initiator: cause.initiator(),
            cause,
            client_code: client.code,
            backend_code: backend.code,
            reason,
            from_client,
            from_backend,
            duration: now - self.started,
        }
    }
}

//! From the first Close to the last byte: who is told what, and how long is waited for whom.
//!
//! A leg has its say: everything taken for it is written, then a Close (the other peer's own, or
//! ours), unless no frame boundary comes; it answers, or time runs out. Then our side is shut, and
//! what still comes is read and dropped for a moment: closing a socket with unread bytes makes
//! the kernel send a reset, and a reset may destroy our Close before the peer has read it.
//!
//! The server closes first (RFC 6455 §7.1.1): a backend that has said goodbye is given that moment to
//! do so before our side is shut, so that no port of ours is kept in TIME_WAIT for it.

use std::time::Duration;

use tokio::time::Instant;

use super::leg::Goodbye;
use super::outcome::{CloseCause, Outcome, Side};
use super::{Relay, Turn};
use crate::frame::{self, Close, Violation};
use crate::transport::Wire;

/// How long a peer may take to close its socket after we shut ours. Two seconds are several round
/// trips of a bad mobile network; who is slower may see a reset after a complete goodbye.
const LINGER: Duration = Duration::from_secs(2);

/// A tunnel that is on its way out.
pub(super) struct Ending {
    cause: CloseCause,
    reason: String,
    pub(super) deadline: Instant,
    /// Nobody is waited for any more but the sockets.
    lingering: bool,
    over: bool,
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
        let farewell = cause.farewell(offender, code);
        for side in [Side::Client, Side::Backend] {
            let leg = self.leg(side);
            leg.wants_ping = false;
            leg.resume_at = None;
            leg.goodbye = farewell.to(side).map(|code| Goodbye {
                code: Some(code),
                reason: cause.text(),
            });
        }
        self.ending = Some(Box::new(Ending {
            cause,
            reason: cause.text().to_owned(),
            deadline: now + self.rules.close_timeout,
            lingering: false,
            over: false,
        }));
    }

    /// Ends it now, without a goodbye.
    pub(super) fn cut(&mut self, now: Instant) {
        self.begin(CloseCause::Cut, None, now);
        if let Some(ending) = &mut self.ending {
            ending.over = true;
        }
    }

    /// `side` sent a Close.
    pub(super) fn on_close(&mut self, side: Side, close: Close, passed_on: bool, now: Instant) {
        let (from, to) = self.pair(side);
        from.close_received = true;
        from.code = from.code.or(close.code);
        if passed_on {
            to.close_sent = true;
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
        if self.leg(side).close_received {
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
        let from = self.leg(side);
        from.mute = true;
        from.goodbye = None;
        self.answer_for(side);
    }

    /// `side` sent what RFC 6455 does not allow.
    pub(super) fn on_violation(&mut self, side: Side, violation: Violation, now: Instant) {
        self.leg(side).garbled = true;
        if self.ending.is_some() {
            self.answer_for(side);
            return;
        }
        self.begin(CloseCause::ProtocolViolation, Some(side), now);
        self.give_reason(violation.text().to_owned());
        if let Some(goodbye) = &mut self.leg(side).goodbye {
            goodbye.reason = violation.text();
        }
    }

    fn give_reason(&mut self, reason: String) {
        if let Some(ending) = &mut self.ending {
            ending.reason = reason;
        }
    }

    /// `side` will not answer the Close of the other one: we do, with its own code.
    fn answer_for(&mut self, side: Side) {
        let (_, other) = self.pair(side);
        if other.close_received && !other.close_sent && !other.mute {
            other.goodbye = Some(Goodbye {
                code: other.code,
                reason: "",
            });
        }
    }

    /// Writes frames of our own for `side` if one may stand here; says whether one did.
    pub(super) fn inject(&mut self, turn: &mut Turn<'_, '_>, side: Side) -> bool {
        let tag = self.tag;
        let (leg, other) = self.pair(side);
        if leg.goodbye.is_none() && !leg.wants_ping {
            return false;
        }
        if !other.scanner.tracker.at_boundary() {
            // The rest of the frame will never come, or there is nobody to take it.
            if other.ended || leg.broken {
                leg.goodbye = None;
                leg.mute = true;
            }
            return false;
        }
        let mask = (side == Side::Backend).then(rand::random);
        let mut frame = Vec::new();
        if let Some(goodbye) = leg.goodbye.take() {
            frame::write_close(&mut frame, goodbye.code, goodbye.reason, mask);
            leg.close_sent = true;
            leg.code = leg.code.or(goodbye.code);
        } else {
            frame::write_ping(&mut frame, tag, mask);
            leg.scanner.pings = leg.scanner.pings.saturating_add(1);
            leg.pinged_at = Some(turn.now);
        }
        leg.wants_ping = false;
        leg.send(turn.cx, &frame, turn.now);
        true
    }

    /// While the tunnel is ending: shuts the legs that are done with.
    pub(super) fn part(&mut self, turn: &mut Turn<'_, '_>) {
        let Some(ending) = &mut self.ending else {
            return;
        };
        let mut all = true;
        for (side, leg) in [Side::Client, Side::Backend].iter().zip(&mut self.legs) {
            if !leg.was_told_all() || !(ending.lingering || leg.has_said_all()) {
                all = false;
            } else if *side == Side::Client || !leg.will_end() {
                leg.shutdown(turn.cx);
            }
        }
        if all && !ending.lingering {
            ending.lingering = true;
            ending.deadline = ending.deadline.min(turn.now + LINGER);
        }
    }

    /// The deadline of the ending is reached.
    pub(super) fn on_deadline(&mut self, now: Instant) {
        let Some(ending) = &mut self.ending else {
            return;
        };
        if ending.lingering {
            ending.over = true;
            return;
        }
        ending.lingering = true;
        ending.deadline = now + LINGER;
        self.answer_for(Side::Client);
        self.answer_for(Side::Backend);
        for side in [Side::Client, Side::Backend] {
            let (leg, other) = self.pair(side);
            let boundary = other.scanner.tracker.at_boundary();
            if leg.goodbye.is_none() || !boundary {
                leg.goodbye = None;
                leg.mute = true;
            }
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.ending
            .as_ref()
            .is_some_and(|ending| ending.over || self.legs.iter().all(|leg| leg.shut && leg.ended))
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

//! One direction of a round: from one leg to the other.

use std::task::Poll;

use super::leg::{Incoming, Outgoing};
use super::scan::{Stop, Want};
use super::{Relay, Round, Side};
use crate::transport::Wire;

impl<T: Wire> Relay<T> {
    /// Takes what `side` has sent and passes it on; says whether anything happened.
    pub(super) fn pump(
        &mut self,
        round: &mut Round<'_, '_>,
        side: Side,
        scratch: &mut [u8],
    ) -> bool {
        let want = self.want(side);
        let (from, to) = self.pair(side);
        if from.incoming.has_ended() {
            return false;
        }
        let waits = match want {
            // Once the tunnel is ending, rates hold nobody back: the rest is to be over soon.
            Want::Relay => !to.is_ready() || from.resume_at.is_some(),
            Want::Rest | Want::Boundary => !to.is_ready(),
            // Nothing of it goes to the other leg, so that one need not be ready.
            Want::Answer | Want::Nothing => false,
        };
        from.set_blocked(waits, round.now);
        if waits {
            return false;
        }
        // A partial frame says no more than when it was kept: only more bytes can help, read behind it.
        if !from.input.is_empty() && !from.partial {
            return self.pump_input(round, side);
        }
        if round.silent[side as usize] || (!want.passes_on() && self.has_discarded_enough()) {
            return false;
        }
        let from = self.leg(side);
        match from.read(round.cx, scratch) {
            Poll::Pending => {
                round.silent[side as usize] = true;
                false
            }
            Poll::Ready(0) => {
                self.on_ended(side, round.now);
                true
            }
            Poll::Ready(read) => {
                from.note_bytes(round.now);
                if !want.passes_on() {
                    self.discard(read);
                }
                let taken = self.pass(round, side, &scratch[..read]);
                self.leg(side).input.push(&scratch[taken..read]);
                true
            }
        }
    }

    /// As [`pump`](Self::pump), for what was read before.
    fn pump_input(&mut self, round: &mut Round<'_, '_>, side: Side) -> bool {
        // Taken out, because `pass` borrows the whole relay.
        let mut input = std::mem::take(&mut self.leg(side).input);
        let taken = self.pass(round, side, input.as_slice());
        input.take(taken);
        let from = self.leg(side);
        from.input = input;
        taken > 0 || from.partial
    }

    /// Passes on what may be passed on from the front of `data`; says how much is done with.
    fn pass(&mut self, round: &mut Round<'_, '_>, side: Side, data: &[u8]) -> usize {
        let mut done = 0;
        let from = self.leg(side);
        from.partial = false;
        let counts = from.scanner.counts;
        round.before[side as usize].get_or_insert(counts);
        loop {
            let want = self.want(side);
            let rest = &data[done..];
            let from = &mut self.legs[side as usize];
            let scan = from.scanner.scan(rest, want, &self.rules, round.now);
            if want.passes_on() && scan.taken > 0 {
                self.moved = round.now;
                let last = side == Side::Backend && matches!(scan.stop, Stop::Close(_));
                let to = self.leg(side.other());
                // `shut_legs` shuts the client's leg once both Closes are through.
                if last && to.incoming.has_closed() {
                    to.send_last(round.cx, &rest[..scan.taken], round.now);
                } else {
                    to.send(round.cx, &rest[..scan.taken], round.now);
                }
            }
            done += scan.taken;
            match scan.stop {
                Stop::End | Stop::Boundary => return done,
                Stop::Hold => {
                    self.leg(side).partial = true;
                    return done;
                }
                Stop::Wait(until) => {
                    self.leg(side).resume_at = Some(until);
                    return done;
                }
                Stop::Skip(size) => done += size,
                Stop::Close(close) => {
                    self.on_close(side, close, want.passes_on(), round.now);
                    // What follows a Close means nothing (RFC 6455 §1.4).
                    return data.len();
                }
                Stop::Violation(violation) => {
                    self.on_violation(side, violation, round.now);
                    // Nobody knows where the next frame would begin.
                    return data.len();
                }
                Stop::Exceeded(cause) => {
                    // The rest is kept: it is not passed on any more, but the Close that answers ours
                    // may be in it.
                    self.begin(cause, Some(side), round.now);
                    return done;
                }
            }
            // Behind a pong of ours: go on only if the other leg still takes.
            if want.passes_on() && !self.leg(side.other()).is_ready() {
                return done;
            }
        }
    }

    /// What the bytes of `side` are wanted for.
    fn want(&mut self, side: Side) -> Want {
        let ending = self.ending.is_some();
        let (from, to) = self.pair(side);
        // From top to bottom, the first that fits: what cannot be understood is not even searched.
        match (from.incoming, to.outgoing) {
            (Incoming::Closed | Incoming::Finished | Incoming::Garbled, _) => Want::Nothing,
            // A peer whose stream ended without a Close is gone: nothing more is written to it.
            _ if to.incoming == Incoming::Lost => Want::Answer,
            (_, Outgoing::Closing(_)) => Want::Boundary,
            (_, Outgoing::Open) if ending => Want::Rest,
            (_, Outgoing::Open) => Want::Relay,
            _ => Want::Answer,
        }
    }
}

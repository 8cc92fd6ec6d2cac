//! Everything in a tunnel that waits for time, in one table; one timer of the runtime, set to the
//! earliest row.
//!
//! The timer is only moved forward in time, never back: activity changes a row, not the timer. It
//! then fires too early, finds nothing due, and is set anew. So a busy tunnel does not touch the
//! runtime's timer wheel for each message.

use std::future::Future;
use std::pin::Pin;

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use super::ending::Ending;
use super::leg::{Leg, Ping, QUARTERS};
use super::outcome::Side;
use super::rules::Rules;
use super::{Relay, Round};
use crate::close_cause::CloseCause;
use crate::transport::Wire;

/// The runtime's timer; none until something must be waited for.
#[derive(Default)]
pub(super) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    set_to: Option<Instant>,
}

impl Alarm {
    /// Has the time come that it was set to?
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.set_to.is_some_and(|at| at <= now)
    }

    #[cfg(test)]
    pub(super) fn is_unset(&self) -> bool {
        self.sleep.is_none()
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timer {
    /// A command of the session is due.
    Command,
    /// Token or subscription.
    Expiry,
    MaxDuration,
    Idle,
    /// This side may have taken nothing: it is looked at.
    WriteStall(Side),
    /// This side has been silent.
    Ping(Side),
    /// This side has been silent since a ping.
    Pong(Side),
    /// This side may send again.
    Resume(Side),
    /// Of the ending.
    Deadline,
}

/// When a tunnel that starts now is too old: up to 10 % before its maximum, so that tunnels that
/// came together do not go together.
pub(super) fn retirement(rules: &Rules, now: Instant) -> Option<Instant> {
    let max = rules.max_duration?;
    Some(now + max.mul_f64(1.0 - rand::random_range(0.0..0.1)))
}

impl<T: Wire> Relay<T> {
    /// The table. A row without a time does not wait.
    fn timers(&self) -> [(Timer, Option<Instant>); 13] {
        let rules = &*self.rules;
        let ending = self.ending.as_deref();
        let open = |time: Option<Instant>| time.filter(|_| ending.is_none());
        let commands = |time: Option<Instant>| {
            time.filter(|_| ending.is_none_or(|ending| !ending.is_strict()))
        };
        let [client, backend] = &self.legs;
        // What waits here for a slow peer is judged by `writeStall`; a tunnel that has something to say
        // is not idle.
        let quiet = client.output.is_empty() && backend.output.is_empty();
        let idle = rules.idle.filter(|_| quiet).map(|idle| self.moved + idle);
        let stall = |leg: &Leg<T>| {
            let quarter = rules.write_stall? / u32::from(QUARTERS);
            Some(leg.waiting? + quarter * u32::from(leg.quarters + 1))
        };
        let ping = |leg: &Leg<T>| {
            let waits = !leg.blocked && leg.ping == Ping::Idle;
            Some(leg.heard + rules.ping_interval.filter(|_| waits)?)
        };
        let pong = |leg: &Leg<T>| match leg.ping {
            Ping::Sent { since, .. } if !leg.blocked => Some(since + rules.pong_timeout),
            _ => None,
        };
        [
            (
                Timer::Command,
                commands(self.command.map(|command| command.due)),
            ),
            (Timer::Expiry, commands(self.expiry.map(|(at, _)| at))),
            (Timer::MaxDuration, commands(self.retire_at)),
            (Timer::Idle, open(idle)),
            (Timer::WriteStall(Side::Client), open(stall(client))),
            (Timer::WriteStall(Side::Backend), open(stall(backend))),
            (Timer::Ping(Side::Client), open(ping(client))),
            (Timer::Ping(Side::Backend), open(ping(backend))),
            (Timer::Pong(Side::Client), open(pong(client))),
            (Timer::Pong(Side::Backend), open(pong(backend))),
            (Timer::Resume(Side::Client), open(client.resume_at)),
            (Timer::Resume(Side::Backend), open(backend.resume_at)),
            (Timer::Deadline, ending.map(Ending::due)),
        ]
    }

    /// Are there no rows but those that stay, or move forward with what happens?
    pub(super) fn is_calm(&self) -> bool {
        self.ending.is_none() && self.command.is_none() && self.legs.iter().all(Leg::is_calm)
    }

    fn next_timer(&self) -> Option<(Timer, Instant)> {
        let rows = self.timers().into_iter();
        rows.filter_map(|(timer, at)| Some((timer, at?)))
            .min_by_key(|&(_, at)| at)
    }

    /// Does what is due. Each row that fires has no time, or a later one, afterwards.
    pub(super) fn fire_timers(&mut self, now: Instant) {
        while let Some((timer, at)) = self.next_timer()
            && at <= now
        {
            self.fire(timer, now);
            if self.is_over() {
                return;
            }
        }
    }

    fn fire(&mut self, timer: Timer, now: Instant) {
        match timer {
            Timer::Command => {
                if let Some(command) = self.command.take() {
                    self.execute(command.cause, command.code, now);
                    self.give_reason_of(command.cause);
                }
            }
            Timer::Expiry => {
                if let Some((_, cause)) = self.expiry.take() {
                    let code = self.session.close_code();
                    self.execute(cause, Some(code), now);
                }
            }
            Timer::MaxDuration => {
                self.retire_at = None;
                self.execute(CloseCause::MaxDuration, None, now);
            }
            Timer::Idle if self.legs.iter_mut().any(|leg| leg.is_taking(now)) => self.moved = now,
            Timer::Idle => self.begin(CloseCause::Idle, None, now),
            Timer::WriteStall(side) => {
                if self.leg(side).has_stalled(now) {
                    self.begin(CloseCause::WriteStall, Some(side), now);
                }
            }
            Timer::Ping(side) => self.leg(side).ping = Ping::Wanted,
            Timer::Pong(side) => {
                if self.leg(side).is_unresponsive(now) {
                    self.begin(CloseCause::PongTimeout, Some(side), now);
                }
            }
            Timer::Resume(side) => self.leg(side).resume_at = None,
            Timer::Deadline => self.on_deadline(now),
        }
    }

    /// Has the task woken when the next row is due.
    pub(super) fn set_alarm(&mut self, round: &mut Round<'_, '_>, new_waker: bool) {
        let Some((_, at)) = self.next_timer() else {
            // Most tunnels that are quiet wait for nothing, and then keep no timer.
            self.alarm = Alarm::default();
            return;
        };
        let alarm = &mut self.alarm;
        let set = alarm
            .set_to
            .is_some_and(|set_to| set_to <= at && set_to > round.now);
        if set && !new_waker {
            return;
        }
        let sleep = alarm.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if !set {
            sleep.as_mut().reset(at);
            alarm.set_to = Some(at);
        }
        // Unconstrained: with its budget used up, the timer would not take note of the waker.
        if Pin::new(&mut unconstrained(sleep.as_mut()))
            .poll(round.cx)
            .is_ready()
        {
            round.cx.waker().wake_by_ref();
        }
    }
}

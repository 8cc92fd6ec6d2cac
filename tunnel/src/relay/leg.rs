//! One leg of a tunnel: a side as the one who sends (read, scanned, passed to the other leg) and as
//! the one who receives (written, flushed, closed). Only here are sockets touched.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;
use tokio::time::Instant;

use super::backlog::Backlog;
use super::scan::Scanner;
use crate::transport::Wire;

/// Our Close for a side, until the frame before it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingClose {
    /// `None`: an empty Close.
    pub(super) code: Option<u16>,
    pub(super) reason: &'static str,
}

/// How often a peer that takes nothing is looked at within `writeStall`.
pub(super) const QUARTERS: u8 = 4;

/// What a leg's socket says of what was written to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeliveryReport {
    /// More was taken since the last look.
    pub(super) progress: bool,
    /// Not everything was taken.
    pub(super) pending: bool,
    /// Not everything has left this machine.
    pub(super) unsent: bool,
    /// Something was taken since the last look, then or before.
    pub(super) taken_at: Option<Instant>,
    /// The last acknowledgement came then or before.
    acknowledged_at: Option<Instant>,
}

/// A side as the one who sends: what has come of its stream so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// Frames come.
    Open,
    /// It broke the protocol: its bytes mean nothing any more.
    Garbled,
    /// Its Close came.
    Closed,
    /// Its stream ended without a Close.
    Lost,
    /// Its stream ended behind its Close.
    Finished,
}

/// A side as the one who receives: what may still be written to it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outgoing {
    /// Frames.
    Open,
    /// Our Close, as soon as the frame before it ends.
    Closing(PendingClose),
    /// A Close went to it (into `output` at least): nothing may follow (RFC 6455 §5.5.1).
    Closed,
    /// It gets no Close: no frame boundary came in time, or the peer is gone.
    Mute,
    /// Nothing can be written any more.
    Broken,
    /// Our side of the connection is shut.
    Shut,
}

/// Bytes that were written, but may wait in a TLS session or an HTTP/2 stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unflushed {
    Nothing,
    Something,
    /// Something that found no room when it was flushed.
    Stuck,
}

/// Where our ping to a side stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ping {
    Idle,
    /// To be written at the next frame boundary.
    Wanted,
    /// Nothing came after it, nor was anything taken, since then.
    Sent {
        since: Instant,
        /// It has left this machine, as far as we know.
        left: bool,
    },
}

/// One leg. The states say what has happened; nothing here decides what follows.
#[derive(Debug)]
pub(super) struct Leg<T> {
    io: T,

    // As the one who sends.
    pub(super) incoming: Incoming,
    pub(super) scanner: Scanner,
    /// Read, but not passed on.
    pub(super) input: Backlog,
    /// What is in `input` is of no use until more comes.
    pub(super) partial: bool,
    /// Not read on purpose: the other leg is not ready, or a rate says so.
    pub(super) blocked: bool,
    /// A rate says: not before.
    pub(super) resume_at: Option<Instant>,
    /// Last bytes of any kind, or the last moment when it was `blocked`.
    pub(super) heard: Instant,
    pub(super) ping: Ping,

    // As the one who receives.
    pub(super) outgoing: Outgoing,
    /// Taken for it, but not by it.
    pub(super) output: Backlog,
    unflushed: Unflushed,
    /// Since when something is on the way to it, here or in the kernel, of which it was not seen to
    /// take any. `None`: it has taken everything, as far as we know.
    pub(super) waiting: Option<Instant>,
    /// Quarters of `writeStall` that have gone by since.
    pub(super) quarters: u8,
    /// What it had taken when its socket was last asked, as far as fits: that it changes is enough.
    taken: u32,

    /// Code of the first Close in either direction.
    pub(super) code: Option<u16>,
}

impl<T: Wire> Leg<T> {
    pub(super) fn new(io: T, scanner: Scanner, read_ahead: &[u8], now: Instant) -> Self {
        Self {
            io,
            incoming: Incoming::Open,
            scanner,
            input: Backlog::from(read_ahead),
            partial: false,
            blocked: false,
            resume_at: None,
            heard: now,
            ping: Ping::Idle,
            outgoing: Outgoing::Open,
            output: Backlog::default(),
            unflushed: Unflushed::Nothing,
            waiting: None,
            quarters: 0,
            taken: 0,
            code: None,
        }
    }

    /// Reads behind what is held of a partial frame; says how many bytes `scratch` then has. When
    /// no more come, it says 0 and `ended` is set.
    pub(super) fn read(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> Poll<usize> {
        // The scanner sees a frame's header in one piece, so what is held comes first again. It is never more
        // than a header and a control frame's payload.
        let held = self.input.as_slice().len();
        scratch[..held].copy_from_slice(self.input.as_slice());
        let mut buf = ReadBuf::new(&mut scratch[held..]);
        // An error and an orderly end say the same here: without a Close, this side is lost.
        let read = ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf));
        let fresh = buf.filled().len();
        self.input.clear();
        if read.is_err() || fresh == 0 {
            self.incoming = self.incoming.ended();
            return Poll::Ready(0);
        }
        Poll::Ready(held + fresh)
    }

    /// Bytes came.
    pub(super) fn note_bytes(&mut self, now: Instant) {
        self.heard = now;
        self.ping = Ping::Idle;
    }

    /// While it is not read, its silence says nothing: what counts from it begins again after.
    pub(super) fn set_blocked(&mut self, blocked: bool, now: Instant) {
        if self.blocked && !blocked {
            self.heard = now;
            if let Ping::Sent { since, .. } = &mut self.ping {
                *since = now;
            }
        }
        self.blocked = blocked;
    }

    /// Has taken everything: more may be read for it.
    pub(super) fn is_ready(&self) -> bool {
        self.is_broken() || (self.output.is_empty() && self.unflushed != Unflushed::Stuck)
    }

    /// Does it neither hold nor wait for anything on its own?
    pub(super) fn is_calm(&self) -> bool {
        let waits = self.blocked || self.ping != Ping::Idle || !self.is_ready();
        !waits && self.resume_at.is_none()
    }

    /// Something was written, or is to be: its way begins now unless it goes on.
    fn await_taking(&mut self, now: Instant) {
        if self.waiting.is_none() {
            self.note_taking(now);
        }
    }

    /// It has taken some of what is on the way.
    fn note_taking(&mut self, now: Instant) {
        self.waiting = Some(now);
        self.quarters = 0;
    }

    /// What was taken until now is no progress afterwards.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.waiting.is_none() {
            return;
        }
        // At the end of most tunnels nothing is on its way, and the short question is enough.
        if self.is_ready() && !self.is_broken() && self.io.is_delivered() {
            self.waiting = None;
        } else {
            self.look(now);
        }
    }

    /// Is something still in this machine that would be lost with its process?
    pub(super) fn has_unsent(&mut self, now: Instant) -> bool {
        if self.is_ready() && !self.is_broken() && self.io.has_left() {
            return false;
        }
        self.look(now).unsent
    }

    /// Asks the socket what was taken: one system call.
    pub(super) fn look(&mut self, now: Instant) -> DeliveryReport {
        let backlog = !self.is_ready();
        let delivery = if self.is_broken() {
            None
        } else {
            self.io.delivery()
        };
        // Nobody can say more than this leg itself: what has left it counts as taken.
        let Some(delivery) = delivery else {
            let taken_at = self.waiting;
            if !backlog {
                self.waiting = None;
            }
            return DeliveryReport {
                progress: false,
                pending: backlog,
                unsent: backlog,
                taken_at,
                acknowledged_at: None,
            };
        };
        let taken = delivery.taken as u32;
        let progress = taken != self.taken;
        let at = now.checked_sub(delivery.quiet).unwrap_or(self.heard);
        if progress {
            self.taken = taken;
            if let Ping::Sent { since, .. } = &mut self.ping {
                *since = at.max(*since);
            }
            // Not `now`: what was taken before the way of what waits began is no progress of that.
            self.note_taking(self.waiting.map_or(at, |since| since.max(at)));
        }
        let pending = backlog || !delivery.complete;
        if !pending {
            self.waiting = None;
        }
        DeliveryReport {
            progress,
            pending,
            unsent: backlog || delivery.unsent,
            taken_at: progress.then_some(at),
            acknowledged_at: Some(at),
        }
    }

    /// A quarter of `writeStall` is over; has it taken nothing all the while?
    pub(super) fn has_stalled(&mut self, now: Instant) -> bool {
        let look = self.look(now);
        if look.pending && !look.progress {
            self.quarters += 1;
        }
        look.pending && self.quarters >= QUARTERS
    }

    /// The time for a pong is over; did the ping leave in time for it, and was nothing taken since? Where
    /// not, the time begins again.
    pub(super) fn is_unresponsive(&mut self, now: Instant) -> bool {
        let look = self.look(now);
        let Ping::Sent { since, left } = &mut self.ping else {
            return false;
        };
        if look.unsent {
            // What does not leave is for `writeStall` to judge.
            (*since, *left) = (now, false);
            return false;
        }
        if !*left {
            *left = true;
            // Room for it came with an acknowledgement.
            *since = look.acknowledged_at.map_or(*since, |at| at.max(*since));
            return false;
        }
        !look.progress
    }

    /// Does it take just now what no longer waits in this process?
    pub(super) fn is_taking(&mut self, now: Instant) -> bool {
        self.waiting.is_some() && {
            let look = self.look(now);
            look.progress && look.unsent
        }
    }

    /// It takes nothing any more: it is given up.
    pub(super) fn abandon(&mut self) {
        self.io.abandon();
        self.outgoing = Outgoing::Broken;
        self.incoming = self.incoming.ended();
        self.output.clear();
        self.waiting = None;
    }

    /// Writes `bytes`, and keeps what it does not take.
    pub(super) fn send(&mut self, cx: &mut Context<'_>, bytes: &[u8], now: Instant) {
        let mut sent = 0;
        if self.output.is_empty() {
            sent = self.write(cx, bytes);
        }
        self.keep(&bytes[sent..]);
        self.await_taking(now);
    }

    /// As [`send`](Self::send), for bytes behind which this side is shut in the same round.
    pub(super) fn send_last(&mut self, cx: &mut Context<'_>, bytes: &[u8], now: Instant) {
        let mut sent = 0;
        if self.output.is_empty() && !self.is_broken() {
            match Pin::new(&mut self.io).poll_write_last(cx, bytes) {
                Poll::Pending => {}
                Poll::Ready(Ok(count)) if count > 0 => {
                    sent = count;
                    self.note_unflushed();
                }
                Poll::Ready(_) => self.outgoing = Outgoing::Broken,
            }
        }
        self.keep(&bytes[sent..]);
        self.await_taking(now);
    }

    fn keep(&mut self, rest: &[u8]) {
        if !self.is_broken() && !rest.is_empty() {
            self.output.push(rest);
        }
    }

    /// Writes what is kept; says whether it took some.
    pub(super) fn deliver(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        if self.output.is_empty() {
            return false;
        }
        // Taken out, because writing borrows the whole leg, and put back before anybody looks.
        let output = std::mem::take(&mut self.output);
        let sent = self.write(cx, output.as_slice());
        self.output = output;
        self.output.take(sent);
        if self.is_broken() {
            self.output.clear();
        }
        if sent > 0 {
            self.note_taking(now);
        }
        sent > 0
    }

    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while !self.is_broken() && sent < bytes.len() {
            match Pin::new(&mut self.io).poll_write(cx, &bytes[sent..]) {
                Poll::Pending => break,
                Poll::Ready(Ok(more)) if more > 0 => {
                    sent += more;
                    self.note_unflushed();
                }
                // Also `Ok(0)`: a socket that takes nothing and does not say "wait" never will.
                Poll::Ready(_) => self.outgoing = Outgoing::Broken,
            }
        }
        sent
    }

    /// Pushes out what a TLS session may hold: nothing may wait there for the next burst.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>, now: Instant) {
        if self.unflushed == Unflushed::Nothing || self.is_broken() {
            return;
        }
        match Pin::new(&mut self.io).poll_flush(cx) {
            Poll::Pending => {
                self.unflushed = Unflushed::Stuck;
                self.await_taking(now);
                return;
            }
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => self.outgoing = Outgoing::Broken,
        }
        if self.unflushed == Unflushed::Stuck {
            self.note_taking(now);
        }
        self.unflushed = Unflushed::Nothing;
    }

    pub(super) fn shutdown(&mut self, cx: &mut Context<'_>) {
        if self.is_shut() {
            return;
        }
        // A FIN tells a peer that has ended nothing new: closing the socket sends it too.
        let nobody_waits = self.incoming.has_ended() && !self.io.has_close_notify();
        if nobody_waits || Pin::new(&mut self.io).poll_shutdown(cx).is_ready() {
            self.outgoing = Outgoing::Shut;
        }
    }

    /// It gets a Close with this code, unless it was told, or is being told, something already.
    pub(super) fn say_close(&mut self, code: Option<u16>, reason: &'static str) {
        if code.is_some() && matches!(self.outgoing, Outgoing::Open) {
            self.outgoing = Outgoing::Closing(PendingClose { code, reason });
        }
    }

    /// Its answer is not waited for any more. A Close for which no frame boundary came yet stays.
    pub(super) fn give_up_answer(&mut self) {
        let answered = self.incoming.has_closed() && matches!(self.outgoing, Outgoing::Closed);
        if !answered && !matches!(self.outgoing, Outgoing::Closing(_)) {
            self.mute();
        }
    }

    /// It gets no Close of ours any more.
    pub(super) fn mute(&mut self) {
        match self.outgoing {
            Outgoing::Open | Outgoing::Closing(_) | Outgoing::Closed => {
                self.outgoing = Outgoing::Mute;
            }
            Outgoing::Mute | Outgoing::Broken | Outgoing::Shut => {}
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        matches!(self.outgoing, Outgoing::Broken)
    }

    /// Nothing can be or need be written to the connection any more.
    pub(super) fn is_shut(&self) -> bool {
        matches!(self.outgoing, Outgoing::Broken | Outgoing::Shut)
    }

    /// Both Closes are through, so its own end is next.
    pub(super) fn will_end(&self) -> bool {
        self.incoming == Incoming::Closed && matches!(self.outgoing, Outgoing::Closed)
    }

    /// Nothing needs to be said to it any more.
    pub(super) fn was_told_all(&self) -> bool {
        match self.outgoing {
            Outgoing::Open | Outgoing::Closing(_) => false,
            Outgoing::Closed | Outgoing::Mute => {
                self.output.is_empty() && self.unflushed == Unflushed::Nothing
            }
            Outgoing::Broken | Outgoing::Shut => true,
        }
    }

    /// Nothing needs to be heard from it any more.
    pub(super) fn has_said_all(&self) -> bool {
        self.incoming != Incoming::Open || matches!(self.outgoing, Outgoing::Mute)
    }

    fn note_unflushed(&mut self) {
        if self.unflushed == Unflushed::Nothing {
            self.unflushed = Unflushed::Something;
        }
    }
}

impl Incoming {
    /// The same stream at its end.
    const fn ended(self) -> Self {
        match self {
            Self::Closed | Self::Finished => Self::Finished,
            Self::Open | Self::Garbled | Self::Lost => Self::Lost,
        }
    }

    /// No more bytes come.
    pub(super) const fn has_ended(self) -> bool {
        matches!(self, Self::Lost | Self::Finished)
    }

    /// Its Close came.
    pub(super) const fn has_closed(self) -> bool {
        matches!(self, Self::Closed | Self::Finished)
    }
}

impl Outgoing {
    /// It was told that the tunnel ends, or never will be.
    pub(super) const fn is_told(&self) -> bool {
        !matches!(self, Self::Open | Self::Closing(_))
    }
}

//! One leg of a tunnel: a side as the one who sends (read, scanned, passed to the other leg) and as
//! the one who receives (written, flushed, told goodbye). Only here are sockets touched.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;
use tokio::time::Instant;

use super::backlog::Backlog;
use super::scan::Scanner;
use crate::transport::Wire;

/// Our Close for a side, until the frame before it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goodbye {
    /// `None`: an empty Close.
    pub(super) code: Option<u16>,
    pub(super) reason: &'static str,
}

/// How often a peer that takes nothing is looked at within `writeStall`.
pub(super) const QUARTERS: u8 = 4;

/// What a leg's socket says of what was written to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
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

/// One leg. The flags say what has happened; nothing here decides what follows.
#[derive(Debug)]
pub(super) struct Leg<T> {
    io: T,

    // As the one who sends.
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
    /// Since when nothing came after our ping, nor was anything taken.
    pub(super) pinged_at: Option<Instant>,
    /// It has left this machine, as far as we know.
    ping_left: bool,
    pub(super) wants_ping: bool,
    /// Its Close came.
    pub(super) close_received: bool,
    /// It broke the protocol: its bytes mean nothing any more.
    pub(super) garbled: bool,
    /// No more bytes come.
    pub(super) ended: bool,

    // As the one who receives.
    /// Taken for it, but not by it.
    pub(super) output: Backlog,
    unflushed: bool,
    /// What is unflushed finds no room.
    held: bool,
    /// Since when something is on the way to it, here or in the kernel, of which it was not seen to
    /// take any. `None`: it has taken everything, as far as we know.
    pub(super) waiting: Option<Instant>,
    /// Quarters of `writeStall` that have gone by since.
    pub(super) quarters: u8,
    /// What it had taken when its socket was last asked, as far as fits: that it changes is enough.
    taken: u32,
    pub(super) goodbye: Option<Goodbye>,
    /// A Close went to it (into `output` at least).
    pub(super) close_sent: bool,
    /// It gets no Close: nobody there, or no frame boundary.
    pub(super) mute: bool,
    /// Nothing can be written any more.
    pub(super) broken: bool,
    /// Our side of the connection is shut.
    pub(super) shut: bool,

    /// Code of the first Close in either direction.
    pub(super) code: Option<u16>,
}

impl<T: Wire> Leg<T> {
    pub(super) fn new(io: T, scanner: Scanner, ahead: &[u8], now: Instant) -> Self {
        Self {
            io,
            scanner,
            input: Backlog::from(ahead),
            partial: false,
            blocked: false,
            resume_at: None,
            heard: now,
            pinged_at: None,
            ping_left: false,
            wants_ping: false,
            close_received: false,
            garbled: false,
            ended: false,
            output: Backlog::default(),
            unflushed: false,
            held: false,
            waiting: None,
            quarters: 0,
            taken: 0,
            goodbye: None,
            close_sent: false,
            mute: false,
            broken: false,
            shut: false,
            code: None,
        }
    }

    /// Reads behind what is held of a partial frame; says how many bytes `scratch` then has. When
    /// no more come, it says 0 and `ended` is set.
    pub(super) fn read(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> Poll<usize> {
        let held = self.input.as_slice().len();
        scratch[..held].copy_from_slice(self.input.as_slice());
        let mut buf = ReadBuf::new(&mut scratch[held..]);
        // An error and an orderly end say the same here: without a Close, this side is lost.
        let read = ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf));
        let fresh = buf.filled().len();
        self.input.clear();
        if read.is_err() || fresh == 0 {
            self.ended = true;
            return Poll::Ready(0);
        }
        Poll::Ready(held + fresh)
    }

    /// Bytes came.
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.pinged_at = None;
        self.ping_left = false;
        self.wants_ping = false;
    }

    /// While it is not read, its silence says nothing: what counts from it begins again after.
    pub(super) fn set_blocked(&mut self, blocked: bool, now: Instant) {
        if self.blocked && !blocked {
            self.heard = now;
            self.pinged_at = self.pinged_at.map(|_| now);
        }
        self.blocked = blocked;
    }

    /// Has taken everything: more may be read for it.
    pub(super) fn is_ready(&self) -> bool {
        self.broken || (self.output.is_empty() && !self.held)
    }

    /// Does it neither hold nor wait for anything on its own?
    pub(super) fn is_calm(&self) -> bool {
        let waits = self.blocked || self.wants_ping || !self.is_ready();
        !waits && self.resume_at.or(self.pinged_at).is_none()
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

    /// Asks the socket what was taken: one system call.
    pub(super) fn look(&mut self, now: Instant) -> Look {
        let backlog = !self.is_ready();
        let delivery = if self.broken {
            None
        } else {
            self.io.delivery()
        };
        let Some(delivery) = delivery else {
            let taken_at = self.waiting;
            if !backlog {
                self.waiting = None;
            }
            return Look {
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
            self.pinged_at = self.pinged_at.map(|since| since.max(at));
            self.note_taking(now);
        }
        let pending = backlog || !delivery.complete;
        if !pending {
            self.waiting = None;
        }
        Look {
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
        if look.unsent {
            // What does not leave is for `writeStall` to judge.
            self.pinged_at = Some(now);
            self.ping_left = false;
            return false;
        }
        if !self.ping_left {
            self.ping_left = true;
            // Room for it came with an acknowledgement.
            self.pinged_at = self.pinged_at.max(look.acknowledged_at);
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

    /// It takes nothing any more: nobody waits for it.
    pub(super) fn abandon(&mut self) {
        self.io.abandon();
        self.broken = true;
        self.ended = true;
        self.goodbye = None;
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
        if self.output.is_empty() && !self.broken {
            match Pin::new(&mut self.io).poll_write_last(cx, bytes) {
                Poll::Pending => {}
                Poll::Ready(Ok(count)) if count > 0 => {
                    sent = count;
                    self.unflushed = true;
                }
                Poll::Ready(_) => self.broken = true,
            }
        }
        self.keep(&bytes[sent..]);
        self.await_taking(now);
    }

    fn keep(&mut self, rest: &[u8]) {
        if !self.broken && !rest.is_empty() {
            self.output.push(rest);
        }
    }

    /// Writes what is kept; says whether it took some.
    pub(super) fn deliver(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        if self.output.is_empty() {
            return false;
        }
        let output = std::mem::take(&mut self.output);
        let sent = self.write(cx, output.as_slice());
        self.output = output;
        self.output.take(sent);
        if self.broken {
            self.output.clear();
        }
        if sent > 0 {
            self.note_taking(now);
        }
        sent > 0
    }

    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while !self.broken && sent < bytes.len() {
            match Pin::new(&mut self.io).poll_write(cx, &bytes[sent..]) {
                Poll::Pending => break,
                Poll::Ready(Ok(more)) if more > 0 => {
                    sent += more;
                    self.unflushed = true;
                }
                Poll::Ready(_) => self.broken = true,
            }
        }
        sent
    }

    /// Pushes out what a TLS session may hold: nothing may wait there for the next burst.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>, now: Instant) {
        if !self.unflushed || self.broken {
            return;
        }
        match Pin::new(&mut self.io).poll_flush(cx) {
            Poll::Pending => {
                self.held = true;
                self.await_taking(now);
                return;
            }
            Poll::Ready(Ok(())) => self.unflushed = false,
            Poll::Ready(Err(_)) => self.broken = true,
        }
        if self.held {
            self.held = false;
            self.note_taking(now);
        }
    }

    pub(super) fn shutdown(&mut self, cx: &mut Context<'_>) {
        if self.broken || (self.ended && !self.io.has_farewell()) {
            self.shut = true;
        }
        if !self.shut && Pin::new(&mut self.io).poll_shutdown(cx).is_ready() {
            self.shut = true;
        }
    }

    /// Went away without a Close, as far as reading tells.
    pub(super) fn is_lost(&self) -> bool {
        self.ended && !self.close_received
    }

    /// Both Closes are through, so its own end is next.
    pub(super) fn will_end(&self) -> bool {
        self.close_sent && self.close_received && !self.ended && !self.broken
    }

    /// Nothing needs to be said to it any more.
    pub(super) fn was_told_all(&self) -> bool {
        self.broken
            || (self.goodbye.is_none()
                && (self.close_sent || self.mute)
                && self.output.is_empty()
                && !self.unflushed)
    }

    /// Nothing needs to be heard from it any more.
    pub(super) fn has_said_all(&self) -> bool {
        self.close_received || self.garbled || self.ended || self.mute
    }
}

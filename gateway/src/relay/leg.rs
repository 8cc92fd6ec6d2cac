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
    /// Our ping, since which nothing came.
    pub(super) pinged_at: Option<Instant>,
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
    /// Since when it has taken nothing.
    pub(super) stalled_since: Option<Instant>,
    unflushed: bool,
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
            wants_ping: false,
            close_received: false,
            garbled: false,
            ended: false,
            output: Backlog::default(),
            stalled_since: None,
            unflushed: false,
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
        self.output.is_empty() && self.stalled_since.is_none()
    }

    /// Does it neither hold nor wait for anything on its own?
    pub(super) fn is_calm(&self) -> bool {
        let waits = self.blocked || self.wants_ping;
        let since = self.resume_at.or(self.pinged_at).or(self.stalled_since);
        !waits && since.is_none() && self.output.is_empty()
    }

    /// Writes `bytes`, and keeps what it does not take.
    pub(super) fn send(&mut self, cx: &mut Context<'_>, bytes: &[u8], now: Instant) {
        let mut sent = 0;
        if self.output.is_empty() {
            sent = self.write(cx, bytes);
        }
        self.keep(&bytes[sent..], now);
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
        self.keep(&bytes[sent..], now);
    }

    fn keep(&mut self, rest: &[u8], now: Instant) {
        if !self.broken && !rest.is_empty() {
            self.output.push(rest);
            self.stalled_since.get_or_insert(now);
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
        if self.output.is_empty() {
            self.stalled_since = None;
        } else if sent > 0 {
            self.stalled_since = Some(now);
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
                self.stalled_since.get_or_insert(now);
                return;
            }
            Poll::Ready(Ok(())) => self.unflushed = false,
            Poll::Ready(Err(_)) => self.broken = true,
        }
        if self.output.is_empty() {
            self.stalled_since = None;
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

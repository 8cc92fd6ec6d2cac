//! A timer that is always near while handshakes come.
//!
//! A handshake sets several timers. When one is earlier than all that the runtime sleeps for, the
//! runtime wakes itself through the kernel, even from its own thread: a write and one more event,
//! three times per handshake. With an earlier one already set, none of that happens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

/// Shorter than what a handshake waits for (the socket's lingering, connect, the head), so that
/// none of it is earlier; long enough to cost nothing: four wake-ups a second, under load only.
const BEAT: Duration = Duration::from_millis(250);

/// The timer of one worker.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// Has there been a handshake since the last beat?
    needed: AtomicBool,
    start: Notify,
}

impl Pulse {
    /// A handshake begins.
    pub(super) fn keep(&self) {
        if !self.needed.swap(true, Ordering::Relaxed) {
            self.start.notify_one();
        }
    }

    /// For ever; to be spawned on the worker's runtime.
    pub(super) async fn run(&self) {
        loop {
            self.start.notified().await;
            while self.needed.swap(false, Ordering::Relaxed) {
                sleep(BEAT).await;
            }
        }
    }
}

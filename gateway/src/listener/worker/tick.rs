//! A short timer that runs while handshakes come.
//!
//! A handshake sets several timers. When one of them is earlier than all timers that the runtime waits for,
//! the runtime wakes itself through the kernel, even from its own thread: a write and one more event, three
//! times per handshake. With an earlier timer already set, none of that happens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

/// Shorter than any timer of a handshake (linger, connect, head), so that none of them is earlier; long enough
/// to cost nothing: four wake-ups a second, under load only.
const TICK_INTERVAL: Duration = Duration::from_millis(250);

/// The timer of one worker.
#[derive(Debug, Default)]
pub(super) struct Tick {
    /// Has there been a handshake since the last tick?
    needed: AtomicBool,
    start: Notify,
}

impl Tick {
    /// Keeps the timer running: a handshake begins.
    pub(super) fn keep(&self) {
        if !self.needed.swap(true, Ordering::Relaxed) {
            self.start.notify_one();
        }
    }

    /// Runs for ever. Spawn it on the worker's runtime.
    pub(super) async fn run(&self) {
        loop {
            self.start.notified().await;
            while self.needed.swap(false, Ordering::Relaxed) {
                sleep(TICK_INTERVAL).await;
            }
        }
    }
}

//! What the stories share: a gateway, its configuration, backends, clients.
//!
//! Values differ from the product's defaults where that can be, so that a mixed-up default fails.

#![allow(dead_code, reason = "a story uses what it needs")]

pub(crate) mod admin;
pub(crate) mod backend;
pub(crate) mod client;
pub(crate) mod config;
pub(crate) mod gateway;
pub(crate) mod http2;
pub(crate) mod port;
pub(crate) mod redis;
pub(crate) mod tls;

use std::time::Duration;

/// Long enough for a loaded machine: only failures wait for it.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Waits for `future`, or fails by saying what was awaited.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {LIMIT:?} for {what}"),
    }
}

/// Waits until a count that has begun to grow stays the same for half a second. On a slow machine that may
/// come too early: then there is less to find for the test, never more.
pub(crate) async fn stands_still(what: &str, count: impl Fn() -> usize) {
    within(what, async {
        let mut before = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = count();
            if now > 0 && now == before {
                return;
            }
            before = now;
        }
    })
    .await;
}

/// Asks again until the answer is yes, or fails by saying what was awaited.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    within(what, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

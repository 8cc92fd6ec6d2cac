//! Password checks. They take long by design and run on threads for blocking work, not on workers.
//!
//! The cost is limited: checks use at most half of the processors, few may wait, and results are cached for a
//! while, whether right or wrong. Equal checks at the same time run once.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::hmac;
use moka::future::Cache;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Answers that stay known; each is 33 bytes and the cache's own share.
const KNOWN: u64 = 10_000;

/// How long an answer stays known. It is about a hash and a password: a new hash is a new question.
const KNOWN_FOR: Duration = Duration::from_secs(600);

/// Checks that may wait. More would wait longer than [`CHECK_TIMEOUT`] anyway.
const MAX_WAITING: usize = 256;

/// How long a check waits for a thread; then the client is told to retry.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Too many checks wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords wait to be checked")]
pub(crate) struct Busy;

/// Checks passwords.
#[derive(Debug)]
pub(crate) struct Passwords {
    runtime: Handle,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    known: Cache<[u8; 32], bool>,
    /// New with each process: what is known is of no use outside it.
    salt: hmac::Key,
}

/// One question. The name is part of it: the answer for a user who does not exist must not be
/// there already because another user's is.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) user: &'a str,
    /// Of bcrypt.
    pub(crate) hash: &'a str,
    pub(crate) password: &'a str,
}

impl Passwords {
    /// Nothing is known. Checks run on `runtime`'s threads for what blocks.
    pub(crate) fn new(runtime: Handle) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            runtime,
            permits: Arc::new(Semaphore::new((processors / 2).max(1))),
            waiting: AtomicUsize::new(0),
            known: Cache::builder()
                .max_capacity(KNOWN)
                .time_to_live(KNOWN_FOR)
                .build(),
            salt: hmac::Key::new(hmac::HMAC_SHA256, &rand::random::<[u8; 32]>()),
        }
    }

    /// Is the password the one of the hash?
    ///
    /// # Errors
    /// [`Busy`]: too many checks wait.
    pub(crate) async fn is_right(&self, question: Question<'_>) -> Result<bool, Busy> {
        let key = self.key(question);
        let answer = self.known.try_get_with(key, self.compute(question));
        answer.await.map_err(|_| Busy)
    }

    fn key(&self, question: Question<'_>) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.salt);
        for part in [question.user, question.hash, question.password] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut key = [0; 32];
        key.copy_from_slice(context.sign().as_ref());
        key
    }

    async fn compute(&self, question: Question<'_>) -> Result<bool, Busy> {
        let _waiting = Waiting::enter(&self.waiting)?;
        let permit = timeout(CHECK_TIMEOUT, Arc::clone(&self.permits).acquire_owned());
        // The semaphore is never closed.
        let permit = permit.await.map_err(|_| Busy)?.map_err(|_| Busy)?;
        let (hash, password) = (question.hash.to_owned(), question.password.to_owned());
        let check = self.runtime.spawn_blocking(move || {
            // Held until it is done, also when the client has left meanwhile.
            let _turn = permit;
            bcrypt::verify(password, &hash).unwrap_or(false)
        });
        check.await.map_err(|_| Busy)
    }
}

/// Counts a waiting check until dropped.
struct Waiting<'w>(&'w AtomicUsize);

impl<'w> Waiting<'w> {
    fn enter(waiting: &'w AtomicUsize) -> Result<Self, Busy> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let entered = Self(waiting);
        if before < MAX_WAITING {
            Ok(entered)
        } else {
            Err(Busy)
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

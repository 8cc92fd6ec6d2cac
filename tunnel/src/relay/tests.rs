//! A relay between two scripted peers, over in-memory pipes and on a paused clock: a timeout is
//! reached at once when nobody has anything else to do, and not before.

mod attack;
mod close;
mod delivery;
mod limit;
mod live;
mod pass;
mod peer;
mod slow;
mod socket;
mod storm;
mod timeout;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tidegate_config::{LiveAccess, ObjectKey};
use tokio::io::{DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;
use crate::drain::Drain;
use crate::session::{SessionInfo, Sessions, TunnelFilter};
use peer::Peer;

impl Wire for DuplexStream {}

/// What a pipe holds.
const PIPE: usize = 8 * 1024;

const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Nothing limited, nothing waited for but the answer to a Close.
fn lax() -> Rules {
    Rules {
        max_message_bytes: None,
        messages: None,
        bytes: None,
        idle: None,
        max_duration: None,
        ping_interval: None,
        pong_timeout: Duration::from_secs(20),
        write_stall: None,
        close_timeout: CLOSE_TIMEOUT,
    }
}

fn info() -> SessionInfo {
    SessionInfo {
        id: "1".to_owned(),
        client: std::net::IpAddr::from([192, 0, 2, 7]),
        api: ObjectKey::new("shop", "commands"),
        api_version: 1,
        listener: "ws".to_owned(),
        product: None,
        subscription: None,
        key_hash: None,
        subscription_expires_at: None,
        token_expires_at: None,
        live_access: LiveAccess::default(),
    }
}

/// What the tunnel starts with.
struct Setup {
    rules: Rules,
    info: SessionInfo,
    from_client: &'static [u8],
    from_backend: &'static [u8],
    extensions: bool,
    pipe: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            rules: lax(),
            info: info(),
            from_client: b"",
            from_backend: b"",
            extensions: false,
            pipe: PIPE,
        }
    }
}

/// A tunnel at work.
struct Bench {
    client: Peer,
    backend: Peer,
    sessions: Arc<Sessions>,
    metered: Arc<Metered>,
    relay: JoinHandle<Outcome>,
}

#[derive(Default)]
struct Metered {
    client: Mutex<Counts>,
    backend: Mutex<Counts>,
}

impl Meter for Metered {
    fn passed(&self, sender: Side, more: &Counts) {
        let counts = match sender {
            Side::Client => &self.client,
            Side::Backend => &self.backend,
        };
        let mut sum = counts.lock().unwrap();
        for kind in FrameKind::ALL {
            sum.frames[kind] += more.frames[kind];
            sum.bytes[kind] += more.bytes[kind];
        }
    }
}

impl Setup {
    fn rules(change: impl FnOnce(&mut Rules)) -> Self {
        let mut setup = Self::default();
        change(&mut setup.rules);
        setup
    }

    fn tunnel(self, metered: Arc<Metered>) -> (Tunnel<DuplexStream>, Peer, Peer, Arc<Sessions>) {
        let (client, client_leg) = duplex(self.pipe);
        let (backend, backend_leg) = duplex(self.pipe);
        let sessions = Sessions::new();
        let tunnel = Tunnel {
            client: client_leg,
            backend: backend_leg,
            from_client: Bytes::from_static(self.from_client),
            from_backend: Bytes::from_static(self.from_backend),
            extensions: self.extensions,
            rules: Arc::new(self.rules),
            session: sessions.register(&self.info),
            meter: Some(metered),
        };
        (
            tunnel,
            Peer::client(client),
            Peer::backend(backend),
            sessions,
        )
    }

    fn start(self) -> Bench {
        let metered = Arc::new(Metered::default());
        let (tunnel, client, backend, sessions) = self.tunnel(Arc::clone(&metered));
        let (_trigger, drain) = Drain::pair();
        Bench {
            client,
            backend,
            sessions,
            metered,
            relay: drain.spawn(relay(tunnel)),
        }
    }
}

impl Bench {
    fn start() -> Self {
        Setup::default().start()
    }

    /// Ends both peers and returns what the relay says.
    async fn outcome(self) -> Outcome {
        drop((self.client, self.backend));
        let outcome = tokio::time::timeout(Duration::from_secs(60), self.relay).await;
        let outcome = outcome.expect("the relay did not end").unwrap();
        assert_eq!(*self.metered.client.lock().unwrap(), outcome.from_client);
        assert_eq!(*self.metered.backend.lock().unwrap(), outcome.from_backend);
        assert!(self.sessions.is_empty(), "the session is still registered");
        outcome
    }
}

/// What a tunnel costs while nothing happens. The legs' own sockets are not counted; a plain one
/// has no other memory than this.
#[test]
fn a_relay_is_small_beside_its_sockets() {
    let own = size_of::<Relay<Transport>>() - 2 * size_of::<Transport>();
    assert!(own <= 928, "{own} bytes");
}

//! Tidegate's data plane: decides every WebSocket handshake and relays what follows.
//!
//! The tree is the algorithm. Modules use each other in one direction only, in the order of
//! `docs/architecture.md`, which a test holds.
//!
//! `head` reads heads of requests and answers; a `refusal` is the answer to a handshake that is not allowed.
//! The `configuration` is compiled and swapped as a whole. A `listener` accepts; the `handshake` runs in turn:
//! access (`exchange`), inbound `policy`, the `backend`, outbound `policy`; then the tunnel, which is a crate of
//! its own. `telemetry` records every connection exactly once. `gateway` runs it all.
//!
//! HTTP/1.1 heads are read by `httparse` on our own sockets, on both legs, and not by an HTTP
//! library: a connection carries one request, nothing is pooled or reused, limits are exact, the
//! bytes that follow a head are known, and no library task or buffer outlives the handshake. What
//! an HTTP library does best — bodies, pipelining, reuse — is what must never happen here.
//!
//! HTTP/2, towards clients only, is the `h2` crate's frames and flow control: each stream is one
//! handshake and one leg of a tunnel, as a connection of HTTP/1.1 is.

mod backend;
mod configuration;
mod connections;
mod counters;
mod credentials;
mod exchange;
mod gateway;
mod handshake;
mod head;
mod http_client;
mod listener;
mod outage;
mod policy;
mod refusal;
mod telemetry;
mod tls;

pub use backend::Unverified;
pub use configuration::settings;
pub use configuration::source::{Ack, Cluster, ConnectError, Directory, Feed, Pod};
pub use configuration::state_dir::{LoadError, SaveError, StateDir};
pub use configuration::update::Update;
pub use configuration::{Applied, Problem};
pub use gateway::{
    CloseTunnels, ClosedTunnels, ExplainError, Explained, Gateway, InvalidRequest, Options,
    StartError, Traffic, TunnelEntry, TunnelPage, TunnelQuery, explain,
};
#[cfg(any(test, feature = "fuzzing"))]
pub use handshake::fuzzing;
pub use handshake::{InvalidQuestion, Question};
pub use http_client::admin_ports::AdminPorts;
pub use listener::{BoundListener, Ports};
pub use telemetry::log_format::{LogFormat, leaves_out_accepted};
pub use telemetry::metrics::Metrics;
pub use telemetry::trace;

//! Tidegate's data plane: decides every WebSocket handshake and relays what follows.
//!
//! The tree is the algorithm: a `source` yields an `update`, which is compiled to a `snapshot` and
//! swapped whole; a `listener` accepts, a `worker` runs the connection: `tls`, `head`, `handshake`
//! (`route`, `upgrade`, `access`, inbound policies, `dial`, outbound policies), then `relay`. A
//! handshake that may not pass ends in a `refusal`. `record` tells of every connection exactly
//! once; `session` knows who is live; `drain` owns every task.
//!
//! HTTP/1.1 heads are read by `httparse` on our own sockets, on both legs, and not by an HTTP
//! library: a connection carries one request, nothing is pooled or reused, limits are exact, the
//! bytes that follow a head are known, and no library task or buffer outlives the handshake. What
//! an HTTP library does best — bodies, pipelining, reuse — is what must never happen here.
//!
//! HTTP/2, towards clients only, is the `h2` crate's frames and flow control: each stream is one
//! handshake and one leg of a tunnel, as a connection of HTTP/1.1 is.

pub mod drain;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod relay;
pub mod session;
pub mod settings;
pub mod trace;
pub mod transport;

mod access;
mod admin;
mod admin_ports;
mod chain;
mod client_address;
mod client_certificate;
mod connections;
mod counter;
mod custom_metrics;
mod dial;
mod exchange;
mod explain;
mod frame;
mod gateway;
mod handshake;
mod head;
mod health;
mod hop;
mod http_client;
mod jwks;
mod jwt;
mod listener;
mod log_format;
mod metrics;
mod outage;
mod password;
mod policy;
mod proxy_header;
mod quota;
mod record;
mod refusal;
mod route;
mod shared_counters;
mod snapshot;
mod socket;
mod source;
mod span;
mod state_dir;
mod tls;
mod token_source;
mod update;
mod upgrade;
mod worker;

pub use admin_ports::AdminPorts;
pub use explain::{ExplainError, Explained, InvalidQuestion, Question, explain};
pub use gateway::{Applied, BoundListener, Gateway, Options, Ports, Problem, StartError};
pub use log_format::LogFormat;
pub use metrics::Metrics;
pub use source::{Ack, Cluster, ConnectError, Directory, Feed, Pod};
pub use state_dir::{LoadError, SaveError, StateDir};
pub use update::Update;

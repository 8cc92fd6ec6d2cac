//! The admin servers of gateway and operator: probes, metrics, and the routes that each of them adds.
//!
//! The kubelet asks `/livez` on a port that everybody in the pod network reaches, and restarts a pod
//! that does not answer, with all its tunnels. So accepting never waits; at the limit of connections the
//! oldest one without a complete request head is closed, of the peer that has most of them; and requests
//! that take long have a limit of their own, in all and for each peer.

mod connections;
mod limit;
mod origin;
mod peer;
mod server;
mod stream;

pub use limit::InFlightLimit;
pub use origin::{BrowserRequest, is_json, refuse_pages, refuse_rebound_hosts};
pub use peer::Peer;
pub use server::{Answer, Service, Task, serve};

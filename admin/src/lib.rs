//! The admin servers of gateway and operator: probes, metrics, and what else their own routes say.
//!
//! The kubelet asks `/livez` on the port that anybody in the pod network reaches, and restarts a pod
//! that does not answer, with all its tunnels. So accepting never waits; a connection without a whole
//! request head is closed when its place is needed, the oldest one of the peer that has most of them
//! first; and what takes long has places of its own, some for each peer.

mod connections;
mod origin;
mod peer;
mod places;
mod server;
mod stream;

pub use origin::{FromPage, is_json, named_safely, not_from_a_page};
pub use peer::Peer;
pub use places::Places;
pub use server::{Answer, Service, Task, serve};

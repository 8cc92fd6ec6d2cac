//! A WebSocket tunnel from the moment it is open: bytes between a client and its backend until one
//! of them, or the gateway, ends it.
//!
//! `relay` is one tunnel's future; `session` knows which tunnels are live and what grants their access,
//! and ends them when it is revoked; `frame` reads frame headers, `transport` is what frames come and go by,
//! `socket` what the kernel is told about connections, and `drain` owns every task.
//!
//! Why a tunnel may be opened is not known here: no policies, no routes, no Kubernetes.

pub mod close_cause;
pub mod drain;
pub mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod relay;
pub mod session;
pub mod socket;
pub mod transport;

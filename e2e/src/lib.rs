//! Harness of the end-to-end tests: a real control plane, the real programs as processes, scripted
//! backends, and clients.
//!
//! It knows the programs only by their command lines, ports and resources, never by their code.

pub mod backend;
pub mod client;
pub mod cluster;
pub mod http;
pub mod kubectl;
pub mod metrics;
pub mod namespace;
pub mod pod_api;
pub mod process;
pub mod program;
pub mod scene;
pub mod standalone;
pub mod third_party;
pub mod tls;
pub mod token;
pub mod upgrade;
pub mod wait;

mod keeper;
mod paths;

pub use paths::free_port;

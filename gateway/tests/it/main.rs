//! In-process gateways on free ports, scripted backends, real sockets: one module per story.
//!
//! A directory with a `main.rs`, so that all stories are linked once.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "the lint's exemption for tests does not reach their helpers"
)]

mod access;
mod access_log;
mod admin;
mod answers;
mod attacks;
mod backend;
mod circuit;
mod client_certificates;
mod counters_nonsense;
mod counts;
mod crashes;
mod descriptors;
mod differential;
mod failover;
mod handshake;
mod health;
mod http2;
mod idle;
mod key_subprotocol;
mod late_heads;
mod lifecycle;
mod limits;
mod listeners;
mod logs;
mod loops;
mod mass_drain;
mod policies;
mod pool;
mod process;
mod proxy;
mod proxy_protocol;
mod quotas;
mod races;
mod refusal_bodies;
mod shared_counters;
mod smuggling;
mod spans;
mod support;
mod traces;
mod vanishing;

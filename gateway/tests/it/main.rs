//! In-process gateways on free ports, scripted backends, real sockets: one module per story.
//!
//! A directory with a `main.rs`, so that all stories are linked once.

mod lifecycle;
mod attacks;
mod backend;
mod handshake;
mod access;
mod limits;
mod listeners;
mod logs;
mod support;

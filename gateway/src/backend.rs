//! The connection to the backend: choosing a member, connecting, the handshake and the check of the answer.
//!
//! A connection is opened for one handshake and never reused, so no bytes of another client can be left in it.

mod answer;
mod body;
mod connect;
pub(crate) mod health;
mod outcome;
mod pool;
mod proxy;
mod request;
mod resolve;
mod retry_after;
mod tls;

pub(crate) use answer::{Fault, Verdict, is_passed_on, judge};
pub(crate) use body::{BodyRest, Framing, begin as begin_body, framing as body_framing};
pub(crate) use connect::{ConnectError, ConnectOptions, connect};
pub(crate) use outcome::DialOutcome;
pub(crate) use pool::{
    Candidates, Choice, Effect, HealthHandle, HealthRules, InFlightGuard, InvalidPool, NoBackend,
    Pool, Transition,
};
pub(crate) use proxy::{InvalidProxy, Proxy, ProxyError};
pub(crate) use request::encode as encode_request;
pub(crate) use resolve::Resolver;
pub use tls::Unverified;
pub(crate) use tls::{ClientTls, ClientTlsFactory, InvalidBackendTls};

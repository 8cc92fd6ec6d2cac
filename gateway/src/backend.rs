//! The backend's leg: where it is, how to get there, what it is asked and what it may answer.
//!
//! A connection is opened for one handshake and never used for another: there is no pool that
//! somebody else's bytes could be left in.

mod answer;
mod body;
mod connect;
pub(crate) mod health;
mod outcome;
mod pool;
mod proxy;
mod request;
mod resolve;
mod tls;

pub(crate) use answer::{Fault, Verdict, is_passed_on, judge};
pub(crate) use body::{BodyRest, Framing, begin as begin_body, framing as body_framing};
pub(crate) use connect::{ConnectError, ConnectOptions, connect};
pub(crate) use outcome::DialOutcome;
pub(crate) use pool::{
    Candidates, Effect, HealthHandle, HealthRules, InFlightGuard, InvalidPool, NoBackend, Pool,
    Transition,
};
pub(crate) use proxy::{InvalidProxy, Proxy, ProxyError};
pub(crate) use request::encode as encode_request;
pub(crate) use resolve::Resolver;
pub(crate) use tls::{ClientTls, ClientTlsFactory, InvalidBackendTls};

//! The trace of one handshake: route, access, every step and what it changed, the outcome.
//!
//! Written by the recorder while policies run, for live handshakes that may ask for it and for
//! `explain`. Steps know nothing of it: what one changed is found by comparing the exchange before
//! and after. Without a recorder nothing is compared, cloned or allocated. `hide` masks every trace: secrets that
//! the handshake met, and values whose names suggest a secret.

mod hide;
mod observe;
mod recorder;
mod report;
mod request;
mod store;

pub use crate::exchange::steps::{Action, Answer, Change, Field, Step, StepResult, Target};
pub(crate) use recorder::StepInfo;
pub use report::{Access, Backend, By, Outcome, Request, Route, Trace};
pub(crate) use report::{TraceFrame, without_query};
pub(crate) use request::{TraceRequested, begin};
pub(crate) use store::Traces;

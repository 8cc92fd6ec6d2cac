//! The trace of one handshake: route, access, every step and what it changed, the outcome.
//!
//! Written by the recorder while policies run, for live handshakes that may ask for it and for
//! `explain`. Steps know nothing of it: what one changed is found by comparing the exchange before
//! and after. Without a recorder nothing is compared, cloned or allocated. What leaves here went
//! through `hide`: no secret that the handshake met, and no value under a telling name.

mod hide;
mod observe;
mod recorder;
mod report;
mod request;
mod store;

pub(crate) use recorder::{Recorder, Which};
pub use report::{
    Access, Action, Answer, Backend, By, Change, Field, Outcome, Request, Route, Step, StepResult,
    Target, Trace,
};
pub(crate) use report::{Frame, fields, outcome_of, without_query};
pub(crate) use request::{Asked, begin};
pub(crate) use store::Traces;

//! The statuses of custom resources: what each should be (pure), and the one writer of them (client).
//!
//! A status follows from verdicts, published revisions and acknowledgements alone, never from what happened
//! before. The only time in it is that of a condition's last transition.

mod api;
mod conditions;
mod dependencies;
mod events;
mod gateway;
mod policy_fragment;
mod product;
mod programmed;
mod subscription;
mod subscription_request;
mod update;
mod updates;
mod writer;

pub(crate) use dependencies::Outages;
pub(crate) use programmed::Progress;
#[cfg(test)]
pub(crate) use update::Status;
pub(crate) use update::StatusUpdate;
pub(crate) use updates::{StatusInputs, unreadable_condition};
pub(crate) use writer::StatusWriter;

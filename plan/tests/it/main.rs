//! What comes out of a world: tables of cases, by subject.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test that calls them"
)]
#![expect(
    clippy::too_many_lines,
    clippy::type_complexity,
    reason = "tables of cases are long and simple"
)]

mod assignment;
mod blast_radius;
mod conflicts;
mod edits;
mod fragments;
mod keys;
mod policies;
mod products;
mod properties;
mod references;
mod scale;
mod states;
mod subscriptions;
mod support;
mod teams;

//! The end-to-end tests: one module for each story.
//!
//! One test binary, so that all stories share one control plane and one operator.

#[path = "e2e/harness.rs"]
mod harness;

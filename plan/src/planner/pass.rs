//! What one plan has to look at, as it turns out step by step.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_config::{ApiConfig, ObjectKey};

use crate::api::has_same_routes;
use crate::changes::{Changes, Keys};
use crate::register::{Namer, Register};
use crate::world::Previous;

/// What a subscription is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    Product(ObjectKey),
    Api(ObjectKey),
    Gateway(ObjectKey),
}

impl Scope {
    pub(super) fn key(&self) -> &ObjectKey {
        match self {
            Self::Product(key) | Self::Api(key) | Self::Gateway(key) => key,
        }
    }
}

/// The objects that a plan has to look at.
#[derive(Debug, Default)]
pub(super) struct Pass {
    pub(super) changes: Changes,
    /// Gateways to check.
    pub(super) unchecked: Keys,
    /// Gateways that are not as they were, checked.
    pub(super) gateways: Keys,
    /// APIs to prepare.
    pub(super) unprepared: Keys,
    /// Gateways whose APIs are to be placed.
    pub(super) unplaced: Keys,
    /// APIs of which it is to be found out what they serve.
    pub(super) unsettled: Keys,
    /// Products to render.
    pub(super) unrendered: Keys,
    /// Fragments to judge.
    pub(super) unjudged: Keys,
    /// APIs of which it is to be found out whether Subscriptions to them must be approved.
    pub(super) unasked: Keys,
    /// Scopes that are not as they were.
    pub(super) scopes: BTreeSet<Scope>,
    /// Gateways whose secret data is to be gathered.
    pub(super) ungathered: Keys,
    /// APIs that served another version before, by Gateway.
    pub(super) served_before: Vec<(ObjectKey, Keys)>,
    /// The same of products.
    pub(super) products_before: Keys,
}

impl Pass {
    pub(super) fn new(mut changes: Changes, register: &Register) -> Self {
        let mut pass = Self {
            unchecked: std::mem::take(&mut changes.gateways),
            unprepared: changes.apis.keys().cloned().collect(),
            unjudged: changes.fragments.clone(),
            ..Self::default()
        };
        for namer in register.concerned(&changes) {
            match namer {
                Namer::Gateway(key) => pass.unchecked.insert(key),
                Namer::Api(key) => pass.unprepared.insert(key),
                Namer::Product(key) => pass.unrendered.insert(key),
                Namer::Fragment(key) => pass.unjudged.insert(key),
            };
        }
        pass.changes = changes;
        pass
    }

    /// Looks at what Gateways serve now and did not before.
    pub(super) fn look_back(
        &mut self,
        gateway: &ObjectKey,
        old: Option<&Previous>,
        new: Option<&Previous>,
    ) {
        if old.map(|old| &old.settings) != new.map(|new| &new.settings) {
            self.unchecked.insert(gateway.clone());
        }
        if old.map(|old| &old.secret_data) != new.map(|new| &new.secret_data) {
            self.unchecked.insert(gateway.clone());
            self.ungathered.insert(gateway.clone());
        }
        let apis = |of: Option<&Previous>| of.map_or_else(Vec::new, |of| of.apis.clone());
        let mut served = Keys::new();
        differing(
            &apis(old),
            &apis(new),
            |api| &api.key,
            |before, after| {
                if let Some(api) = before.or(after) {
                    served.insert(api.key.clone());
                }
                if !is_same_route(before, after) {
                    self.unplaced.insert(gateway.clone());
                }
            },
        );
        self.served_before.push((gateway.clone(), served));
        let products = |of: Option<&Previous>| of.map_or_else(Vec::new, |of| of.products.clone());
        differing(
            &products(old),
            &products(new),
            |product| &product.key,
            |before, after| {
                let product = before.or(after);
                self.products_before
                    .extend(product.map(|product| product.key.clone()));
            },
        );
    }
}

/// Has an API the same routes on a Gateway as before?
pub(super) fn is_same_route(before: Option<&ApiConfig>, after: Option<&ApiConfig>) -> bool {
    match (before, after) {
        (Some(before), Some(after)) => {
            has_same_routes(before, after) && before.listeners == after.listeners
        }
        (before, after) => before.is_none() && after.is_none(),
    }
}

/// Calls `found` for each object that is not shared by two sorted lists.
fn differing<T>(
    old: &[Arc<T>],
    new: &[Arc<T>],
    key: impl Fn(&T) -> &ObjectKey,
    mut found: impl FnMut(Option<&T>, Option<&T>),
) {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(old), Some(new)) if Arc::ptr_eq(old, new) => std::cmp::Ordering::Equal,
            (Some(old), Some(new)) => key(old).cmp(key(new)),
        };
        let before = if order.is_le() { old.next() } else { None };
        let after = if order.is_ge() { new.next() } else { None };
        let is_shared =
            matches!((before, after), (Some(before), Some(after)) if Arc::ptr_eq(before, after));
        if !is_shared {
            found(before.map(AsRef::as_ref), after.map(AsRef::as_ref));
        }
    }
}

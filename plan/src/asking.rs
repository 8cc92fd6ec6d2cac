//! What may be used directly only with an approval, so that no Subscription gets around the approval of a Product.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_config::ObjectKey;

use crate::links::Links;

/// APIs whose direct Subscriptions must be approved, and the Gateways that serve one.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    /// With the Gateways that serve them.
    apis: BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
    gateways: Links<ObjectKey, ObjectKey>,
}

impl Asking {
    pub(crate) fn api(&self, api: &ObjectKey) -> bool {
        self.apis.contains_key(api)
    }

    pub(crate) fn gateway(&self, gateway: &ObjectKey) -> bool {
        self.gateways.contains_key(gateway)
    }

    /// Notes that an API must be approved, and where it is served; or that it need not be. Gives whether that is
    /// new of the API, and the Gateways of which it is.
    pub(crate) fn note(
        &mut self,
        api: &ObjectKey,
        on: Option<BTreeSet<ObjectKey>>,
    ) -> (bool, Vec<ObjectKey>) {
        let before = match &on {
            Some(on) => self.apis.insert(api.clone(), on.clone()),
            None => self.apis.remove(api),
        };
        let is_new = before.is_some() != on.is_some();
        let (before, on) = (before.unwrap_or_default(), on.unwrap_or_default());
        let mut changed = Vec::new();
        for gateway in on.difference(&before) {
            if self.gateways.add(gateway.clone(), api.clone()) {
                changed.push(gateway.clone());
            }
        }
        for gateway in before.difference(&on) {
            if self.gateways.remove(gateway, api) {
                changed.push(gateway.clone());
            }
        }
        (is_new, changed)
    }
}

//! Namespaces that an object admits.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};
use tidegate_api::NamespacesFrom;
use tidegate_config::ObjectKey;

use crate::{Missing, World};

/// The namespaces that an object of namespace `own` admits.
#[derive(Clone, Copy)]
pub(crate) struct Admitted<'a> {
    pub(crate) own: &'a str,
    pub(crate) from: NamespacesFrom,
    pub(crate) selector: Option<&'a LabelSelector>,
}

impl Admitted<'_> {
    pub(crate) fn contain(&self, namespace: &str, world: &World) -> bool {
        match self.from {
            NamespacesFrom::All => true,
            NamespacesFrom::Same => namespace == self.own,
            NamespacesFrom::Selector => {
                let labels = world.namespace_labels.get(namespace);
                let none = BTreeMap::new();
                matches(self.selector, labels.unwrap_or(&none))
            }
        }
    }

    /// The namespace, if its labels decide and are not known.
    pub(crate) fn unknown(&self, namespace: &str, world: &World) -> Option<Missing> {
        let is_known = world.namespace_labels.contains_key(namespace);
        (self.from == NamespacesFrom::Selector && !is_known).then(|| Missing {
            kind: "Namespace",
            key: ObjectKey::new("", namespace),
        })
    }
}

/// Does a label selector match? None at all, or one that makes no sense, matches nothing.
pub(crate) fn matches(selector: Option<&LabelSelector>, labels: &BTreeMap<String, String>) -> bool {
    let Some(selector) = selector else {
        return false;
    };
    Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
}

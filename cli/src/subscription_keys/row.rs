//! A key of a Subscription as a line of a list. Pure.

use std::sync::Arc;

use serde::Serialize;
use tidegate_api::{KeyStatus, Subscription};

use crate::planned::key_of;
use crate::print::{Row, word};

/// What a list shows of a key.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeyRow {
    namespace: String,
    subscription: String,
    /// `primary` or `secondary`.
    key: &'static str,
    /// State of the subscription.
    state: String,
    /// Absent: the user supplied the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<i64>,
    /// First digits of its SHA-256; absent: there is no such key.
    #[serde(skip_serializing_if = "Option::is_none")]
    hash_prefix: Option<String>,
    secret: String,
}

impl KeyRow {
    /// Two rows for each Subscription, sorted by name.
    pub(super) fn of_all(mut all: Vec<Arc<Subscription>>) -> Vec<Self> {
        all.sort_by_key(|one| key_of(one));
        all.iter().flat_map(|one| Self::of(one)).collect()
    }

    fn of(subscription: &Subscription) -> [Self; 2] {
        let status = subscription.status.clone().unwrap_or_default();
        let keys = status.keys.unwrap_or_default();
        let name = key_of(subscription);
        let state = status.state.map(|state| word(&state)).unwrap_or_default();
        let row = |key: &'static str, of: Option<&KeyStatus>| Self {
            namespace: name.namespace.clone(),
            subscription: name.name.clone(),
            key,
            state: state.clone(),
            generation: of.and_then(|of| of.generation),
            hash_prefix: of.map(|of| of.hash_prefix.clone()),
            secret: keys.secret_name.clone(),
        };
        [
            row("primary", keys.primary.as_ref()),
            row("secondary", keys.secondary.as_ref()),
        ]
    }
}

impl Row for KeyRow {
    const COLUMNS: &'static [&'static str] = &[
        "NAMESPACE",
        "SUBSCRIPTION",
        "KEY",
        "STATE",
        "GENERATION",
        "SHA-256",
        "SECRET",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.namespace.clone(),
            self.subscription.clone(),
            self.key.to_owned(),
            self.state.clone(),
            self.generation
                .map(|number| number.to_string())
                .unwrap_or_default(),
            self.hash_prefix.clone().unwrap_or_default(),
            self.secret.clone(),
        ]
    }

    fn id(&self) -> String {
        format!("{}/{} {}", self.namespace, self.subscription, self.key)
    }

    fn name(&self) -> String {
        format!("secret/{}", self.secret)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_subscription_has_a_row_for_each_key() {
        let subscription = |name: &str, status: serde_json::Value| {
            let object = json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "Subscription",
                "metadata": {"name": name, "namespace": "shop"}, "spec": {"scope": {"api": "a"}}, "status": status});
            Arc::new(serde_json::from_value(object).unwrap())
        };
        let rows = KeyRow::of_all(vec![
            subscription("new", json!(null)),
            subscription(
                "ann",
                json!({"state": "Active", "keys": {"secretName": "ann-keys",
                "primary": {"generation": 2, "hashPrefix": "0123abcd"}, "secondary": {"hashPrefix": "4567cdef"}}}),
            ),
        ]);
        let cells: Vec<_> = rows.iter().map(|row| row.cells().join(" ")).collect();
        let expected = [
            "shop ann primary Active 2 0123abcd ann-keys",
            "shop ann secondary Active  4567cdef ann-keys",
            "shop new primary    ",
            "shop new secondary    ",
        ];
        assert_eq!(cells, expected);
    }
}

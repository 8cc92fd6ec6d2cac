//! The table of `docs/subscriptions.md`: every combination is planned and compared with it.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_api::SubscriptionRequest;
use tidegate_plan::Plan;

use crate::support::{Builder, edge, key, subscription};

const PAGE: &str = include_str!("../../../docs/subscriptions.md");
/// What the first six columns can say.
const COLUMNS: [&[&str]; 6] = [
    &["own namespace", "other namespace"],
    &["none", "gives", "asks", "hidden", "asks and hidden"],
    &["yes", "no"],
    &["none", "approved", "rejected"],
    &["Active", "Suspended", "Cancelled"],
    &["none", "future", "past"],
];

/// The rows of the table.
fn rows() -> Vec<Vec<&'static str>> {
    let lines = PAGE.lines();
    let table = lines
        .skip_while(|line| !line.starts_with("| scope |"))
        .skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

fn fits(row: &[&str], case: &[&str]) -> bool {
    let mut cells = row.iter().zip(case);
    cells.all(|(cell, value)| *cell == "any" || cell.split(", ").any(|one| one == *value))
}

fn cases() -> Vec<Vec<&'static str>> {
    COLUMNS.iter().fold(vec![Vec::new()], |cases, values| {
        let with = |case: &Vec<&'static str>| {
            let case = case.clone();
            values
                .iter()
                .map(move |value| [&case[..], &[*value]].concat())
        };
        cases.iter().flat_map(with).collect()
    })
}

fn shop(product: &str, consent: &str) -> Builder {
    let shop = edge().api("chat", json!({}));
    if product == "none" {
        return shop;
    }
    let from = if consent == "yes" { "All" } else { "Same" };
    let state = if product.contains("hidden") {
        "NotPublished"
    } else {
        "Published"
    };
    let spec = json!({"apis": [{"name": "chat"}], "state": state,
        "approvalRequired": product.contains("asks"), "subscriptionNamespaces": {"from": from}});
    shop.product("gold", spec)
}

fn planned(case: &[&str]) -> Plan {
    let [scope, product, consent, decision, state, end] = case else {
        panic!("{case:?} has six columns");
    };
    let is_own = *scope == "own namespace";
    let approval = match *decision {
        "approved" => json!("Approved"),
        "rejected" => json!("Rejected"),
        _ => Value::Null,
    };
    let end = match *end {
        "future" => json!("2030-01-01T00:00:00Z"),
        "past" => json!("2020-01-01T00:00:00Z"),
        _ => Value::Null,
    };
    let scope = if is_own {
        json!({"product": "gold"})
    } else {
        json!({"namespace": "shop", "product": "gold"})
    };
    let spec = json!({"scope": scope, "state": state, "expiresAt": end,
        "approval": if is_own { &approval } else { &Value::Null }});
    let name = if is_own { "mine" } else { "team/mine" };
    let mut shop = shop(product, consent).subscription(name, spec);
    if !is_own && !approval.is_null() {
        let request = json!({
            "apiVersion": tidegate_api::API_VERSION, "kind": "SubscriptionRequest",
            "metadata": {"namespace": "shop", "name": "mine"},
            "spec": {"subscription": {"namespace": "team", "name": "mine"},
                "terms": {"product": "gold", "expiresAt": end}, "approval": approval},
        });
        let request: SubscriptionRequest = serde_json::from_value(request).unwrap();
        shop.world.add(Arc::new(request));
    }
    shop.plan()
}

#[test]
fn every_combination_is_as_the_table_says() {
    let rows = rows();
    assert!(rows.len() > 5, "the table was not found");
    let mut used = BTreeSet::new();
    for case in cases() {
        let at = rows.iter().position(|row| fits(row, &case));
        let at = at.unwrap_or_else(|| panic!("no row fits {case:?}"));
        used.insert(at);
        let plan = planned(&case);
        let name = key(if case[0] == "own namespace" {
            "mine"
        } else {
            "team/mine"
        });
        let verdict = &plan.subscription_verdicts[&name];
        let opens = subscription(&plan, "edge", &name.to_string()).is_some();
        let keys = if opens { "work" } else { "refused" };
        let found = [format!("{:?}", verdict.phase), keys.to_owned()];
        assert_eq!(found, rows[at][6..8], "{case:?}, row {}", at + 1);
        if let Some(reason) = rows[at].get(8).filter(|reason| !reason.is_empty()) {
            let of = &verdict.conditions;
            let reasons =
                [of.accepted.reason, of.resolved.reason].map(|reason| format!("`{reason}`"));
            assert!(
                reasons.contains(&(*reason).to_owned()),
                "{case:?}: {reasons:?}"
            );
        }
    }
    let unused: Vec<_> = (0..rows.len()).filter(|at| !used.contains(at)).collect();
    assert_eq!(
        unused,
        Vec::<usize>::new(),
        "no combination is about these rows"
    );
}

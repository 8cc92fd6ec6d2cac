//! What follows from manifests alone. Pure.

use tidegate_config::ObjectKey;
use tidegate_plan::Conditions;

use super::rows::GatewayRow;
use super::view::{self, ObjectState, View};
use crate::planned::{Planned, conditions};
use crate::world;

pub(crate) fn view(planned: &Planned) -> View {
    let mut view = View {
        is_incomplete: !planned.unreadable().is_empty(),
        ..View::default()
    };
    for (kind, key, verdict) in world::conditions(&planned.plan) {
        let state = state(kind, key, verdict);
        view.objects.extend(view::flaw(&state));
        if kind == "Gateway" {
            let flaw = view::flaw(&state);
            let of = planned.plan.gateway_verdicts.get(key);
            view.gateways.push(GatewayRow {
                namespace: key.namespace.clone(),
                name: key.name.clone(),
                revision: None,
                pods: None,
                ready: None,
                apis: of.map(|of| of.apis),
                state: flaw.map_or_else(|| "OK".to_owned(), |row| row.reason),
            });
        }
    }
    for id in &planned.objects.broken {
        let mut findings = planned.objects.findings.iter();
        let finding = findings.find(|found| found.object.as_deref() == Some(&*id.to_string()));
        let message = finding.map(|found| found.to_string()).unwrap_or_default();
        view.objects.push(view::broken(&id.kind, &id.key, message));
    }
    view.sort();
    view
}

fn state(kind: &'static str, key: &ObjectKey, verdict: &Conditions) -> ObjectState {
    ObjectState {
        kind,
        key: key.clone(),
        generation: Some(verdict.generation),
        observed: Some(verdict.generation),
        conditions: conditions(verdict),
        is_off: false,
    }
}

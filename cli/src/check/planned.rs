//! Checks of objects, and of manifests alone. Pure.

use super::judge::problem_of;
use super::row::CheckRow;
use crate::planned::Planned;
use crate::status::{ObjectRow, planned_view};

/// Objects that are not well.
pub(super) fn objects(found: &[ObjectRow]) -> Vec<CheckRow> {
    const CHECK: &str = "objects";
    let row = |object: &ObjectRow| {
        let text = format!(
            "{} {}/{} is not {}: {}",
            object.kind, object.namespace, object.name, object.condition, object.message
        );
        CheckRow::failed(CHECK, problem_of(&object.reason, &object.message), text)
    };
    match found {
        [] => vec![CheckRow::ok(CHECK, "every object is well")],
        found => found.iter().map(row).collect(),
    }
}

/// What follows from manifests.
pub(super) fn rows(planned: &Planned) -> Vec<CheckRow> {
    const CHECK: &str = "manifests";
    let mut findings = planned.objects.findings.iter();
    let mut rows = match findings.find(|found| found.object.is_none() && !found.is_warning) {
        Some(finding) => vec![CheckRow::failed(
            CHECK,
            super::row::Problem::InvalidObject,
            format!("{finding}; see tidegate validate"),
        )],
        None => {
            let text = format!("{} objects were read", planned.objects.all.len());
            vec![CheckRow::ok(CHECK, text)]
        }
    };
    rows.extend(objects(&planned_view(planned).objects));
    rows
}

//! What a Gateway tells: can its lines be written?

use tidegate_config::{
    AccessLog, GatewaySettings, InvalidLineTemplate, LineField, LineTemplate, Telemetry,
};
use tidegate_expr::nearest;

use crate::problem::Problem;

/// A log whose lines cannot be written stays what it was.
pub(crate) fn resolve(
    telemetry: &Telemetry,
    previous: Option<&GatewaySettings>,
    problems: &mut Vec<Problem>,
) -> Telemetry {
    let mut resolved = telemetry.clone();
    let found = telemetry.access_log.iter().flat_map(check);
    let found: Vec<_> = found.collect();
    if !found.is_empty() {
        resolved.access_log = previous.and_then(|before| before.telemetry.access_log.clone());
    }
    problems.extend(found);
    resolved
}

fn check(log: &AccessLog) -> Vec<Problem> {
    let Some(text) = &log.text else {
        return Vec::new();
    };
    [
        ("handshake", text.handshake_line()),
        ("close", text.close_line()),
    ]
    .into_iter()
    .filter_map(|(line, read): (_, Result<LineTemplate, _>)| {
        let text = with_suggestion(&read.err()?);
        let field = format!("spec.telemetry.accessLog.text.{line}");
        Some(Problem::invalid(text).at(&field))
    })
    .collect()
}

fn with_suggestion(error: &InvalidLineTemplate) -> String {
    let InvalidLineTemplate::Unknown(name) = error else {
        return error.to_string();
    };
    let names = LineField::ALL.map(LineField::as_str);
    match nearest(name, names) {
        Some(nearest) => format!("{error}, did you mean \"{nearest}\"?"),
        None => error.to_string(),
    }
}

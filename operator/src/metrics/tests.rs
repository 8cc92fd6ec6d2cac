use std::collections::BTreeSet;

use super::*;

fn text(metrics: &Metrics) -> String {
    String::from_utf8(metrics.text().unwrap()).unwrap()
}

fn edge() -> ObjectKey {
    ObjectKey::new("edge-ns", "edge")
}

const SIZE: ConfigSize = ConfigSize {
    revision: 7,
    bytes: 10,
    parts: 2,
};

#[test]
fn a_gateway_that_is_gone_leaves_no_series() {
    let metrics = Metrics::new().unwrap();
    metrics.config(&edge(), SIZE, Duration::from_secs(3));
    let before = text(&metrics);
    assert!(before.contains(r#"tidegate_operator_config_revision{gateway="edge-ns/edge"} 7"#));
    assert!(before.contains(r#"config_apply_lag_seconds{gateway="edge-ns/edge"} 3"#));
    metrics.forget(&edge());
    assert!(!text(&metrics).contains("edge-ns/edge"));
}

#[test]
fn the_table_in_the_documentation_is_complete_and_true() {
    let metrics = Metrics::new().unwrap();
    // A metric with labels shows only when something was counted.
    metrics.objects("Gateway", 1, 0);
    metrics.watch_age("Gateway", Duration::ZERO);
    metrics.watch_failed("Gateway");
    metrics.status_written("Gateway", true);
    metrics.applied("ConfigMap", "create");
    metrics.apply_failed("ConfigMap");
    metrics.event("Warning");
    metrics.published(&edge(), Duration::ZERO);
    metrics.config(&edge(), SIZE, Duration::ZERO);
    metrics.ignored(&edge(), 1);
    let text = text(&metrics);
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let real: BTreeSet<String> = types.map(|line| line.replace(' ', " | ")).collect();
    let document = include_str!("../../../docs/operator.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `"));
    let metrics = rows.filter(|row| row.starts_with("tidegate_") || row.starts_with("process_"));
    let written: BTreeSet<String> = metrics
        .map(|row| {
            let mut cells = row.split(" | ");
            let name = cells.next().unwrap_or_default().trim_end_matches('`');
            format!("{name} | {}", cells.next().unwrap_or_default())
        })
        .collect();
    assert_eq!(written, real);
}

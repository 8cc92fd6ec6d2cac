use super::*;
use crate::telemetry::metrics::Metrics;

fn handshakes(metrics: &Metrics) -> Vec<String> {
    let text = metrics.render();
    let lines = text
        .lines()
        .filter(|line| line.starts_with("tidegate_handshakes_total{"));
    lines.map(str::to_owned).collect()
}

#[test]
fn a_record_is_counted_once_however_it_ends() {
    let peer = "192.0.2.1:7".parse().unwrap();
    let counted = |end: fn(Record)| {
        let metrics = Metrics::new();
        let recorder = Recorder::new(Arc::clone(&metrics));
        end(Record::begin(&recorder, peer, Instant::now()));
        handshakes(&metrics)
    };
    let line = |result: &str, reason: &str| {
        format!("tidegate_handshakes_total{{api=\"-\",reason=\"{reason}\",result=\"{result}\"}} 1")
    };
    assert_eq!(counted(drop), [line("failed", "cut_off")]);
    assert_eq!(counted(Record::closed_without_request), [""; 0]);
    let refused = counted(|record| {
        let why = Refusal::new(404, Reason::RouteNotFound, Origin::Client, "");
        record.refused(&why);
    });
    assert_eq!(refused, [line("refused", "route_not_found")]);
    let failed = counted(|record| {
        let why = Refusal::new(502, Reason::BackendConnectFailed, Origin::Backend, "");
        record.refused(&why);
    });
    assert_eq!(failed, [line("failed", "backend_connect_failed")]);
}

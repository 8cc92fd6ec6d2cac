use super::*;
use tidegate_tunnel::relay::{Counts, FrameKind};

fn lines(metrics: &Metrics, of: &str) -> Vec<String> {
    let text = metrics.render();
    let matching = text.lines().filter(|line| line.starts_with(of));
    matching.map(str::to_owned).collect()
}

fn labels(api: &ObjectKey) -> MessageLabels {
    MessageLabels {
        api: api.clone(),
        product: None,
        subscription: None,
    }
}

#[test]
fn what_an_api_counts_is_labelled_with_it() {
    let metrics = Metrics::new();
    let key = ObjectKey::new("shop", "chat");
    let api = metrics.api(&key);
    api.opened();
    api.opened();
    let counters = metrics.meter(&api, || labels(&key));
    let sent = |frames, bytes| Counts {
        frames: [(FrameKind::Binary, frames)].into(),
        bytes: [(FrameKind::Binary, bytes)].into(),
    };
    counters.count(Direction::ToClient, &sent(7, 70));
    counters.count(Direction::ToBackend, &sent(1, 99));
    api.closed("client", Some(4711), Duration::from_secs(3));
    metrics.handshake(Some(&key), HandshakeResult::Refused, "token_missing");
    metrics.handshake(None, HandshakeResult::Refused, "route_not_found");
    for expected in [
        "tidegate_tunnels_active{api=\"shop/chat\"} 1",
        "tidegate_messages_total{api=\"shop/chat\",direction=\"to_client\",type=\"binary\"} 7",
        "tidegate_bytes_total{api=\"shop/chat\",direction=\"to_backend\",type=\"binary\"} 99",
        "tidegate_tunnels_closed_total{api=\"shop/chat\",code=\"4xxx\",initiator=\"client\"} 1",
        "tidegate_handshakes_total{api=\"shop/chat\",reason=\"token_missing\",result=\"refused\"} 1",
        "tidegate_handshakes_total{api=\"-\",reason=\"route_not_found\",result=\"refused\"} 1",
        "tidegate_tunnel_duration_seconds_count 1",
    ] {
        assert_eq!(lines(&metrics, expected), [expected]);
    }
}

#[test]
fn series_of_removed_apis_are_dropped() {
    let metrics = Metrics::new();
    let (gone, stays) = (
        ObjectKey::new("shop", "gone"),
        ObjectKey::new("shop", "stays"),
    );
    for key in [&gone, &stays] {
        let api = metrics.api(key);
        api.opened();
        metrics.meter(&api, || labels(key));
        metrics.handshake(Some(key), HandshakeResult::Accepted, "");
    }
    metrics.retain_apis(|key| *key == stays);
    metrics.retain_messages(|key| *key == stays, |_| true, |_| true);
    assert!(!metrics.render().contains("shop/gone"));
    assert_eq!(lines(&metrics, "tidegate_tunnels_active").len(), 1);
    assert_eq!(lines(&metrics, "tidegate_bytes_total").len(), 14);
    assert_eq!(lines(&metrics, "tidegate_handshakes_total").len(), 1);
}

/// One row of the documentation: name, type, sorted labels, meaning.
type Row = (String, String, Vec<String>, String);

fn documented() -> Vec<Row> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let text = std::fs::read_to_string(path).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let mut labels: Vec<String> = cells[2].split(',').map(|l| l.trim().to_owned()).collect();
        labels.retain(|label| !label.is_empty());
        labels.sort();
        let name = cells[0].trim_matches('`').to_owned();
        (name, cells[1].to_owned(), labels, cells[3].to_owned())
    };
    let is_metric =
        |line: &&str| line.starts_with("| `tidegate_") || line.starts_with("| `process_");
    let rows = text.lines().filter(is_metric);
    rows.map(row).collect()
}

#[test]
fn the_documentation_lists_every_metric() {
    let metrics = Metrics::new();
    let key = ObjectKey::new("shop", "chat");
    let api = metrics.api(&key);
    api.opened();
    metrics.meter(&api, || labels(&key));
    api.closed("client", None, Duration::ZERO);
    metrics.handshake(Some(&key), HandshakeResult::Accepted, "");
    metrics.handshake_phase(Phase::Total, Duration::ZERO);
    metrics.config_error("format");
    api.circuit_opened();
    api.handshake_retried();
    metrics.health_check(&key, true);
    metrics.count_backends(move || vec![(key.clone(), UnavailableBackends::default())]);
    metrics.render();
    let registered = metrics.gather().into_iter().map(|family| {
        let kind = format!("{:?}", family.get_field_type()).to_lowercase();
        let labels = family.get_metric()[0].get_label().iter();
        let mut labels: Vec<String> = labels.map(|label| label.name().to_owned()).collect();
        labels.sort();
        (
            family.name().to_owned(),
            kind,
            labels,
            family.help().to_owned(),
        )
    });
    assert_eq!(documented(), registered.collect::<Vec<Row>>());
}

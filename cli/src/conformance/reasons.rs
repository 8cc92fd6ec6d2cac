//! Compares reasons of refusals and custom counters in the gateway's metrics with what the cases expect.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tidegate_wire::Wire;

use super::case::Case;

/// Counters may change shortly after the response.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

/// Counts of handshakes by API (`-`: no route) and reason, and of custom counters by API and
/// `NAME{LABELS}`.
pub(super) type Counts = BTreeMap<(String, String), u64>;

/// The current counts of the gateway.
pub(super) async fn counted(admin: SocketAddr) -> anyhow::Result<Counts> {
    let mut wire = Wire::connect(admin, None)
        .await
        .context("failed to connect to the admin port")?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    wire.send(request.as_bytes()).await?;
    let head = wire.head().await?;
    ensure!(head.status() == 200, "/metrics: {}", head.start);
    Ok(parse(&wire.body(&head).await?))
}

fn parse(metrics: &str) -> Counts {
    let mut counts = Counts::new();
    for line in metrics.lines() {
        let Some(series) = line.strip_prefix("tidegate_handshakes_total{") else {
            counts.extend(own_counter(line));
            continue;
        };
        let label = |name: &str| {
            let (_, rest) = series.split_once(&format!("{name}=\""))?;
            Some(rest.split_once('"')?.0.to_owned())
        };
        let value = series.rsplit_once(' ').and_then(|(_, n)| n.parse().ok());
        if let (Some(api), Some(reason), Some(value)) = (label("api"), label("reason"), value) {
            let value: f64 = value;
            *counts.entry((api, reason)).or_default() += value as u64;
        }
    }
    counts
}

/// `tidegate_custom_rooms_total{api="a/b",room="blue"} 2` as a/b, `rooms_total{room="blue"}` and 2.
fn own_counter(line: &str) -> Option<((String, String), u64)> {
    let (series, value) = line.strip_prefix("tidegate_custom_")?.rsplit_once(' ')?;
    let (name, labels) = series.strip_suffix('}')?.split_once("{api=\"")?;
    let (api, labels) = labels.split_once('"')?;
    let labels = labels.trim_start_matches(',');
    let value: f64 = value.parse().ok()?;
    Some((
        (api.to_owned(), format!("{name}{{{labels}}}")),
        value as u64,
    ))
}

/// The expected reasons and counters of a case, with their counts.
fn wanted(case: &Case) -> BTreeMap<&str, u64> {
    let mut wanted = BTreeMap::new();
    for (counter, more) in case.steps.iter().flat_map(|step| &step.expect.emits) {
        *wanted.entry(counter.as_str()).or_default() += more;
    }
    for reason in case.steps.iter().filter_map(|s| s.expect.reason.as_deref()) {
        *wanted.entry(reason).or_default() += 1;
    }
    wanted
}

/// One line for each difference. Handshakes without a route are counted without an API, together with
/// other traffic, so more of them than expected is no difference.
pub(super) fn differences(
    case: &Case,
    namespace: &str,
    before: &Counts,
    after: &Counts,
) -> Vec<String> {
    let more = |api: &str, reason: &str| {
        let key = (api.to_owned(), reason.to_owned());
        let count = |counts: &Counts| counts.get(&key).copied().unwrap_or(0);
        count(after).saturating_sub(count(before))
    };
    let api = format!("{namespace}/{}", case.name);
    let mut found = Vec::new();
    for (reason, wanted) in wanted(case) {
        let (own, nobodys) = (more(&api, reason), more("-", reason));
        if own != wanted && (own > 0 || nobodys < wanted) {
            let got = other_reasons(&api, before, after);
            found.push(format!("expected {reason} {wanted} times, counted: {got}"));
        }
    }
    found
}

fn other_reasons(api: &str, before: &Counts, after: &Counts) -> String {
    let of_api = after.iter().filter(|((name, _), _)| name == api);
    let more = of_api.filter_map(|(key, count)| {
        let more = count - before.get(key).copied().unwrap_or(0).min(*count);
        (more > 0).then(|| format!("{} {more}", if key.1.is_empty() { "none" } else { &key.1 }))
    });
    let more: Vec<_> = more.collect();
    if more.is_empty() {
        "nothing".to_owned()
    } else {
        more.join(", ")
    }
}

/// The counts as soon as they are as expected, or at a timeout as they are.
pub(super) async fn settled(
    admin: SocketAddr,
    cases: &[&Case],
    namespace: &str,
    before: &Counts,
) -> anyhow::Result<Counts> {
    let end = tokio::time::Instant::now() + SETTLE_TIMEOUT;
    loop {
        let after = counted(admin).await.context("failed to read metrics")?;
        let agrees = |case: &&Case| differences(case, namespace, before, &after).is_empty();
        if cases.iter().all(agrees) || tokio::time::Instant::now() > end {
            return Ok(after);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(reasons: &[&str]) -> Case {
        let step = |reason: &&str| serde_json::json!({"expect": {"reason": reason}});
        let steps: Vec<_> = reasons.iter().map(step).collect();
        let case = serde_json::json!({"name": "c", "says": "", "steps": steps});
        serde_json::from_value(case).unwrap()
    }

    const METRICS: &str = "# TYPE tidegate_handshakes_total counter
tidegate_handshakes_total{api=\"-\",reason=\"route_not_found\",result=\"refused\"} 3
tidegate_handshakes_total{api=\"default/c\",reason=\"token_missing\",result=\"refused\"} 2
tidegate_tunnels_active{api=\"default/c\"} 9
";

    #[test]
    fn counters_of_policies_are_told_by_name_and_labels() {
        let line = "tidegate_custom_rooms_total{api=\"default/c\",room=\"blue\",x=\"y\"} 2";
        let key = (
            "default/c".to_owned(),
            "rooms_total{room=\"blue\",x=\"y\"}".to_owned(),
        );
        assert_eq!(parse(line), Counts::from([(key, 2)]));
        let line = "tidegate_custom_plain_total{api=\"default/c\"} 3";
        let key = ("default/c".to_owned(), "plain_total{}".to_owned());
        assert_eq!(parse(line), Counts::from([(key, 3)]));
    }

    #[test]
    fn each_reason_must_be_counted_as_often_as_it_is_wanted() {
        let (before, after) = (Counts::new(), parse(METRICS));
        let found = |reasons: &[&str]| differences(&case(reasons), "default", &before, &after);
        assert!(found(&["token_missing", "token_missing"]).is_empty());
        assert_eq!(found(&["token_missing"]).len(), 1);
        assert_eq!(found(&["token_expired"]).len(), 1);
        assert!(found(&["route_not_found"]).is_empty());
    }
}

//! At 5,000 APIs and 50,000 subscriptions a plan is made of indexes, not of loops in loops.

use std::time::{Duration, Instant};

use serde_json::json;
use tidegate_plan::Planner;

use crate::support::{Builder, edge, empty, key};

fn large(apis: usize, subscriptions: usize) -> Builder {
    let mut world = edge();
    for i in 0..apis {
        let step =
            json!({"setHeader": {"name": "X-Api", "values": [format!("${{request.path}} {i}")]}});
        world = world.api(
            &format!("api-{i}"),
            json!({"onHandshake": {"inbound": [step]}}),
        );
    }
    for i in 0..apis / 10 {
        let apis: Vec<_> = (0..10)
            .map(|j| json!({"name": format!("api-{}", i * 10 + j)}))
            .collect();
        world = world.product(&format!("product-{i}"), json!({"apis": apis}));
    }
    for i in 0..subscriptions {
        let product = format!("product-{}", i % (apis / 10));
        world = world.subscription(&format!("sub-{i}"), json!({"scope": {"product": product}}));
    }
    world
}

#[test]
fn a_large_world_is_planned_whole() {
    let world = large(500, 5_000);
    let plan = world.plan();
    let config = &plan.gateways[&key("edge")].config;
    assert_eq!((config.apis.len(), config.products.len()), (500, 50));
    assert_eq!(config.subscriptions.len(), 5_000);
    assert!(
        plan.api_verdicts
            .values()
            .all(|v| v.conditions.accepted.status)
    );
}

#[test]
#[ignore = "prints how long plans take at full size; run it with --release --ignored --nocapture"]
fn how_long_a_plan_takes() {
    let world = large(5_000, 50_000).served().world;
    let mut planner = Planner::default();
    for pass in 0..5 {
        let (start, busy) = (Instant::now(), cpu_time());
        let plan = planner.plan(&world);
        let (elapsed, busy) = (start.elapsed(), cpu_time().saturating_sub(busy));
        let count = plan.subscription_verdicts.len();
        println!("pass {pass}: {elapsed:?}, {busy:?} of CPU, {count} subscriptions");
    }
}

/// Each namespace with an API of its own on one Gateway: prefixes and templates, on hosts of their own
/// and on every host.
fn tenants(count: usize) -> Builder {
    let mut world = empty().gateway("edge", json!({"apiNamespaces": {"from": "All"}}));
    for i in 0..count {
        let (path, path_match) = match i % 3 {
            0 => (format!("/{{room}}/of-{i}"), "Template"),
            1 => (format!("/tenants/{i}"), "Prefix"),
            _ => (format!("/exact/{i}"), "Exact"),
        };
        let mut spec = json!({
            "gateways": [{"name": "edge", "namespace": "shop"}],
            "path": path, "pathMatch": path_match,
        });
        if i % 2 == 0 {
            spec["hostnames"] = json!([format!("t{i}.example"), "*.shared.example"]);
        }
        world = world.api(&format!("tenant-{i}/api"), spec);
    }
    world
}

#[test]
fn routes_of_many_namespaces_are_compared() {
    let plan = tenants(300).served().plan();
    assert_eq!(plan.gateways[&key("edge")].config.apis.len(), 300);
}

#[test]
#[ignore = "prints how long plans take at full size; run it with --release --ignored --nocapture"]
fn how_long_a_plan_takes_with_many_namespaces() {
    for count in [1_250, 2_500, 5_000] {
        let world = tenants(count).served().world;
        let mut planner = Planner::default();
        planner.plan(&world);
        let busy = cpu_time();
        planner.plan(&world);
        println!("{count} APIs: {:?} of CPU", cpu_time().saturating_sub(busy));
    }
}

/// CPU time of this thread; what else runs on the machine does not count.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|text| text.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}

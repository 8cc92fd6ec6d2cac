//! At 5,000 APIs and 50,000 subscriptions a plan is made of indexes, not of loops in loops.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use kube::ResourceExt;
use serde_json::json;
use tidegate_api::SubscriptionState;
use tidegate_config::ObjectKey;
use tidegate_plan::{Plan, Planner, Previous, World};

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

/// What somebody changes.
type Change = (&'static str, fn(&mut World, usize));

const CHANGES: [Change; 7] = [
    ("nothing", |_, _| {}),
    ("an API's step", |world, i| {
        edit(&mut world.apis, i, |api| {
            let step = json!([{"setHeader": {"name": "X-Api", "values": [format!("edited {i}")]}}]);
            api.spec.on_handshake.inbound = serde_json::from_value(step).unwrap();
        });
    }),
    ("an API's path", |world, i| {
        edit(&mut world.apis, i, |api| {
            api.spec.path = format!("/moved/{i}")
        });
    }),
    ("an API is deleted", |world, _| {
        world.apis.pop_last();
    }),
    ("a product's name", |world, i| {
        edit(&mut world.products, i, |product| {
            product.spec.display_name = Some(format!("Edited {i}"));
        });
    }),
    ("a subscription is suspended", |world, i| {
        edit(&mut world.subscriptions, i, |subscription| {
            subscription.spec.state = SubscriptionState::Suspended;
        });
    }),
    ("a key is renewed", |world, i| {
        let secret = world.secrets.values_mut().nth(i).unwrap();
        let data = Arc::make_mut(secret).data.as_mut().unwrap();
        let key = format!("a renewed key with number {i}");
        data.insert("primaryKey".to_owned(), ByteString(key.into_bytes()));
    }),
];

/// Changes the spec of the `i`-th object.
fn edit<K: ResourceExt + Clone>(
    objects: &mut BTreeMap<ObjectKey, Arc<K>>,
    i: usize,
    edit: impl FnOnce(&mut K),
) {
    let object = objects.values_mut().nth(i).unwrap();
    let object = Arc::make_mut(object);
    edit(object);
    *object.meta_mut().generation.as_mut().unwrap() += 1;
}

#[test]
#[ignore = "prints how long changes take to plan; run it with --release --ignored --nocapture"]
fn how_long_a_change_takes() {
    let size =
        |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (apis, subscriptions) = (size("APIS", 5_000), size("SUBSCRIPTIONS", 50_000));
    let mut world = large(apis, subscriptions).served().world;
    let mut planner = Planner::default();
    let busy = cpu_time();
    planner.plan(&world);
    println!("{apis} APIs, {subscriptions} subscriptions; CPU time of");
    println!(
        "  a plan from nothing: {:?}",
        cpu_time().saturating_sub(busy)
    );
    for (name, change) in CHANGES {
        let mut times: Vec<_> = (0..20)
            .map(|i| {
                change(&mut world, i);
                let before = cpu_time();
                planner.plan(&world);
                let took = cpu_time().saturating_sub(before);
                serve(&mut world, planner.last());
                planner.plan(&world);
                took
            })
            .collect();
        times.sort();
        println!("  {name}: {:?}, at most {:?}", times[10], times[19]);
    }
    assert_eq!(*planner.last(), tidegate_plan::plan(&world));
}

/// What is planned is served.
fn serve(world: &mut World, plan: &Plan) {
    for (key, gateway) in &plan.gateways {
        let previous = Previous::of(&gateway.config, gateway.secret_data.clone());
        world.previous.insert(key.clone(), Arc::new(previous));
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

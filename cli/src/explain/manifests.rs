//! Explains with manifests: the same plan and the same gateway code, without listeners.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use tidegate_api::PRIMARY_KEY;
use tidegate_config::ObjectKey;
use tidegate_gateway::trace::Trace;
use tidegate_gateway::{Question, Update};
use tidegate_plan::{GatewayPlan, Plan, Planner, World};

use super::ExplainArgs;
use crate::finding::Finding;
use crate::identity::Identities;
use crate::input::{Input, InputArgs};
use crate::keys::{self, KeyStore};
use crate::objects::Loader;
use crate::world::{findings, world};

pub(super) async fn explain(args: &ExplainArgs, mut question: Question) -> anyhow::Result<Trace> {
    let (plan, world, found) = plan(args)?;
    for finding in found {
        eprintln!("{finding}");
    }
    if let Some(name) = &args.subscription {
        question.key = Some(primary_key(name, &plan, &world)?);
    }
    let mut first = None;
    for (_, gateway) in chosen(plan, args.running.on.as_deref(), port(&question.url))? {
        let GatewayPlan {
            config,
            secret_data,
        } = gateway;
        let update = Update {
            revision: 1,
            config,
            secret_data: Arc::unwrap_or_clone(secret_data),
        };
        let explained = tidegate_gateway::explain(update, &question).await?;
        for rejected in &explained.rejected {
            eprintln!("{} {}: {}", rejected.kind, rejected.key, rejected.message);
        }
        if explained.trace.route.is_some() {
            return Ok(explained.trace);
        }
        first.get_or_insert(explained.trace);
    }
    first.context("there is no Gateway in the manifests")
}

/// The plan of the manifests. Missing keys are generated and not kept.
fn plan(args: &ExplainArgs) -> anyhow::Result<(Plan, World, Vec<Finding>)> {
    let input = Input::open(&InputArgs {
        paths: args.paths.clone(),
        recursive: args.recursive,
        namespace: String::new(),
    })?;
    let store = KeyStore::new(&args.state_dir());
    let read = input.read(&store.files());
    let mut objects = Loader::default().load_documents(read.documents, read.findings);
    Identities::default().assign(&mut objects, &store);
    let mut world = world(&objects, jiff::Timestamp::now().as_second());
    let mut planner = Planner::default();
    for request in &planner.plan(&world).key_requests {
        let secret = world.secrets.entry(request.secret.clone()).or_default();
        keys::fill(request, Arc::make_mut(secret));
    }
    let plan = planner.plan(&world).clone();
    let mut found = findings(&plan, &objects);
    found.append(&mut objects.findings);
    found.sort();
    Ok((plan, world, found))
}

/// The Gateway of this name; without a name those with a listener on the port, or all when none has one.
fn chosen(
    plan: Plan,
    on: Option<&str>,
    port: Option<u16>,
) -> anyhow::Result<Vec<(ObjectKey, GatewayPlan)>> {
    let Some(name) = on else {
        let listens = |gateway: &GatewayPlan| {
            let mut listeners = gateway.config.settings.listeners.iter();
            listeners.any(|listener| Some(listener.port) == port)
        };
        let gateways = plan.gateways.into_iter();
        let (on_port, others): (Vec<_>, Vec<_>) =
            gateways.partition(|(_, gateway)| listens(gateway));
        return Ok(if on_port.is_empty() { others } else { on_port });
    };
    let gateways = plan.gateways.into_iter();
    let named: Vec<_> = gateways.filter(|(key, _)| is_named(key, name)).collect();
    if named.is_empty() {
        bail!("there is no Gateway {name} in the manifests");
    }
    Ok(named)
}

/// The port that the URL names. The default port of its scheme may be that of a load balancer.
fn port(url: &str) -> Option<u16> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    authority.rsplit_once(':')?.1.parse().ok()
}

fn primary_key(name: &str, plan: &Plan, world: &World) -> anyhow::Result<String> {
    let mut all = plan.subscription_verdicts.iter();
    let found = all.find(|(key, _)| is_named(key, name));
    let (key, verdict) =
        found.with_context(|| format!("there is no Subscription {name} in the manifests"))?;
    let secret = ObjectKey::new(&key.namespace, &verdict.keys.secret_name);
    let secret = world.secrets.get(&secret);
    let bytes = secret.and_then(|secret| secret.data.as_ref()?.get(PRIMARY_KEY));
    let bytes = bytes.with_context(|| format!("Subscription {key} has no keys"))?;
    String::from_utf8(bytes.0.clone()).context("its key is not UTF-8")
}

fn is_named(key: &ObjectKey, name: &str) -> bool {
    match name.split_once('/') {
        Some((namespace, name)) => key.namespace == namespace && key.name == name,
        None => key.name == name,
    }
}

#[cfg(test)]
mod tests {
    use super::port;

    #[test]
    fn only_a_port_that_the_url_names_chooses_a_gateway() {
        for (url, wanted) in [
            ("ws://127.0.0.1:8080/prices", Some(8080)),
            ("wss://[::1]:8443?a=b:1", Some(8443)),
            ("ws://a:80", Some(80)),
            ("ws://[::1]/prices", None),
            ("wss://edge.example.com/a:1", None),
            ("edge:8080", None),
        ] {
            assert_eq!(port(url), wanted, "{url}");
        }
    }
}

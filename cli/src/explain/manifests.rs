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
    for (_, gateway) in chosen(plan, args.on.as_deref())? {
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
    let read = read.context("failed to list the manifests")?;
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

fn chosen(plan: Plan, on: Option<&str>) -> anyhow::Result<Vec<(ObjectKey, GatewayPlan)>> {
    let Some(name) = on else {
        return Ok(plan.gateways.into_iter().collect());
    };
    let gateways = plan.gateways.into_iter();
    let named: Vec<_> = gateways.filter(|(key, _)| is_named(key, name)).collect();
    if named.is_empty() {
        bail!("there is no Gateway {name} in the manifests");
    }
    Ok(named)
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

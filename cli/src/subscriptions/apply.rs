//! Changes Subscriptions of a cluster and waits until the change is in effect. Of manifests, says what to edit: they
//! are yours, with their comments, and `tidegate run` follows them.

use std::time::Duration;

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde::Serialize;
use serde_json::{Value, json};
use tidegate_api::Subscription;
use tokio::time::Instant;

use super::decide::{Action, Decision, Edit};
use super::row::SubscriptionRow;
use crate::cluster::{Cluster, Trouble, answer};
use crate::planned::{Manifests, key_of};
use crate::print::{Format, Printer, Row, escaped, word};
use crate::run::say;
use crate::target::{Target, TargetArgs};

/// Owner of the fields that are set.
const FIELD_MANAGER: &str = "tidegate-cli";

/// How often to look whether a change is in effect.
const LOOK: Duration = Duration::from_millis(250);

/// How often a change is tried when somebody else writes at the same time.
const ATTEMPTS: usize = 5;

/// Exit status when a change was not made or is not in effect.
const NOT_DONE: u8 = 1;

/// A change of some Subscriptions.
pub(crate) struct Change<'a> {
    pub(crate) action: Action,
    pub(crate) names: &'a [String],
    pub(crate) timeout: Duration,
    pub(crate) output: Format,
}

/// How a change of one Subscription ended.
struct Outcome {
    subscription: Subscription,
    /// What to say, if not that it was done.
    instead: Option<String>,
    failed: bool,
}

/// Makes the change and returns the exit status.
///
/// # Errors
///
/// When the cluster or the manifests cannot be read, or the API server refuses the change.
pub(crate) async fn apply(change: &Change<'_>, target: &TargetArgs) -> anyhow::Result<u8> {
    match target.open().await? {
        Target::Cluster(cluster) => in_cluster(change, &cluster).await,
        Target::Manifests(mut manifests) => in_manifests(change, &mut manifests),
    }
}

async fn in_cluster(change: &Change<'_>, cluster: &Cluster) -> anyhow::Result<u8> {
    let mut printer = Printer::new(change.output, false);
    let (mut rows, mut status) = (Vec::new(), 0);
    for name in change.names {
        let outcome = change_one(change, cluster, name).await?;
        let row = SubscriptionRow::of(&outcome.subscription);
        if outcome.failed {
            status = NOT_DONE;
        }
        match (&outcome.instead, change.output) {
            (Some(text), _) if outcome.failed => eprintln!("{}: {}", row.id(), escaped(text)),
            (_, Format::Json | Format::Yaml | Format::Name) => {}
            (Some(text), Format::Table) => say(&format!("{} unchanged: {text}", row.name())),
            (None, Format::Table) => say(&done(change.action, &row)),
        }
        rows.push(row);
    }
    if change.output != Format::Table {
        printer.print(rows)?;
    }
    Ok(status)
}

fn done(action: Action, row: &SubscriptionRow) -> String {
    let state = match row.state.is_empty() {
        true => String::new(),
        false => format!(": {}", row.state),
    };
    format!("{} {}{state}", escaped(&row.name()), action.done())
}

async fn change_one(
    change: &Change<'_>,
    cluster: &Cluster,
    name: &str,
) -> Result<Outcome, Trouble> {
    let key = cluster.object_key(name);
    let api = Api::<Subscription>::namespaced(cluster.client().clone(), &key.namespace);
    let mut attempts = ATTEMPTS;
    loop {
        let what = format!("read Subscription {key}");
        let found = answer(api.get(&key.name)).await;
        let subscription = found.map_err(|trouble| trouble.about(&what))?;
        let edits = match change.action.decide(&subscription) {
            Decision::Edit(edits) => edits,
            Decision::Already(text) => return Ok(Outcome::instead(subscription, text, false)),
            Decision::Refused(text) => return Ok(Outcome::instead(subscription, text, true)),
        };
        let patch = patch(&subscription, &edits);
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        attempts -= 1;
        match answer(api.patch(&key.name, &params, &Patch::Merge(patch))).await {
            Ok(changed) => return wait(change, &api, changed).await,
            Err(Trouble::Conflict { .. }) if attempts > 0 => {}
            Err(trouble) => return Err(trouble.about(&format!("change Subscription {key}"))),
        }
    }
}

/// A merge patch. The resource version makes it fail if the terms that were looked at have changed.
fn patch(subscription: &Subscription, edits: &[Edit]) -> Value {
    let mut patch =
        json!({"metadata": {"resourceVersion": subscription.metadata.resource_version}});
    for (field, value) in edits {
        let mut place = &mut patch;
        for name in field.split('.') {
            place = &mut place[name];
        }
        *place = value.clone();
    }
    patch
}

async fn wait(
    change: &Change<'_>,
    api: &Api<Subscription>,
    mut subscription: Subscription,
) -> Result<Outcome, Trouble> {
    let end = Instant::now() + change.timeout;
    let name = key_of(&subscription).name;
    while !change.timeout.is_zero() && !change.action.is_settled(&subscription) {
        if Instant::now() >= end {
            let text = format!(
                "{}, but not in effect after {} s; see tidegate check and tidegate status",
                change.action.done(),
                change.timeout.as_secs()
            );
            return Ok(Outcome::instead(subscription, text, true));
        }
        tokio::time::sleep(LOOK).await;
        let found = answer(api.get(&name)).await;
        subscription =
            found.map_err(|trouble| trouble.about(&format!("read Subscription {name}")))?;
    }
    Ok(Outcome {
        subscription,
        instead: None,
        failed: false,
    })
}

impl Outcome {
    fn instead(subscription: Subscription, text: String, failed: bool) -> Self {
        Self {
            subscription,
            instead: Some(text),
            failed,
        }
    }
}

/// An edit that the user is to make.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct EditRow {
    file: String,
    line: u64,
    object: String,
    field: &'static str,
    value: String,
}

impl Row for EditRow {
    const COLUMNS: &'static [&'static str] = &["FILE", "OBJECT", "FIELD", "VALUE"];

    fn cells(&self) -> Vec<String> {
        let place = format!("{}:{}", self.file, self.line);
        vec![
            place,
            self.object.clone(),
            self.field.to_owned(),
            self.value.clone(),
        ]
    }

    fn id(&self) -> String {
        format!("{} {}", self.object, self.field)
    }

    fn name(&self) -> String {
        self.id()
    }
}

fn in_manifests(change: &Change<'_>, manifests: &mut Manifests) -> anyhow::Result<u8> {
    let planned = manifests.read();
    let (mut rows, mut status) = (Vec::new(), 0);
    for name in change.names {
        let subscription = planned.subscription(name)?;
        let key = key_of(&subscription);
        match change.action.decide(&subscription) {
            Decision::Already(text) => say(&format!("Subscription {key} unchanged: {text}")),
            Decision::Refused(text) => {
                eprintln!("Subscription {key}: {text}");
                status = NOT_DONE;
            }
            Decision::Edit(edits) => {
                for (field, value) in edits {
                    let (file, line) = planned.place(&subscription, field);
                    let value = match value {
                        Value::Number(number) => number.to_string(),
                        other => word(&other),
                    };
                    let object = format!("Subscription {key}");
                    rows.push(EditRow {
                        file,
                        line,
                        object,
                        field,
                        value,
                    });
                }
            }
        }
    }
    if !rows.is_empty() {
        eprintln!(
            "nothing was changed: the manifests decide. Edit them as follows; tidegate run then obeys"
        );
        Printer::new(change.output, false).print(rows)?;
        status = NOT_DONE;
    }
    Ok(status)
}

#[cfg(test)]
mod tests;

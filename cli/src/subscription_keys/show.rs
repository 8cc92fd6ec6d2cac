//! Prints one key.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde::Serialize;
use tidegate_api::{PRIMARY_KEY, SECONDARY_KEY, Subscription};
use tidegate_config::ObjectKey;
use tidegate_plan::generated_keys::secret_key;

use super::{KeyFormat, ShowArgs};
use crate::cluster::{Cluster, answer};
use crate::planned::{Manifests, key_of};
use crate::print::{Format, print_value};
use crate::run::print_out;
use crate::target::Target;

/// Exit status when there is no such key.
const NO_KEY: u8 = 1;

/// A key and where it comes from.
#[derive(Debug, Serialize)]
struct ShownKey {
    namespace: String,
    subscription: String,
    secret: String,
    key: &'static str,
    value: String,
}

pub(super) async fn show(args: &ShowArgs) -> anyhow::Result<u8> {
    let found = match args.target.open().await? {
        Target::Cluster(cluster) => in_cluster(args, &cluster).await?,
        Target::Manifests(mut manifests) => in_manifests(args, &mut manifests)?,
    };
    let Found {
        subscription,
        secret_key,
        secret,
        is_complete,
    } = found;
    let (slot, name) = match args.secondary {
        true => ("secondary", SECONDARY_KEY),
        false => ("primary", PRIMARY_KEY),
    };
    let bytes = secret
        .as_ref()
        .and_then(|secret| secret.data.as_ref()?.get(name));
    let Some(bytes) = bytes else {
        let why = match (&secret, is_complete) {
            (None, false) => format!("Secret {secret_key} is in no file that can be read"),
            _ => format!("Secret {secret_key} has no {name}"),
        };
        eprintln!("Subscription {subscription} has no {slot} key: {why}");
        return Ok(NO_KEY);
    };
    let text = String::from_utf8(bytes.0.clone());
    let text = text.with_context(|| format!("the key in Secret {secret_key} is not UTF-8"))?;
    // A file has a line end, which is not part of the key.
    let value = text.trim_end_matches(['\r', '\n']).to_owned();
    let shown = ShownKey {
        namespace: subscription.namespace,
        subscription: subscription.name,
        secret: secret_key.name,
        key: slot,
        value,
    };
    match args.output {
        KeyFormat::Text => print_out(&shown.value)?,
        KeyFormat::Json => print_value(Format::Json, &shown)?,
        KeyFormat::Yaml => print_value(Format::Yaml, &shown)?,
    }
    Ok(0)
}

/// A Subscription and its keys.
struct Found {
    subscription: ObjectKey,
    /// The name of its Secret.
    secret_key: ObjectKey,
    /// The Secret, if it exists.
    secret: Option<Secret>,
    /// Could everything be read where the Secret may be?
    is_complete: bool,
}

async fn in_cluster(args: &ShowArgs, cluster: &Cluster) -> anyhow::Result<Found> {
    let key = cluster.object_key(&args.name);
    let client = cluster.client();
    let api = Api::<Subscription>::namespaced(client.clone(), &key.namespace);
    let subscription = answer(api.get(&key.name)).await;
    let subscription =
        subscription.map_err(|trouble| trouble.about(&format!("read Subscription {key}")))?;
    let secret_name = secret_key(&key, &subscription);
    let api = Api::<Secret>::namespaced(client.clone(), &key.namespace);
    let secret = answer(api.get_opt(&secret_name.name)).await;
    let secret = secret.map_err(|trouble| trouble.about(&format!("read Secret {secret_name}")))?;
    Ok(Found {
        subscription: key,
        secret_key: secret_name,
        secret,
        is_complete: true,
    })
}

fn in_manifests(args: &ShowArgs, manifests: &mut Manifests) -> anyhow::Result<Found> {
    let planned = manifests.read();
    let subscription = planned.subscription(&args.name)?;
    let key = key_of(&subscription);
    let secret_name = secret_key(&key, &subscription);
    let secret = planned.secret(&secret_name).cloned();
    Ok(Found {
        subscription: key,
        secret_key: secret_name,
        secret,
        is_complete: planned.unreadable().is_empty(),
    })
}

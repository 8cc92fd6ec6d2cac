//! Writes statuses, and tells of transitions by Events. Client required.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder};
use serde::Serialize;
use serde_json::{Value, json};
use tidegate_api::{API_VERSION, Gateway, PolicyFragment, Product, Subscription, WebSocketApi};

use super::{Chore, ChoreError};
use crate::FIELD_MANAGER;
use crate::gather::Custom;
use crate::objects::{Kind, ObjectRef};
use crate::status::{Report, Transition};
use crate::write::{WriteError, Writer};

/// A note may have 1 kB.
const NOTE_MAX: usize = 1000;

/// Writes the status that `chore` asks for.
pub(super) async fn write(
    writer: &Writer,
    recorder: &Recorder,
    object: &ObjectRef,
    chore: &Chore,
) -> Result<(), ChoreError> {
    match chore {
        Chore::Gateway(report) => typed::<Gateway, _>(writer, recorder, object, report).await,
        Chore::WebSocketApi(report) => {
            typed::<WebSocketApi, _>(writer, recorder, object, report).await
        }
        Chore::Product(report) => typed::<Product, _>(writer, recorder, object, report).await,
        Chore::PolicyFragment(report) => {
            typed::<PolicyFragment, _>(writer, recorder, object, report).await
        }
        Chore::Subscription(report) => {
            typed::<Subscription, _>(writer, recorder, object, report).await
        }
        Chore::Unreadable(broken, condition) => {
            let told = Transition {
                warning: true,
                reason: condition.reason.clone(),
                action: condition.type_.clone(),
                note: condition.message.clone(),
            };
            publish(writer, recorder, object, (&broken.uid, &[told])).await;
            let status = json!({
                "observedGeneration": broken.generation,
                "conditions": [condition],
            });
            patch(writer, object, &broken.uid, status).await?;
            Ok(())
        }
        Chore::Keys(..) | Chore::Lease => Ok(()),
    }
}

async fn typed<K, S>(
    writer: &Writer,
    recorder: &Recorder,
    object: &ObjectRef,
    report: &Report<S>,
) -> Result<(), ChoreError>
where
    K: Custom,
    S: Serialize,
{
    let status = serde_json::to_value(&report.status)
        .expect("a status has text keys and no failing serializer");
    let Some(written) = patch(writer, object, &report.uid, status).await? else {
        return Ok(());
    };
    let version = written
        .metadata
        .resource_version
        .clone()
        .unwrap_or_default();
    // What cannot be read back is left to the watch.
    if let Ok(mut read) = written.try_parse::<K>() {
        crate::gather::strip(read.meta_mut());
        let mut index = writer.index.lock();
        K::store(&mut index).wrote(&object.key, &version, read);
    }
    publish(writer, recorder, object, (&report.uid, &report.transitions)).await;
    Ok(())
}

/// Writes a status; `None` when the object is gone or another one has its name by now.
async fn patch(
    writer: &Writer,
    object: &ObjectRef,
    uid: &str,
    status: Value,
) -> Result<Option<DynamicObject>, WriteError> {
    let kind = object.kind.as_str();
    let key = &object.key;
    let body = json!({
        "apiVersion": API_VERSION,
        "kind": kind,
        // The uid makes the write fail when it is no longer the same object.
        "metadata": { "name": key.name, "namespace": key.namespace, "uid": uid },
        "status": status,
    });
    let client = writer.client.clone();
    let api = Api::<DynamicObject>::namespaced_with(client, &key.namespace, &resource(object.kind));
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let body = Patch::Apply(&body);
    let request = async {
        match api.patch_status(&key.name, &params, &body).await {
            Ok(written) => Ok(Some(written)),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
            Err(error) => Err(error),
        }
    };
    let outcome = writer.send("write the status of", object, request).await;
    writer.metrics.status_written(kind, outcome.is_ok());
    outcome
}

fn resource(kind: Kind) -> ApiResource {
    match kind {
        Kind::Gateway => ApiResource::erase::<Gateway>(&()),
        Kind::WebSocketApi => ApiResource::erase::<WebSocketApi>(&()),
        Kind::Product => ApiResource::erase::<Product>(&()),
        Kind::PolicyFragment => ApiResource::erase::<PolicyFragment>(&()),
        Kind::Subscription => ApiResource::erase::<Subscription>(&()),
    }
}

/// Events are a courtesy: one that cannot be published is logged, and never tried again.
async fn publish(
    writer: &Writer,
    recorder: &Recorder,
    object: &ObjectRef,
    (uid, transitions): (&str, &[Transition]),
) {
    let reference = ObjectReference {
        api_version: Some(API_VERSION.to_owned()),
        kind: Some(object.kind.as_str().to_owned()),
        name: Some(object.key.name.clone()),
        namespace: Some(object.key.namespace.clone()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    };
    for transition in transitions {
        let event = event(transition);
        let request = recorder.publish(&event, &reference);
        match writer.send("publish an Event about", object, request).await {
            Ok(()) => writer.metrics.event(if transition.warning {
                "Warning"
            } else {
                "Normal"
            }),
            Err(error) => {
                tracing::debug!(error = crate::error_chain(&error), "no Event");
            }
        }
    }
}

fn event(transition: &Transition) -> Event {
    Event {
        type_: if transition.warning {
            EventType::Warning
        } else {
            EventType::Normal
        },
        reason: transition.reason.clone(),
        note: Some(transition.note.chars().take(NOTE_MAX).collect()),
        action: transition.action.clone(),
        secondary: None,
    }
}

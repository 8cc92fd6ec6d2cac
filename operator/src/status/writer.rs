//! The one writer of statuses, and of the Events that report their changes. Client required.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use serde_json::json;
use tidegate_api::API_VERSION;

use super::events::ConditionEvent;
use super::update::StatusUpdate;
use crate::metrics::Metrics;
use crate::objects::ObjectRef;
use crate::watch::Unreadable;
use crate::write::{WriteError, Writer};

/// Characters of an Event's note: the API server accepts 1 kB.
const MAX_NOTE_LENGTH: usize = 1000;

/// Writes statuses and Events.
pub(crate) struct StatusWriter {
    writer: Writer,
    recorder: Recorder,
    metrics: Metrics,
}

impl StatusWriter {
    /// `replica` is the name of this replica in Events.
    pub(crate) fn new(client: Client, writer: Writer, metrics: Metrics, replica: String) -> Self {
        let reporter = Reporter {
            controller: crate::CONTROLLER.to_owned(),
            instance: Some(replica),
        };
        Self {
            writer,
            recorder: Recorder::new(client, reporter),
            metrics,
        }
    }

    /// Writes a status, then its Events. Does nothing when the object is gone.
    ///
    /// # Errors
    ///
    /// When the status could not be written. Events that could not be published are no error.
    pub(crate) async fn write(
        &self,
        object: &ObjectRef,
        update: &StatusUpdate,
    ) -> Result<(), WriteError> {
        let status = serde_json::to_value(&update.status)
            .expect("a status has text keys and no failing serializer");
        if self
            .writer
            .patch_status(object, &update.uid, status)
            .await?
        {
            self.publish(object, &update.uid, &update.events).await;
        }
        Ok(())
    }

    /// Publishes the Event of an object that cannot be read, then writes its one condition: the API server
    /// may refuse the status of an object that is not valid.
    ///
    /// # Errors
    ///
    /// When the status could not be written.
    pub(crate) async fn write_unreadable(
        &self,
        object: &ObjectRef,
        unreadable: &Unreadable,
        condition: &Condition,
    ) -> Result<(), WriteError> {
        let uid = &unreadable.uid;
        let event = ConditionEvent::of(condition);
        self.publish(object, uid, &[event]).await;
        let status = json!({
            "observedGeneration": unreadable.generation,
            "conditions": [condition],
        });
        self.writer.patch_status(object, uid, status).await?;
        Ok(())
    }

    /// An Event that cannot be published is logged, and never tried again.
    async fn publish(&self, object: &ObjectRef, uid: &str, events: &[ConditionEvent]) {
        let reference = reference(object, uid);
        for condition_event in events {
            let event = event(condition_event);
            let request = self.recorder.publish(&event, &reference);
            let sent = self.writer.send("publish an Event about", object, request);
            match sent.await {
                Ok(()) => self.metrics.event(condition_event.event_type()),
                Err(error) => {
                    tracing::debug!(error = crate::error_chain(&error), "no Event published");
                }
            }
        }
    }
}

fn reference(object: &ObjectRef, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(API_VERSION.to_owned()),
        kind: Some(object.kind.as_str().to_owned()),
        name: Some(object.key.name.clone()),
        namespace: Some(object.key.namespace.clone()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}

fn event(event: &ConditionEvent) -> Event {
    Event {
        type_: if event.warning {
            EventType::Warning
        } else {
            EventType::Normal
        },
        reason: event.reason.clone(),
        note: Some(event.note.chars().take(MAX_NOTE_LENGTH).collect()),
        action: event.action.clone(),
        secondary: None,
    }
}

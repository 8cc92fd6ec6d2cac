//! Policies: the steps that decide about a handshake and shape it.
//!
//! The scopes are compiled apart and merged to one flat list per section: inbound runs from wide
//! to narrow (Gateway, Product, WebSocketApi), outbound and onError from narrow to wide, unless a
//! `base` step says where the wider scope stands. One file per policy; none knows another.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_config::policy::OnHandshake;
use tidegate_config::{Material, ResolvedValue};

use crate::exchange::Exchange;
use crate::head::ResponseHead;
use crate::refusal::Refusal;

/// What outlives snapshots: keys fetched from elsewhere and counters.
#[derive(Debug, Default)]
pub(crate) struct Services {}

impl Services {
    /// Nothing fetched and nothing counted yet.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Refreshes keys and forgets idle counters, for ever. To be spawned once, through the drain.
    pub(crate) async fn maintain(self: Arc<Self>) {
        std::future::pending().await
    }
}

/// Whose policies these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Gateway,
    Product,
    Api,
}

/// What policies are compiled with.
pub(crate) struct Context<'a> {
    /// Namespace of the object, which its references are relative to.
    pub(crate) namespace: &'a str,
    pub(crate) material: &'a Material,
    pub(crate) services: &'a Services,
}

/// A step that can not be compiled; its object is rejected.
#[derive(Debug, thiserror::Error)]
#[error("onHandshake.{place}: {problem}")]
pub(crate) struct InvalidPolicy {
    /// Section, position and field.
    place: String,
    problem: String,
}

/// The policies of one scope, compiled.
#[derive(Debug)]
pub(crate) struct ScopePolicies {}

impl ScopePolicies {
    /// No step at all.
    pub(crate) fn none() -> Self {
        Self {}
    }

    /// Compiles the policies of one object; `values` are the named values of the same object.
    pub(crate) fn compile(
        scope: Scope,
        on: &OnHandshake,
        values: &BTreeMap<String, ResolvedValue>,
        context: &Context<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let _ = (
            scope,
            values,
            context.namespace,
            context.material,
            context.services,
        );
        match on.steps().next() {
            None => Ok(Self {}),
            Some((section, position, _)) => Err(InvalidPolicy {
                place: format!("{}[{position}]", section.field()),
                problem: "policies are not available yet".to_owned(),
            }),
        }
    }
}

/// All steps that an API's handshakes run through, by section.
#[derive(Debug)]
pub(crate) struct Pipeline {}

impl Pipeline {
    /// Expands the scopes, the widest first.
    pub(crate) fn merge(_scopes: &[&ScopePolicies]) -> Self {
        Self {}
    }

    /// Runs before the backend is dialled.
    pub(crate) async fn inbound(
        &self,
        _exchange: &mut Exchange,
        _services: &Services,
    ) -> Result<(), Refusal> {
        Ok(())
    }

    /// Runs after the backend's answer, whatever its status.
    pub(crate) async fn outbound(
        &self,
        _exchange: &mut Exchange,
        _answer: &ResponseHead,
        _services: &Services,
    ) -> Result<(), Refusal> {
        Ok(())
    }

    /// Runs for every refusal of a handshake that has an exchange; gives what is answered, with
    /// [`Exchange::answer`] already applied.
    pub(crate) async fn on_error(
        &self,
        _exchange: &mut Exchange,
        refusal: Refusal,
        _services: &Services,
    ) -> Refusal {
        refusal
    }
}

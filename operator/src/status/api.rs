//! Status of a WebSocketApi. Pure.

use tidegate_api::{ApiGatewayStatus, WebSocketApi, WebSocketApiStatus};
use tidegate_config::ObjectKey;
use tidegate_plan::{ApiVerdict, OnGateway, Serving};

use super::conditions::ConditionBuilder;
use super::gateway::first;
use super::programmed::{Progress, ServedOn};
use crate::objects::{CustomKind, ObjectRef};

/// Lengths of lists at most, as in the schema.
const MAX_URLS: usize = 32;
const MAX_PRODUCTS: usize = 64;
const MAX_GATEWAYS: usize = 32;
const MAX_UNRESOLVED: usize = 64;
const MAX_LAGGING: usize = 10;

pub(super) fn api_status(
    key: &ObjectKey,
    api: &WebSocketApi,
    verdict: &ApiVerdict,
    progress: &Progress<'_>,
    builder: ConditionBuilder<'_>,
) -> WebSocketApiStatus {
    let object = ObjectRef::new(CustomKind::WebSocketApi, key);
    let served = verdict.gateways.iter().map(ServedOn::from);
    let programmed = progress.programmed(&object, served);
    let on = |on: &OnGateway| on_gateway(on, &object, api, verdict, progress);
    WebSocketApiStatus {
        observed_generation: Some(verdict.conditions.generation),
        urls: first(&verdict.urls, MAX_URLS),
        backend: api.spec.backend.summary(),
        products: first(&verdict.products, MAX_PRODUCTS),
        gateways: verdict.gateways.iter().take(MAX_GATEWAYS).map(on).collect(),
        unresolved: first(&verdict.unresolved, MAX_UNRESOLVED),
        conditions: builder.with_dependencies(
            &verdict.conditions,
            &programmed,
            &progress.reachable(&object),
        ),
    }
}

fn on_gateway(
    on: &OnGateway,
    object: &ObjectRef,
    api: &WebSocketApi,
    verdict: &ApiVerdict,
    progress: &Progress<'_>,
) -> ApiGatewayStatus {
    let applied = progress.applied(&on.gateway, object);
    // The generation of the last good version is only known from the status.
    let generation = match on.serving {
        Serving::Current => Some(verdict.conditions.generation),
        Serving::LastGood => known_generation(api, &on.gateway),
        Serving::Blocked => None,
    };
    ApiGatewayStatus {
        name: on.gateway.name.clone(),
        namespace: on.gateway.namespace.clone(),
        generation,
        applied: applied.summary(),
        lagging: first(&applied.lagging, MAX_LAGGING),
    }
}

fn known_generation(api: &WebSocketApi, gateway: &ObjectKey) -> Option<i64> {
    let gateways = &api.status.as_ref()?.gateways;
    let known = gateways
        .iter()
        .find(|known| known.name == gateway.name && known.namespace == gateway.namespace)?;
    known.generation
}

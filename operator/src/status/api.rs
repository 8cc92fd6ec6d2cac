//! Status of a WebSocketApi. Pure.

use tidegate_api::{ApiGatewayStatus, WebSocketApi, WebSocketApiStatus};
use tidegate_config::ObjectKey;
use tidegate_plan::{ApiVerdict, OnGateway, Serving};

use super::gateway::first;
use super::{Progress, Serves, Stamp};
use crate::objects::{Kind, ObjectRef};

/// Lengths of lists in the schema.
const URLS: usize = 32;
const PRODUCTS: usize = 64;
const GATEWAYS: usize = 32;
const UNRESOLVED: usize = 64;
const LAGGING: usize = 10;

pub(crate) fn of_api(
    key: &ObjectKey,
    api: &WebSocketApi,
    verdict: &ApiVerdict,
    progress: &Progress<'_>,
    stamp: Stamp<'_>,
) -> WebSocketApiStatus {
    let object = ObjectRef::new(Kind::WebSocketApi, key);
    let served = verdict.gateways.iter().map(Serves::from);
    let programmed = progress.judge(&object, served);
    let on = |on: &OnGateway| on_gateway(on, &object, api, verdict, progress);
    WebSocketApiStatus {
        observed_generation: Some(verdict.verdict.generation),
        urls: first(&verdict.urls, URLS),
        backend: api.spec.backend.summary(),
        products: first(&verdict.products, PRODUCTS),
        gateways: verdict.gateways.iter().take(GATEWAYS).map(on).collect(),
        unresolved: first(&verdict.unresolved, UNRESOLVED),
        conditions: stamp.all_and(&verdict.verdict, &programmed, &progress.reachable(&object)),
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
    // Of the last good version only the status itself may still know the generation.
    let generation = match on.serving {
        Serving::Current => Some(verdict.verdict.generation),
        Serving::LastGood => known_generation(api, &on.gateway),
        Serving::Blocked => None,
    };
    ApiGatewayStatus {
        name: on.gateway.name.clone(),
        namespace: on.gateway.namespace.clone(),
        generation,
        applied: applied.summary(),
        lagging: first(&applied.lagging, LAGGING),
    }
}

fn known_generation(api: &WebSocketApi, gateway: &ObjectKey) -> Option<i64> {
    let gateways = &api.status.as_ref()?.gateways;
    let known = gateways
        .iter()
        .find(|known| known.name == gateway.name && known.namespace == gateway.namespace)?;
    known.generation
}

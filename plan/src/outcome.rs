//! What comes out of a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_api::SubscriptionRequestSpec;
use tidegate_config::{ChangedConfig, GatewayConfig, ObjectKey, SecretData};

use crate::{
    ApiVerdict, GatewayVerdict, PolicyFragmentVerdict, ProductVerdict, RequestVerdict,
    SubscriptionVerdict,
};

/// Per Gateway a configuration, per object a verdict, and what has to be done besides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What each Gateway serves. Every Gateway of the world is in here.
    pub gateways: BTreeMap<ObjectKey, GatewayPlan>,
    /// What to say about each Gateway.
    pub gateway_verdicts: BTreeMap<ObjectKey, GatewayVerdict>,
    /// What to say about each WebSocketApi.
    pub api_verdicts: BTreeMap<ObjectKey, ApiVerdict>,
    /// What to say about each PolicyFragment.
    pub fragment_verdicts: BTreeMap<ObjectKey, PolicyFragmentVerdict>,
    /// What to say about each Product.
    pub product_verdicts: BTreeMap<ObjectKey, ProductVerdict>,
    /// What to say about each Subscription.
    pub subscription_verdicts: BTreeMap<ObjectKey, SubscriptionVerdict>,
    /// What to say about each SubscriptionRequest that counts.
    pub request_verdicts: BTreeMap<ObjectKey, RequestVerdict>,
    /// Secrets that are named somewhere, existing or not: what to watch.
    pub wanted_secrets: BTreeSet<ObjectKey>,
    /// ConfigMaps that are named somewhere, existing or not: what to watch.
    pub wanted_config_maps: BTreeSet<ObjectKey>,
    /// Subscription keys to generate, sorted by Secret.
    pub key_requests: Vec<KeyRequest>,
    /// SubscriptionRequests to make.
    pub new_requests: BTreeMap<ObjectKey, SubscriptionRequestSpec>,
    /// SubscriptionRequests that are about nothing any more: to be deleted.
    pub outdated_requests: BTreeSet<ObjectKey>,
    /// When time alone will change the outcome: seconds since 1970.
    pub next_change: Option<i64>,
}

/// What one Gateway serves.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayPlan {
    /// The configuration.
    pub config: GatewayConfig,
    /// The secret data it refers to.
    pub secret_data: Arc<SecretData>,
}

/// Keys that have to be generated for a Subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRequest {
    /// The Subscription, which shall own the Secret.
    pub subscription: ObjectKey,
    /// The Secret to create or change.
    pub secret: ObjectKey,
    /// Does the Secret exist? Then only the keys named here may change in it.
    pub exists: bool,
    /// Generate the primary key and note this generation at the Secret.
    pub primary: Option<i64>,
    /// Generate the secondary key and note this generation at the Secret.
    pub secondary: Option<i64>,
}

/// What a plan changed, compared with the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// What Gateways serve.
    pub configs: BTreeMap<ObjectKey, ChangedConfig>,
    /// Objects of which something else is to be said, or nothing any more.
    pub verdicts: ChangedVerdicts,
    /// Secrets that are named now and were not, or the other way round.
    pub wanted_secrets: BTreeSet<ObjectKey>,
    /// The same of ConfigMaps.
    pub wanted_config_maps: BTreeSet<ObjectKey>,
    /// Other keys are to be generated.
    pub key_requests: bool,
    /// Other SubscriptionRequests are to be made or deleted.
    pub requests: bool,
}

/// Objects of which something else is to be said, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangedVerdicts {
    /// Gateways.
    pub gateways: BTreeSet<ObjectKey>,
    /// WebSocketApis.
    pub apis: BTreeSet<ObjectKey>,
    /// PolicyFragments.
    pub fragments: BTreeSet<ObjectKey>,
    /// Products.
    pub products: BTreeSet<ObjectKey>,
    /// Subscriptions.
    pub subscriptions: BTreeSet<ObjectKey>,
    /// SubscriptionRequests.
    pub requests: BTreeSet<ObjectKey>,
}

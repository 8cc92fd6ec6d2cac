//! What a plan says about each object.

use tidegate_api::{ApprovedTerms, ConditionType, KeysStatus, Reason, SubscriptionPhase};
use tidegate_config::ObjectKey;

/// State of a condition: true or false, why, and what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionState {
    /// True or False.
    pub status: bool,
    /// Why.
    pub reason: Reason,
    /// For people; when false it says what to change.
    pub message: String,
}

impl ConditionState {
    /// The condition is true.
    pub fn good(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            status: true,
            reason,
            message: message.into(),
        }
    }

    /// The condition is false.
    pub fn bad(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            status: false,
            reason,
            message: message.into(),
        }
    }
}

/// The conditions that follow from the resources alone. `Programmed` needs the pods and is the
/// operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// metadata.generation this is about.
    pub generation: i64,
    /// The object is valid and takes part.
    pub accepted: ConditionState,
    /// Everything it names exists and may be used.
    pub resolved: ConditionState,
    /// Everything that must be changed, of which the messages of the conditions name the first few.
    pub flaws: Vec<Flaw>,
}

/// Something that must be changed in an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// What is wrong and what to change. It may begin with a field, `spec.path: `.
    pub message: String,
    /// The object that does not exist, if that is what is wrong.
    pub missing: Option<Missing>,
}

/// An object that another one names and that does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace and name.
    pub key: ObjectKey,
}

impl Conditions {
    /// Each condition with its type, in the order in which they are shown.
    pub fn each(&self) -> [(ConditionType, &ConditionState); 2] {
        [
            (ConditionType::Accepted, &self.accepted),
            (ConditionType::ResolvedRefs, &self.resolved),
        ]
    }
}

/// How an object is served on one Gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Serving {
    /// As its latest generation says.
    Current,
    /// Its latest generation is broken: the last one that worked serves on.
    LastGood,
    /// Its access control is broken: every handshake is refused.
    Blocked,
}

/// An object on one Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnGateway {
    /// The Gateway.
    pub gateway: ObjectKey,
    /// How it is served there.
    pub serving: Serving,
}

/// What a plan says about a Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayVerdict {
    /// Its conditions.
    pub conditions: Conditions,
    /// Its listeners in the order of the spec, those out of service included.
    pub listeners: Vec<ListenerVerdict>,
    /// How many APIs it serves.
    pub apis: u32,
}

/// What a plan says about a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerVerdict {
    /// Its name.
    pub name: String,
    /// How many APIs it serves.
    pub attached_apis: u32,
    /// Its conditions.
    pub conditions: Conditions,
}

/// What a plan says about a WebSocketApi.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiVerdict {
    /// Its conditions.
    pub conditions: Conditions,
    /// What works and should be looked at all the same.
    pub warnings: Vec<String>,
    /// Where clients reach it.
    pub urls: Vec<String>,
    /// Products of its namespace that hold it, published or not.
    pub products: Vec<String>,
    /// What it names and cannot be found or used, for example `Gateway edge`.
    pub unresolved: Vec<String>,
    /// Gateways whose configuration contains it.
    pub gateways: Vec<OnGateway>,
}

/// What a plan says about a Product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductVerdict {
    /// Its conditions.
    pub conditions: Conditions,
    /// Names of its APIs that exist.
    pub resolved_apis: Vec<String>,
    /// Names in `spec.apis` that do not.
    pub unresolved_apis: Vec<String>,
    /// How many of its subscriptions are active.
    pub subscriptions: u32,
    /// Gateways whose configuration contains it.
    pub gateways: Vec<OnGateway>,
}

/// What a plan says about a PolicyFragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFragmentVerdict {
    /// Its conditions.
    pub conditions: Conditions,
    /// How many objects include it, directly or through another one.
    pub users: u32,
}

/// What a plan says about a Subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionVerdict {
    /// Its conditions.
    pub conditions: Conditions,
    /// Where it stands.
    pub phase: SubscriptionPhase,
    /// Its SubscriptionRequest in the namespace of what it asks for, if that is another one.
    pub request: Option<String>,
    /// What it is approved for.
    pub approved: Option<ApprovedTerms>,
    /// Its keys.
    pub keys: KeysStatus,
    /// Gateways whose configuration contains it.
    pub gateways: Vec<ObjectKey>,
}

/// What a plan says about a SubscriptionRequest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestVerdict {
    /// Its conditions. Only Accepted is of use.
    pub conditions: Conditions,
    /// Where the Subscription stands.
    pub phase: SubscriptionPhase,
}

//! Requests of Subscriptions in other namespaces: which one is about what a Subscription asks for, and what its
//! owner decided.
//!
//! What a request says cannot be changed, so a decision is about these terms and no others. When a Subscription
//! asks for other terms, another request takes its place, undecided.

use kube::ResourceExt;
use serde_json::json;
use tidegate_api::{
    Approval, RequestedTerms, RequestingSubscription, Subscription, SubscriptionRequest,
    SubscriptionRequestSpec,
};
use tidegate_config::{ObjectKey, key_hash};

use crate::approval::ends_in_time;

/// Hexadecimal digits of a request's name: 80 bits of what it says. Nobody finds two requests with the same.
const DIGITS: usize = 20;
/// So much of the Subscription's name is in the name of its request, for people.
const NAME_PART: usize = 40;

/// The request of a Subscription.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RequestState {
    pub(crate) key: ObjectKey,
    pub(crate) decision: Option<Approval>,
    /// What it has to say, if it has yet to be made.
    pub(crate) new: Option<SubscriptionRequestSpec>,
}

/// Finds the request of a Subscription among its requests in the namespace of what it asks for. A rejection is
/// about the Subscription; an approval, about what it asks for.
pub(crate) fn find<'r>(
    (key, subscription): (&ObjectKey, &Subscription),
    namespace: &str,
    requests: impl Iterator<Item = (&'r ObjectKey, &'r SubscriptionRequest)>,
) -> RequestState {
    let wanted = wanted(key, subscription);
    let of_it = requests.filter(|(request, object)| {
        request.namespace == namespace && is_about(&request.name, &object.spec, &wanted)
    });
    let rank = |spec: &SubscriptionRequestSpec| match spec.approval {
        Some(Approval::Rejected) => Some(0),
        Some(Approval::Approved) if covers(&spec.terms, &wanted.terms) => Some(1),
        _ if spec.terms == wanted.terms => Some(2),
        _ => None,
    };
    let ranked = of_it.filter_map(|(request, object)| Some((rank(&object.spec)?, request, object)));
    match ranked.min_by_key(|(rank, request, _)| (*rank, *request)) {
        Some((_, request, object)) => RequestState {
            key: request.clone(),
            decision: object.spec.approval,
            new: None,
        },
        None => RequestState {
            key: ObjectKey::new(namespace, name(&wanted)),
            decision: None,
            new: Some(wanted),
        },
    }
}

fn wanted(key: &ObjectKey, subscription: &Subscription) -> SubscriptionRequestSpec {
    let spec = &subscription.spec;
    SubscriptionRequestSpec {
        subscription: RequestingSubscription {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            uid: subscription.uid(),
        },
        terms: RequestedTerms {
            product: spec.scope.product.clone(),
            api: spec.scope.api.clone(),
            owner: spec.owner.clone(),
            expires_at: spec.expires_at.clone(),
            allow_tracing: spec.allow_tracing,
        },
        approval: None,
    }
}

/// Is what is asked for no more than these terms?
fn covers(terms: &RequestedTerms, asked: &RequestedTerms) -> bool {
    (&terms.product, &terms.api, &terms.owner) == (&asked.product, &asked.api, &asked.owner)
        && ends_in_time(terms.expires_at.as_ref(), asked.expires_at.as_ref())
        && (terms.allow_tracing || !asked.allow_tracing)
}

/// Is a request about this Subscription? Others could take its name with an object that says something else, or
/// say the same under another name: only under its own name does it count. One without a uid was not made by the
/// operator. It counts if it is decided, which takes a right.
fn is_about(own: &str, spec: &SubscriptionRequestSpec, wanted: &SubscriptionRequestSpec) -> bool {
    let (asks, asked) = (&spec.subscription, &wanted.subscription);
    let is_same = (&asks.namespace, &asks.name) == (&asked.namespace, &asked.name);
    match asks.uid.is_some() {
        true => is_same && asks.uid == asked.uid && own == name(spec),
        false => is_same && spec.approval.is_some(),
    }
}

fn name(wanted: &SubscriptionRequestSpec) -> String {
    let SubscriptionRequestSpec {
        subscription,
        terms,
        ..
    } = wanted;
    let part: String = subscription.name.chars().take(NAME_PART).collect();
    let end = terms.expires_at.as_ref().map(|end| end.0.to_string());
    let RequestingSubscription {
        namespace,
        name,
        uid,
    } = subscription;
    let RequestedTerms {
        product,
        api,
        owner,
        expires_at: _,
        allow_tracing,
    } = terms;
    let said = json!([
        namespace,
        name,
        uid,
        product,
        api,
        owner,
        end,
        allow_tracing
    ]);
    let hash = key_hash(&said.to_string());
    format!("{}-{}", part.trim_end_matches(['.', '-']), &hash[..DIGITS])
}

//! Access: does a subscription key or an open product grant access to an API? Pure.
//!
//! Keys are looked up by their SHA-256: nothing here compares a secret byte by byte, so how long
//! an answer takes tells nothing about a key.

#[cfg(test)]
mod tests;
mod why;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderValue;
use http::header::WWW_AUTHENTICATE;
use tidegate_config::{
    ApiConfig, InactiveSubscription, KeyNames, ObjectKey, SubscriptionConfig, SubscriptionScope,
};

use crate::exchange::access::why::InactiveKeys;
use crate::exchange::{Exchange, decoded_pairs};
use crate::head::RequestHead;
use crate::refusal::{Origin, Reason, Refusal};

const MISSING: &str = "Access denied due to missing subscription key. \
    Make sure to include subscription key when making requests to an API.";
const INVALID: &str = "Access denied due to invalid subscription key. \
    Make sure to provide a valid key for an active subscription.";

type KeyHash = [u8; 32];

/// All products and subscriptions of a gateway.
#[derive(Debug, Default)]
pub(crate) struct AccessIndex {
    keys: HashMap<KeyHash, Arc<SubscriptionConfig>>,
    /// Sorted by key: there may be tens of thousands, and they are rarely looked up by name.
    subscriptions: Vec<Arc<SubscriptionConfig>>,
    products: HashMap<ObjectKey, ProductAccess>,
    /// API to the open product that has it.
    open: HashMap<ObjectKey, ObjectKey>,
    /// Asked for the reason of a refusal only.
    inactive: InactiveKeys,
}

/// The APIs of a product.
#[derive(Debug)]
struct ProductAccess {
    apis: HashSet<String>,
}

/// What a request may carry its key in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyCarrier<'a> {
    pub(crate) request: &'a RequestHead,
    /// The key that was taken out of the offered subprotocols.
    pub(crate) subprotocol: Option<&'a HeaderValue>,
}

/// Granted access, and what grants it.
#[derive(Debug, Default)]
pub(crate) struct Granted {
    /// The product whose policies apply.
    pub(crate) product: Option<ObjectKey>,
    pub(crate) subscription: Option<Arc<SubscriptionConfig>>,
    /// Which of the subscription's keys was used, as hash in hexadecimal.
    pub(crate) key_hash: Option<String>,
}

impl AccessIndex {
    /// Adds a product.
    pub(crate) fn add_product(&mut self, key: &ObjectKey, apis: &[String], open: bool) {
        if open {
            for api in apis {
                let api = ObjectKey::new(key.namespace.clone(), api.clone());
                self.open.entry(api).or_insert_with(|| key.clone());
            }
        }
        let apis = apis.iter().cloned().collect();
        self.products.insert(key.clone(), ProductAccess { apis });
    }

    /// Adds a subscription under each of its keys. [`AccessIndex::sorted`] has to follow.
    pub(crate) fn add_subscription(&mut self, subscription: &Arc<SubscriptionConfig>) {
        for hash in each_hash(&subscription.key_hashes) {
            self.keys.insert(hash, Arc::clone(subscription));
        }
        self.subscriptions.push(Arc::clone(subscription));
    }

    /// Adds a subscription whose keys are refused, so that the refusal can say why.
    pub(crate) fn add_inactive(&mut self, subscription: &InactiveSubscription) {
        self.inactive.add(subscription);
    }

    /// Ready to be asked for subscriptions by name.
    pub(crate) fn sorted(mut self) -> Self {
        self.subscriptions.sort_by(|a, b| a.key.cmp(&b.key));
        self
    }

    /// The subscription `key`.
    pub(crate) fn subscription(&self, key: &ObjectKey) -> Option<&SubscriptionConfig> {
        self.find(key).map(|found| &**found)
    }

    fn find(&self, key: &ObjectKey) -> Option<&Arc<SubscriptionConfig>> {
        let at = self
            .subscriptions
            .binary_search_by(|found| found.key.cmp(key));
        self.subscriptions.get(at.ok()?)
    }

    /// The decision: with a key, by the key; without one, by an open product or the API itself.
    ///
    /// # Errors
    /// The refusal (401): the key is missing or not valid for this API.
    pub(crate) fn decide(
        &self,
        api: &ApiConfig,
        carrier: KeyCarrier<'_>,
        now: i64,
    ) -> Result<Granted, Refusal> {
        let open = self.open.get(&api.key);
        let request = carrier.request;
        let Some(key) = presented(carrier, &api.subscription_key) else {
            return match open {
                Some(product) => Ok(by_open_product(product)),
                None if !api.subscription_required => Ok(Granted::default()),
                None => Err(refused(
                    Reason::SubscriptionKeyMissing,
                    MISSING,
                    api,
                    request,
                )),
            };
        };
        let hash = digest(&SHA256, key.as_bytes());
        let refused = || refused(Reason::SubscriptionKeyInvalid, INVALID, api, request);
        let Some(subscription) = self.keys.get(hash.as_ref()) else {
            return Err(refused().detail(self.inactive.why(hash.as_ref())));
        };
        if !is_alive(subscription, now) {
            return Err(refused().detail(why::expired(subscription)));
        }
        if let Some(product) = self.opens(subscription, api) {
            return Ok(Granted {
                product,
                subscription: Some(Arc::clone(subscription)),
                key_hash: Some(hex::encode(hash)),
            });
        }
        // A valid key of another API does not close an open product.
        open.map(by_open_product)
            .ok_or_else(|| refused().detail(why::elsewhere(subscription, api)))
    }

    /// Does this subscription grant access to the API, and through which product?
    fn opens(
        &self,
        subscription: &SubscriptionConfig,
        api: &ApiConfig,
    ) -> Option<Option<ObjectKey>> {
        let namespace = &subscription.key.namespace;
        match &subscription.scope {
            SubscriptionScope::Gateway => Some(None),
            SubscriptionScope::Api(name) => {
                (api.key == SubscriptionScope::key_in(namespace, name)).then_some(None)
            }
            SubscriptionScope::Product(name) => {
                let product = SubscriptionScope::key_in(namespace, name);
                let found = self.products.get(&product)?;
                let is_sibling = api.key.namespace == product.namespace;
                let has = is_sibling && found.apis.contains(&api.key.name);
                has.then_some(Some(product))
            }
        }
    }
}

impl Exchange {
    /// What the request may carry its key in.
    pub(crate) fn key_carrier(&self) -> KeyCarrier<'_> {
        KeyCarrier {
            request: &self.request,
            subprotocol: self.key_subprotocol.as_ref(),
        }
    }
}

/// A text that is not a hash matches no key.
fn each_hash(texts: &[String]) -> impl Iterator<Item = KeyHash> {
    texts.iter().filter_map(|text| {
        let mut hash = KeyHash::default();
        hex::decode_to_slice(text, &mut hash).ok().map(|()| hash)
    })
}

fn is_alive(subscription: &SubscriptionConfig, now: i64) -> bool {
    subscription.expires_at.is_none_or(|end| now < end)
}

fn by_open_product(product: &ObjectKey) -> Granted {
    Granted {
        product: Some(product.clone()),
        ..Granted::default()
    }
}

/// The key that came with the request: from the header, else from the query, else from a subprotocol. An
/// empty one is none.
fn presented(carrier: KeyCarrier<'_>, names: &KeyNames) -> Option<String> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let header = carrier.request.headers.get(names.header.as_str());
    if let Some(value) = header.filter(|value| !value.is_empty()) {
        return Some(text(value));
    }
    let query = carrier.request.raw_query.as_deref().unwrap_or_default();
    let mut pairs = decoded_pairs(query);
    let in_query = pairs.find(|(name, value)| *name == names.query && !value.is_empty());
    let in_query = in_query.map(|(_, value)| value.into_owned());
    in_query.or_else(|| carrier.subprotocol.map(text))
}

/// The refusal of a handshake whose access was revoked while it was decided. Open tunnels whose access is
/// revoked are closed by `Sessions::reconcile` (`tunnel/src/session/registry.rs`).
pub(crate) fn revoked(api: &ApiConfig, carrier: KeyCarrier<'_>) -> Refusal {
    let request = carrier.request;
    match presented(carrier, &api.subscription_key) {
        Some(_) => refused(Reason::SubscriptionKeyInvalid, INVALID, api, request),
        None => refused(Reason::SubscriptionKeyMissing, MISSING, api, request),
    }
}

fn refused(reason: Reason, message: &str, api: &ApiConfig, request: &RequestHead) -> Refusal {
    let refusal = Refusal::new(401, reason, Origin::Client, message);
    let KeyNames {
        header,
        query,
        subprotocol,
        ..
    } = &api.subscription_key;
    let realm = quoted(&format!("{}{}", request.host, api.path));
    // RFC 9110 §11.6.1: every 401 has a challenge.
    let mut challenge = format!(
        "TidegateKey realm={realm}, header={}, query={}",
        quoted(header),
        quoted(query)
    );
    if let Some(prefix) = subprotocol {
        challenge.push_str(&format!(", subprotocol={}", quoted(prefix)));
    }
    match HeaderValue::from_str(&challenge) {
        Ok(value) => refusal.header(WWW_AUTHENTICATE, value),
        Err(_) => refusal,
    }
}

/// RFC 9110 §5.6.4.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

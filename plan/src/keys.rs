//! Keys of subscriptions: found in Secrets, or to be generated.

use k8s_openapi::api::core::v1::Secret;
use tidegate_api::{KeyStatus, KeysStatus, PRIMARY_KEY, Reason, SECONDARY_KEY, Subscription};
use tidegate_config::{ObjectKey, key_hash};

use crate::generated_keys::{KeyOrigin, KeySlot, PRIMARY, SECONDARY, is_current, noted, origin};
use crate::problem::Problem;
use crate::{KeyRequest, World};

/// Shorter keys could be guessed.
const MIN_KEY_LENGTH: usize = 16;
/// Longer ones fit into no header.
const MAX_KEY_LENGTH: usize = 512;
/// So many hexadecimal digits tell keys apart in a status without helping to guess one.
const HASH_PREFIX: usize = 8;

/// What a subscription's Secret gives.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Keys {
    /// Hashes of keys that may be used, primary first.
    pub(crate) hashes: Vec<String>,
    pub(crate) status: KeysStatus,
    pub(crate) problems: Vec<Problem>,
    pub(crate) request: Option<KeyRequest>,
}

/// Who needs keys.
pub(crate) struct KeyHolder<'h> {
    pub(crate) key: &'h ObjectKey,
    pub(crate) subscription: &'h Subscription,
    /// Where its keys are.
    pub(crate) secret: &'h ObjectKey,
    /// Are keys still of use to it?
    pub(crate) alive: bool,
}

/// Reads a subscription's keys.
pub(crate) fn read(holder: &KeyHolder<'_>, world: &World) -> Keys {
    let mut keys = Keys::default();
    keys.status.secret_name.clone_from(&holder.secret.name);
    match world.secrets.get(holder.secret) {
        None => holder.missing(&mut keys),
        Some(secret) => match origin(secret, holder.subscription) {
            KeyOrigin::Supplied => holder.supplied(&mut keys, secret),
            KeyOrigin::Generated => holder.generated(&mut keys, secret),
            KeyOrigin::Stale => {
                let text = format!(
                    "Secret {} belongs to a deleted Subscription of the same name and is about to be \
                     removed",
                    holder.secret
                );
                keys.problems
                    .push(Problem::unresolved(Reason::KeysPending, text));
            }
        },
    }
    keys
}

impl KeyHolder<'_> {
    fn missing(&self, keys: &mut Keys) {
        let spec = &self.subscription.spec.keys;
        let secret = self.secret;
        if spec.secret_name.is_some() {
            // Its author named it: it will come from there.
            let problem = Problem::missing(Reason::SecretNotFound, "Secret", secret.clone());
            keys.problems.push(problem.at("spec.keys.secretName"));
        } else if self.alive {
            let text = format!("Secret {secret} is being generated");
            keys.problems
                .push(Problem::unresolved(Reason::KeysPending, text));
            let renew = [
                Some(spec.primary_generation),
                Some(spec.secondary_generation),
            ];
            keys.request = Some(self.request(false, renew));
        }
    }

    /// A Secret of the user: used as it is.
    fn supplied(&self, keys: &mut Keys, secret: &Secret) {
        for name in [PRIMARY_KEY, SECONDARY_KEY] {
            match key_text(secret, name).map(|text| text.and_then(check)) {
                None => {}
                Some(Ok(text)) => keys.add(name, text, None),
                Some(Err((reason, must))) => {
                    let text = format!("{name} of Secret {} must {must}", self.secret);
                    keys.problems.push(Problem::accepted(reason, text));
                }
            }
        }
        if keys.hashes.is_empty() && keys.problems.is_empty() {
            let secret = self.secret;
            let text = format!("Secret {secret} has neither {PRIMARY_KEY} nor {SECONDARY_KEY}");
            keys.problems
                .push(Problem::unresolved(Reason::SecretNotFound, text));
        }
    }

    /// A Secret of the operator: keys that are missing or whose generation was raised are renewed.
    /// The old key stops at once.
    fn generated(&self, keys: &mut Keys, secret: &Secret) {
        let spec = &self.subscription.spec.keys;
        let renew = [
            current_key(keys, secret, PRIMARY, spec.primary_generation),
            current_key(keys, secret, SECONDARY, spec.secondary_generation),
        ];
        if self.alive && renew != [None, None] {
            let text = format!("keys in Secret {} are being renewed", self.secret);
            keys.problems
                .push(Problem::unresolved(Reason::KeysPending, text));
            keys.request = Some(self.request(true, renew));
        }
    }

    fn request(&self, exists: bool, [primary, secondary]: [Option<i64>; 2]) -> KeyRequest {
        KeyRequest {
            subscription: self.key.clone(),
            secret: self.secret.clone(),
            exists,
            primary,
            secondary,
        }
    }
}

/// Adds a key that is there and current; otherwise the generation that it is to be renewed to.
fn current_key(keys: &mut Keys, secret: &Secret, slot: KeySlot, generation: i64) -> Option<i64> {
    let noted = noted(secret, slot);
    match key_text(secret, slot.name).map(|text| text.and_then(check)) {
        Some(Ok(text)) if is_current(noted, generation) => {
            keys.add(slot.name, text, Some(noted.unwrap_or(generation)));
            None
        }
        _ => Some(generation),
    }
}

impl Keys {
    fn add(&mut self, name: &str, text: &str, generation: Option<i64>) {
        let hash = key_hash(text);
        let status = KeyStatus {
            generation,
            hash_prefix: hash[..HASH_PREFIX].to_owned(),
        };
        if name == PRIMARY_KEY {
            self.status.primary = Some(status);
        } else {
            self.status.secondary = Some(status);
        }
        if !self.hashes.contains(&hash) {
            self.hashes.push(hash);
        }
    }
}

/// Why a key cannot be used, and what it must be.
type Unusable = (Reason, &'static str);

/// One key as text; a line end behind it (files have one) is not part of it.
fn key_text<'s>(secret: &'s Secret, name: &str) -> Option<Result<&'s str, Unusable>> {
    let text = secret
        .string_data
        .as_ref()
        .and_then(|data| data.get(name))
        .map(String::as_bytes);
    let data = secret.data.as_ref().and_then(|data| data.get(name));
    let bytes = text.or(data.map(|bytes| bytes.0.as_slice()))?;
    let text = std::str::from_utf8(bytes).map(|text| text.trim_end_matches(['\r', '\n']));
    let text = text
        .ok()
        .filter(|text| text.bytes().all(|b| b.is_ascii_graphic()));
    Some(text.ok_or((Reason::Invalid, "be printable ASCII without spaces")))
}

/// What a key of this Secret must be and is not: `have at least 16 characters`. `None`: there is no such key, or it
/// can be used.
pub fn unusable_key(secret: &Secret, name: &str) -> Option<&'static str> {
    let unusable = key_text(secret, name)?.and_then(check).err();
    unusable.map(|(_, must)| must)
}

fn check(text: &str) -> Result<&str, Unusable> {
    if text.len() < MIN_KEY_LENGTH {
        Err((Reason::KeyTooShort, "have at least 16 characters"))
    } else if text.len() > MAX_KEY_LENGTH {
        Err((Reason::Invalid, "have at most 512 characters"))
    } else {
        Ok(text)
    }
}

impl Keys {
    /// Takes a key away that an older subscription has: no key opens two.
    pub(crate) fn take_away(&mut self, hash: &str, older: &ObjectKey) {
        let text = format!("Subscription {older} is older and has the same key: use another one");
        self.hashes.retain(|other| *other != hash);
        self.problems
            .push(Problem::accepted(Reason::KeyNotUnique, text));
    }
}

//! What all objects name: who has to be looked at again when something changes.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_config::{ObjectKey, SecretDataId};

use crate::changes::{Changes, Keys};
use crate::links::Links;
use crate::references::Named;

/// An object that may name others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Namer {
    Gateway(ObjectKey),
    Api(ObjectKey),
    Product(ObjectKey),
    Fragment(ObjectKey),
}

/// What every object names.
#[derive(Debug, Default)]
pub(crate) struct Register {
    /// Of objects that name anything.
    named: BTreeMap<Namer, Named>,
    secrets: Links<ObjectKey, Namer>,
    config_maps: Links<ObjectKey, Namer>,
    fragments: Links<ObjectKey, Namer>,
    /// Objects that have the steps of a fragment, fragments left out.
    users: Links<ObjectKey, Namer>,
    /// What was found, and how many objects found it.
    found: BTreeMap<SecretDataId, (Vec<u8>, usize)>,
    /// What changed since it was asked.
    pub(crate) touched: Touched,
}

/// What changed in a register.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    /// Secrets that are named now and were not, or the other way round.
    pub(crate) secrets: Keys,
    /// The same of ConfigMaps.
    pub(crate) config_maps: Keys,
    /// Fragments that other objects use.
    pub(crate) fragments: Keys,
    /// Secret data that is there now and was not, or has other bytes.
    pub(crate) found: BTreeSet<SecretDataId>,
}

impl Register {
    /// Objects that name something that changed.
    pub(crate) fn concerned(&self, changes: &Changes) -> BTreeSet<Namer> {
        let secrets = changes.secrets.iter().flat_map(|key| self.secrets.of(key));
        let maps = changes.config_maps.iter();
        let maps = maps.flat_map(|key| self.config_maps.of(key));
        let fragments = changes.fragments.iter();
        let fragments = fragments.flat_map(|key| self.fragments.of(key));
        secrets.chain(maps).chain(fragments).cloned().collect()
    }

    /// Notes what an object names now; nothing, when it is gone.
    pub(crate) fn set(&mut self, namer: &Namer, named: Named) {
        let before = self.named.remove(namer).unwrap_or_default();
        if before == named {
            if named != Named::default() {
                self.named.insert(namer.clone(), named);
            }
            return;
        }
        let touched = &mut self.touched;
        for (links, old, new, keys) in [
            (
                &mut self.secrets,
                &before.secrets,
                &named.secrets,
                &mut touched.secrets,
            ),
            (
                &mut self.config_maps,
                &before.config_maps,
                &named.config_maps,
                &mut touched.config_maps,
            ),
            (
                &mut self.fragments,
                &before.fragments,
                &named.fragments,
                &mut BTreeSet::new(),
            ),
        ] {
            relink(links, namer, (old, new), keys);
        }
        if !matches!(namer, Namer::Fragment(_)) {
            relink(
                &mut self.users,
                namer,
                (&before.included, &named.included),
                &mut BTreeSet::new(),
            );
            let changed = before.included.symmetric_difference(&named.included);
            touched.fragments.extend(changed.cloned());
        }
        self.refind(&before, &named);
        if named != Named::default() {
            self.named.insert(namer.clone(), named);
        }
    }

    /// Adds what is found now before it removes what was: the same bytes are no change.
    fn refind(&mut self, before: &Named, named: &Named) {
        let touched = &mut self.touched.found;
        for (id, bytes) in named.secret_data.iter() {
            let (known, count) = self.found.entry(id.clone()).or_default();
            if *count == 0 || known.as_slice() != bytes {
                *known = bytes.to_vec();
                touched.insert(id.clone());
            }
            *count += 1;
        }
        for (id, _) in before.secret_data.iter() {
            if let Some((_, count)) = self.found.get_mut(id) {
                *count -= 1;
                if *count == 0 {
                    self.found.remove(id);
                    touched.insert(id.clone());
                }
            }
        }
    }

    /// Secret data that an object found usable.
    pub(crate) fn found(&self, id: &SecretDataId) -> Option<&[u8]> {
        self.found.get(id).map(|(bytes, _)| bytes.as_slice())
    }

    pub(crate) fn names_secret(&self, key: &ObjectKey) -> bool {
        self.secrets.contains_key(key)
    }

    pub(crate) fn names_config_map(&self, key: &ObjectKey) -> bool {
        self.config_maps.contains_key(key)
    }

    /// How many objects include a fragment, directly or through another one.
    pub(crate) fn users(&self, fragment: &ObjectKey) -> u32 {
        u32::try_from(self.users.of(fragment).count()).unwrap_or(u32::MAX)
    }
}

/// Replaces the links of an object; notes the keys that have a first one or no more.
fn relink(
    links: &mut Links<ObjectKey, Namer>,
    namer: &Namer,
    (old, new): (&Keys, &Keys),
    touched: &mut Keys,
) {
    for key in new.difference(old) {
        if links.add(key.clone(), namer.clone()) {
            touched.insert(key.clone());
        }
    }
    for key in old.difference(new) {
        if links.remove(key, namer) {
            touched.insert(key.clone());
        }
    }
}

//! The cached objects of one kind. Pure: filled from watch events, read by passes.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tidegate_config::ObjectKey;

use super::Unreadable;
use super::Urgency;

/// One cached object.
#[derive(Debug)]
struct Entry<T> {
    /// Resource version that was received last.
    version: String,
    /// What is kept of the last version that could be read.
    kept: Option<Arc<T>>,
    /// Set when the latest version cannot be read.
    unreadable: Option<Unreadable>,
}

/// The cached objects of one kind, by namespace and name.
#[derive(Debug)]
pub(crate) struct Store<T> {
    entries: BTreeMap<ObjectKey, Entry<T>>,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
        }
    }
}

impl<T> Store<T> {
    /// Adds or replaces an object. `keep` makes what is kept, given what was kept; `urgency` judges the
    /// difference.
    pub(crate) fn upsert(
        &mut self,
        key: ObjectKey,
        version: String,
        keep: impl FnOnce(Option<&T>) -> Result<T, Unreadable>,
        urgency: impl FnOnce(&T, &T) -> Urgency,
    ) -> Urgency {
        let Some(entry) = self.entries.get_mut(&key) else {
            let (kept, unreadable) = match keep(None) {
                Ok(kept) => (Some(Arc::new(kept)), None),
                Err(unreadable) => (None, Some(unreadable)),
            };
            let entry = Entry {
                version,
                kept,
                unreadable,
            };
            self.entries.insert(key, entry);
            return Urgency::Now;
        };
        // A list repeats known versions. One that could not be read may be readable now, because a newer
        // CustomResourceDefinition was installed.
        if entry.version == version && entry.unreadable.is_none() {
            return Urgency::Never;
        }
        let before = entry.kept.take();
        let was_unreadable = entry.unreadable.take().is_some();
        entry.version = version;
        match keep(before.as_deref()) {
            Ok(after) => {
                let change = match before {
                    Some(before) if !was_unreadable => urgency(&before, &after),
                    Some(_) | None => Urgency::Now,
                };
                entry.kept = Some(Arc::new(after));
                change
            }
            Err(unreadable) => {
                entry.kept = before;
                entry.unreadable = Some(unreadable);
                Urgency::Now
            }
        }
    }

    /// Removes an object.
    pub(crate) fn remove(&mut self, key: &ObjectKey) -> Urgency {
        match self.entries.remove(key) {
            Some(_) => Urgency::Now,
            None => Urgency::Never,
        }
    }

    /// After a complete list: removes the objects that the list `covers` but did not contain.
    pub(crate) fn retain_listed(
        &mut self,
        covers: impl Fn(&ObjectKey) -> bool,
        listed: &HashSet<ObjectKey>,
    ) -> Urgency {
        let before = self.entries.len();
        self.entries
            .retain(|key, _| !covers(key) || listed.contains(key));
        match self.entries.len() == before {
            true => Urgency::Never,
            false => Urgency::Now,
        }
    }

    /// Stores what the API server returned for an update, so that the next pass sees it before the watch
    /// delivers it. Never replaces a newer version; an object that was removed stays removed.
    pub(crate) fn store_updated(&mut self, key: &ObjectKey, version: &str, object: T) {
        if let Some(entry) = self.entries.get_mut(key)
            && is_newer(version, &entry.version)
        {
            entry.version = version.to_owned();
            entry.kept = Some(Arc::new(object));
            entry.unreadable = None;
        }
    }

    /// Stores what the API server returned for a creation.
    pub(crate) fn store_created(&mut self, key: &ObjectKey, version: &str, object: T) {
        if self.entries.contains_key(key) {
            return self.store_updated(key, version, object);
        }
        let entry = Entry {
            version: version.to_owned(),
            kept: Some(Arc::new(object)),
            unreadable: None,
        };
        self.entries.insert(key.clone(), entry);
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, key: &ObjectKey) -> Option<&Arc<T>> {
        self.entries.get(key)?.kept.as_ref()
    }

    /// All objects that could be read, by namespace and name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &Arc<T>)> {
        self.entries
            .iter()
            .filter_map(|(key, entry)| Some((key, entry.kept.as_ref()?)))
    }

    /// All objects whose latest version could not be read.
    pub(crate) fn unreadable(&self) -> impl Iterator<Item = (&ObjectKey, &Unreadable)> {
        self.entries
            .iter()
            .filter_map(|(key, entry)| Some((key, entry.unreadable.as_ref()?)))
    }
}

/// Is resource version `a` later than `b`? They are decimal numbers that grow; anything else is left to
/// the watch.
fn is_newer(a: &str, b: &str) -> bool {
    match (a.parse::<u128>(), b.parse::<u128>()) {
        (Ok(a), Ok(b)) => a > b,
        _ => false,
    }
}

#[cfg(test)]
mod tests;

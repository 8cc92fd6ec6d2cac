//! The cached objects of one kind. Pure: filled from watch events, read by passes.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use tidegate_config::ObjectKey;

use super::Unreadable;
use super::Urgency;

/// One cached object.
#[derive(Debug)]
struct Entry<T> {
    /// Resource version that was received last.
    version: Box<str>,
    /// What is kept of the last version that could be read.
    kept: Option<Arc<T>>,
}

/// The cached objects of one kind, by namespace and name.
#[derive(Debug)]
pub(crate) struct Store<T> {
    entries: BTreeMap<ObjectKey, Entry<T>>,
    /// Objects whose latest version cannot be read.
    unreadable: BTreeMap<ObjectKey, Unreadable>,
    /// Objects that are not as they were when this was asked last.
    changed: BTreeSet<ObjectKey>,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            changed: BTreeSet::new(),
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
        let known = self.entries.get(&key);
        // A list repeats known versions. One that could not be read may be readable now, because a newer
        // CustomResourceDefinition was installed.
        if known.is_some_and(|entry| *entry.version == version)
            && !self.unreadable.contains_key(&key)
        {
            return Urgency::Never;
        }
        let before = known.and_then(|entry| entry.kept.clone());
        let was_unreadable = self.unreadable.remove(&key).is_some();
        let (kept, change) = match keep(before.as_deref()) {
            Ok(after) => {
                let change = match &before {
                    Some(before) if !was_unreadable => urgency(before, &after),
                    Some(_) | None => Urgency::Now,
                };
                (Some(Arc::new(after)), change)
            }
            Err(unreadable) => {
                self.unreadable.insert(key.clone(), unreadable);
                (before, Urgency::Now)
            }
        };
        let version = version.into_boxed_str();
        self.changed.insert(key.clone());
        self.entries.insert(key, Entry { version, kept });
        change
    }

    /// Removes an object.
    pub(crate) fn remove(&mut self, key: &ObjectKey) -> Urgency {
        match self.entries.remove(key) {
            Some(_) => {
                self.unreadable.remove(key);
                self.changed.insert(key.clone());
                Urgency::Now
            }
            None => Urgency::Never,
        }
    }

    /// After a complete list: removes the objects that the list `covers` but did not contain.
    pub(crate) fn retain_listed(
        &mut self,
        covers: impl Fn(&ObjectKey) -> bool,
        listed: &HashSet<ObjectKey>,
    ) -> Urgency {
        let keys = self.entries.keys();
        let gone = keys.filter(|key| covers(key) && !listed.contains(*key));
        let gone: Vec<_> = gone.cloned().collect();
        let removed = gone.iter().map(|key| self.remove(key));
        removed.max().unwrap_or(Urgency::Never)
    }

    /// Stores what the API server returned for an update, so that the next pass sees it before the watch
    /// delivers it. Never replaces a newer version; an object that was removed stays removed.
    pub(crate) fn store_updated(&mut self, key: &ObjectKey, version: &str, object: T) {
        if let Some(entry) = self.entries.get_mut(key)
            && is_newer(version, &entry.version)
        {
            entry.version = version.into();
            entry.kept = Some(Arc::new(object));
            self.unreadable.remove(key);
            self.changed.insert(key.clone());
        }
    }

    /// Stores what the API server returned for a creation.
    pub(crate) fn store_created(&mut self, key: &ObjectKey, version: &str, object: T) {
        if self.entries.contains_key(key) {
            return self.store_updated(key, version, object);
        }
        let entry = Entry {
            version: version.into(),
            kept: Some(Arc::new(object)),
        };
        self.changed.insert(key.clone());
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
    pub(crate) fn unreadable(&self) -> impl ExactSizeIterator<Item = (&ObjectKey, &Unreadable)> {
        self.unreadable.iter()
    }

    /// Objects that are not as they were when this was asked last, with what is kept of them.
    pub(crate) fn take_changed(&mut self) -> Vec<(ObjectKey, Option<Arc<T>>)> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        changed
            .map(|key| {
                let kept = self.get(&key).cloned();
                (key, kept)
            })
            .collect()
    }

    /// Everything counts as changed: who asks next knows nothing.
    pub(crate) fn change_all(&mut self) {
        self.changed = self.entries.keys().cloned().collect();
    }

    /// Nobody is going to ask what changed until now.
    pub(crate) fn forget_changed(&mut self) {
        self.changed.clear();
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

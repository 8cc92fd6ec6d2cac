//! The objects of one kind. Pure: fed with watch events, asked by the pass.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tidegate_config::ObjectKey;

use super::Broken;
use super::Wake;

/// One object.
#[derive(Debug)]
struct Entry<T> {
    /// Resource version that was seen last.
    version: String,
    /// What is kept of it: the last version that could be read.
    kept: Option<Arc<T>>,
    /// Set when the present version cannot be read.
    broken: Option<Broken>,
}

/// The objects of one kind.
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
    /// Takes over an object. `keep` makes what is kept from what was kept; `wake` says how urgent
    /// the difference is.
    pub(crate) fn upsert(
        &mut self,
        key: ObjectKey,
        version: String,
        keep: impl FnOnce(Option<&T>) -> Result<T, Broken>,
        wake: impl FnOnce(&T, &T) -> Wake,
    ) -> Wake {
        let Some(entry) = self.entries.get_mut(&key) else {
            let (kept, broken) = match keep(None) {
                Ok(kept) => (Some(Arc::new(kept)), None),
                Err(broken) => (None, Some(broken)),
            };
            let entry = Entry {
                version,
                kept,
                broken,
            };
            self.entries.insert(key, entry);
            return Wake::Now;
        };
        // A list repeats what is known; what could not be read may be readable now, since a newer
        // definition of its kind was installed.
        if entry.version == version && entry.broken.is_none() {
            return Wake::Never;
        }
        let before = entry.kept.take();
        let was_broken = entry.broken.take().is_some();
        entry.version = version;
        match keep(before.as_deref()) {
            Ok(after) => {
                let urgency = match before {
                    Some(before) if !was_broken => wake(&before, &after),
                    Some(_) | None => Wake::Now,
                };
                entry.kept = Some(Arc::new(after));
                urgency
            }
            Err(broken) => {
                entry.kept = before;
                entry.broken = Some(broken);
                Wake::Now
            }
        }
    }

    /// Forgets an object.
    pub(crate) fn remove(&mut self, key: &ObjectKey) -> Wake {
        match self.entries.remove(key) {
            Some(_) => Wake::Now,
            None => Wake::Never,
        }
    }

    /// After a whole list: forgets what `covers` and was not `seen`.
    pub(crate) fn retain_seen(
        &mut self,
        covers: impl Fn(&ObjectKey) -> bool,
        seen: &HashSet<ObjectKey>,
    ) -> Wake {
        let before = self.entries.len();
        self.entries
            .retain(|key, _| !covers(key) || seen.contains(key));
        match self.entries.len() == before {
            true => Wake::Never,
            false => Wake::Now,
        }
    }

    /// Takes over what a write of ours returned, so that the next pass sees it before the watch
    /// tells. Never replaces anything newer; an object that is gone stays gone.
    pub(crate) fn wrote(&mut self, key: &ObjectKey, version: &str, object: T) {
        if let Some(entry) = self.entries.get_mut(key)
            && is_newer(version, &entry.version)
        {
            entry.version = version.to_owned();
            entry.kept = Some(Arc::new(object));
            entry.broken = None;
        }
    }

    /// Takes over what a write of ours created.
    pub(crate) fn created(&mut self, key: &ObjectKey, version: &str, object: T) {
        if self.entries.contains_key(key) {
            return self.wrote(key, version, object);
        }
        let entry = Entry {
            version: version.to_owned(),
            kept: Some(Arc::new(object)),
            broken: None,
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

    /// All objects whose present version could not be read.
    pub(crate) fn broken(&self) -> impl Iterator<Item = (&ObjectKey, &Broken)> {
        self.entries
            .iter()
            .filter_map(|(key, entry)| Some((key, entry.broken.as_ref()?)))
    }
}

/// Is resource version `a` later than `b`? Kubernetes promises decimal numbers that grow; anything
/// else is left to the watch.
fn is_newer(a: &str, b: &str) -> bool {
    match (a.parse::<u128>(), b.parse::<u128>()) {
        (Ok(a), Ok(b)) => a > b,
        _ => false,
    }
}

#[cfg(test)]
mod tests;

//! The difference between the secret data of two revisions.

use std::collections::{BTreeMap, HashSet};

use tidegate_config::{SecretData, SecretDataId};

/// Namespaces in which a Secret or ConfigMap changed, appeared or went. Objects refer to their own
/// namespace only, so everything elsewhere is as it was.
pub(super) fn changed_namespaces<'a>(old: &'a SecretData, new: &'a SecretData) -> HashSet<&'a str> {
    let before: BTreeMap<&SecretDataId, &[u8]> = old.iter().collect();
    let after: BTreeMap<&SecretDataId, &[u8]> = new.iter().collect();
    let gone = before.keys().filter(|id| !after.contains_key(*id));
    let different = after
        .iter()
        .filter(|(id, bytes)| before.get(*id) != Some(*bytes));
    gone.chain(different.map(|(id, _)| id))
        .map(|id| namespace(id))
        .collect()
}

/// The second part of `secret/NAMESPACE/NAME/KEY`.
fn namespace(id: &SecretDataId) -> &str {
    id.as_str().split('/').nth(1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret_data(pieces: &[(&str, &str)]) -> SecretData {
        let mut secret_data = SecretData::default();
        for (namespace, text) in pieces {
            let id = SecretDataId::secret(namespace, "s", "k");
            secret_data.insert(id, text.as_bytes().to_vec());
        }
        secret_data
    }

    #[test]
    fn only_namespaces_with_a_difference_count() {
        let old = secret_data(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let new = secret_data(&[("a", "1"), ("b", "2"), ("d", "1")]);
        assert_eq!(
            changed_namespaces(&old, &new),
            HashSet::from(["b", "c", "d"])
        );
    }
}

//! Lists what belongs to nothing that was imported.

use std::collections::BTreeMap;

use super::super::entity::{Entity, last};
use super::super::finding::Level;
use super::{Builder, READ, WITHOUT_EFFECT};

impl Builder<'_> {
    /// Reports entities that no builder reads.
    pub(super) fn others(&mut self) {
        for entity in self.all {
            let kind = entity.kind.as_str();
            if READ.contains(&kind) {
                continue;
            }
            let level = match WITHOUT_EFFECT.contains(&kind) {
                true => Level::Note,
                false => Level::Warning,
            };
            let text = format!("skipped: {kind} {}", entity.name());
            self.say(entity.finding(level, text));
        }
    }

    /// Reports entities that are defined twice, each time in another way: one of them is in effect, and which one is
    /// not known.
    pub(super) fn find_rivals(&mut self) {
        let mut first: BTreeMap<_, &Entity> = BTreeMap::new();
        for entity in self
            .all
            .iter()
            .filter(|entity| READ.contains(&&*entity.kind))
        {
            let known = first.entry(key(entity)).or_insert(entity);
            if known.properties != entity.properties {
                self.rivals.insert(key(entity));
                let text = format!(
                    "{} {} is defined more than once, and not the same: leave one of them",
                    entity.kind,
                    entity.names.join("/")
                );
                self.built.findings.push(entity.finding(Level::Error, text));
            }
        }
    }

    /// Whether the entity is defined in another way, too.
    pub(super) fn has_rival(&self, entity: &Entity) -> bool {
        self.rivals.contains(&key(entity))
    }

    /// Reports links and policies whose objects are not imported, and backends that no policy names.
    pub(super) fn left_out(&mut self) {
        for entity in self.all {
            if let Some((level, why)) = self.why_left_out(entity) {
                let text = format!("skipped: {} {}: {why}", entity.kind, entity.names.join("/"));
                self.say(entity.finding(level, text));
            }
        }
    }

    fn why_left_out(&self, entity: &Entity) -> Option<(Level, &'static str)> {
        const API: &str = "its API is not imported";
        let has_api = |id: &str| self.apis.contains_key(&plain(id));
        let owner = entity.owner();
        match entity.kind.as_str() {
            "apis/operations/policies" if !has_api(owner) => Some((Level::Note, API)),
            "apis/operations/policies" if !self.is_of_current(entity) => {
                Some((Level::Note, "it is of a revision that is not current"))
            }
            "apis/operations/policies" if !is_own_operation(entity) => {
                let why = "a WebSocket API has the operation onHandshake only";
                Some((Level::Warning, why))
            }
            "apis/policies" if !has_api(owner) => Some((Level::Note, API)),
            "products/apilinks" if !entity.unknown.is_empty() => {
                Some((Level::Error, "its API cannot be evaluated"))
            }
            "products/apis" | "products/apilinks" => {
                let id = entity.text("apiId").map_or(entity.name(), last);
                (!has_api(id)).then_some((Level::Note, API))
            }
            "gateways/apis" if !has_api(entity.name()) => Some((Level::Note, API)),
            "products/policies" if !self.products.contains_key(&owner.to_lowercase()) => {
                Some((Level::Note, "its product is not imported"))
            }
            "backends" if !self.context.is_used(entity.name()) => {
                Some((Level::Note, "no imported policy names it"))
            }
            _ => None,
        }
    }
}

/// What tells entities apart: type and names, in lower case.
fn key(entity: &Entity) -> (String, String) {
    (entity.kind.clone(), entity.names.join("/").to_lowercase())
}

fn is_own_operation(policy: &Entity) -> bool {
    let operation = policy.names.get(1).map_or("", String::as_str);
    operation.eq_ignore_ascii_case("onHandshake")
}

/// The id of an API in lower case, without its revision.
fn plain(id: &str) -> String {
    id.split(";rev=").next().unwrap_or_default().to_lowercase()
}

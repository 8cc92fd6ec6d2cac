use std::collections::BTreeMap;

use tidegate_config::{ConfigParts, split_config};

use super::*;
use crate::configuration::update::Update;
use crate::configuration::update::testing::update;

fn gateway() -> ObjectKey {
    update(1).config.settings.key
}

fn rendered(revision: u64) -> ConfigParts {
    let Update {
        revision,
        config,
        secret_data,
    } = update(revision);
    split_config(&config, &secret_data, revision).unwrap()
}

fn config_map(name: &str, key: &str, text: &str) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.name = Some(name.to_owned());
    object.data = Some(BTreeMap::from([(key.to_owned(), text.to_owned())]));
    object
}

fn objects(rendered: &ConfigParts) -> Vec<ConfigMap> {
    let shards = rendered.shards.iter();
    let mut objects: Vec<_> = shards
        .map(|(name, text)| config_map(name, SHARD_KEY, text))
        .collect();
    let index = serde_json::to_string(&rendered.index).unwrap();
    objects.push(config_map(&index_name(&gateway().name), INDEX_KEY, &index));
    objects
}

fn listed(objects: Vec<ConfigMap>) -> Store {
    let mut store = Store::new(&gateway());
    store.apply(Event::Init);
    for object in objects {
        store.apply(Event::InitApply(object));
        assert!(!store.is_listed());
    }
    store.apply(Event::InitDone);
    store
}

fn reason(store: &Store) -> &'static str {
    store.index(&gateway()).unwrap_err().reason
}

#[test]
fn a_whole_configuration_is_found() {
    let rendered = rendered(7);
    let store = listed(objects(&rendered));
    let index = store.index(&gateway()).unwrap();
    assert_eq!(index, rendered.index);
    assert_eq!(store.texts(&index).len(), rendered.shards.len());
}

#[test]
fn what_is_torn_or_corrupt_has_a_reason_and_heals() {
    let rendered = rendered(7);
    let whole = objects(&rendered);
    let (index, shard) = (whole.last().unwrap().clone(), whole[0].clone());
    let with = |edit: &dyn Fn(&mut ConfigIndex)| {
        let mut edited = rendered.index.clone();
        edit(&mut edited);
        let text = serde_json::to_string(&edited).unwrap();
        Event::Apply(config_map(&index_name("edge"), INDEX_KEY, &text))
    };
    let shard_name = shard.metadata.name.clone().unwrap();
    for (case, event, expected) in [
        (
            "index deleted",
            Event::Delete(index.clone()),
            "index_missing",
        ),
        (
            "index is not JSON",
            Event::Apply(config_map(&index_name("edge"), INDEX_KEY, "{")),
            "index_malformed",
        ),
        (
            "index without its key",
            Event::Apply(config_map(&index_name("edge"), "other", "{}")),
            "index_malformed",
        ),
        ("newer format", with(&|index| index.format = 99), "format"),
        (
            "other gateway",
            with(&|index| index.gateway = ObjectKey::new("shop", "other")),
            "other_gateway",
        ),
        (
            "shard deleted",
            Event::Delete(shard.clone()),
            "part_missing",
        ),
        (
            "shard edited",
            Event::Apply(config_map(&shard_name, SHARD_KEY, "{}")),
            "part_corrupt",
        ),
        (
            "shard without its key",
            Event::Apply(config_map(&shard_name, "other", "{}")),
            "part_corrupt",
        ),
    ] {
        let mut store = listed(whole.clone());
        store.apply(event);
        assert_eq!(reason(&store), expected, "{case}");
        for object in [shard.clone(), index.clone()] {
            store.apply(Event::Apply(object));
        }
        assert_eq!(
            store.index(&gateway()),
            Ok(rendered.index.clone()),
            "{case}"
        );
    }
}

#[test]
fn a_new_list_replaces_the_old_one_only_when_complete() {
    let (old, new) = (rendered(7), rendered(8));
    let mut store = listed(objects(&old));
    store.apply(Event::Init);
    for object in objects(&new) {
        store.apply(Event::InitApply(object));
        assert_eq!(store.index(&gateway()), Ok(old.index.clone()));
    }
    store.apply(Event::InitDone);
    assert_eq!(store.index(&gateway()), Ok(new.index));

    store.apply(Event::Init);
    store.apply(Event::InitDone);
    assert_eq!(reason(&store), "index_missing");
}

use super::*;

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("shop", name)
}

fn put(store: &mut Store<u32>, name: &str, version: &str, value: Result<u32, &str>) -> Urgency {
    let keep = |_: Option<&u32>| {
        value.map_err(|message| Unreadable {
            uid: "u".to_owned(),
            generation: 2,
            error: message.to_owned(),
        })
    };
    let urgency = |before: &u32, after: &u32| {
        if before == after {
            Urgency::Soon
        } else {
            Urgency::Now
        }
    };
    store.upsert(key(name), version.to_owned(), keep, urgency)
}

#[test]
fn urgency_follows_from_what_changed() {
    let mut store = Store::default();
    assert_eq!(put(&mut store, "a", "1", Ok(7)), Urgency::Now, "new");
    assert_eq!(
        put(&mut store, "a", "1", Ok(7)),
        Urgency::Never,
        "listed again"
    );
    assert_eq!(
        put(&mut store, "a", "2", Ok(7)),
        Urgency::Soon,
        "only its status"
    );
    assert_eq!(put(&mut store, "a", "3", Ok(8)), Urgency::Now, "changed");
    assert_eq!(store.remove(&key("a")), Urgency::Now, "gone");
    assert_eq!(store.remove(&key("a")), Urgency::Never, "gone already");
}

#[test]
fn the_last_readable_version_is_kept() {
    let mut store = Store::default();
    put(&mut store, "a", "1", Ok(7));
    assert_eq!(put(&mut store, "a", "2", Err("bad")), Urgency::Now);
    assert_eq!(store.get(&key("a")).map(|kept| **kept), Some(7));
    assert_eq!(store.unreadable().count(), 1);
    assert_eq!(
        put(&mut store, "a", "3", Ok(7)),
        Urgency::Now,
        "readable again"
    );
    assert_eq!(store.unreadable().count(), 0);
    put(&mut store, "b", "1", Err("bad from the start"));
    assert!(store.get(&key("b")).is_none());
    assert_eq!((store.iter().count(), store.len()), (1, 2));
}

#[test]
fn a_list_removes_what_it_covers_and_does_not_contain() {
    let mut store = Store::default();
    put(&mut store, "a", "1", Ok(1));
    put(&mut store, "b", "1", Ok(2));
    let other = ObjectKey::new("other", "c");
    store.upsert(other, "1".to_owned(), |_| Ok(3), |_, _| Urgency::Never);
    let listed = HashSet::from([key("a")]);
    let in_scope = |key: &ObjectKey| key.namespace == "shop";
    assert_eq!(store.retain_listed(in_scope, &listed), Urgency::Now);
    assert_eq!(store.retain_listed(in_scope, &listed), Urgency::Never);
    let left: Vec<_> = store.iter().map(|(key, _)| key.to_string()).collect();
    assert_eq!(left, ["other/c", "shop/a"]);
}

#[test]
fn the_answer_to_a_write_never_replaces_a_newer_version() {
    let mut store = Store::default();
    put(&mut store, "a", "10", Ok(1));
    for (version, expected) in [("9", 1), ("10", 1), ("not a number", 1), ("11", 2)] {
        store.store_updated(&key("a"), version, 2);
        assert_eq!(**store.get(&key("a")).unwrap(), expected, "{version}");
    }
    assert_eq!(
        put(&mut store, "a", "11", Ok(2)),
        Urgency::Never,
        "the watch's echo"
    );
    store.store_updated(&key("gone"), "12", 2);
    assert!(store.get(&key("gone")).is_none());
    store.store_created(&key("new"), "12", 5);
    assert_eq!(put(&mut store, "new", "12", Ok(5)), Urgency::Never);
}

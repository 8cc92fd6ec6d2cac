use super::*;

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("shop", name)
}

fn put(store: &mut Store<u32>, name: &str, version: &str, value: Result<u32, &str>) -> Wake {
    let keep = |_: Option<&u32>| {
        value.map_err(|message| Broken {
            uid: "u".to_owned(),
            generation: 2,
            message: message.to_owned(),
        })
    };
    let wake = |before: &u32, after: &u32| {
        if before == after {
            Wake::Soon
        } else {
            Wake::Now
        }
    };
    store.upsert(key(name), version.to_owned(), keep, wake)
}

#[test]
fn urgency_follows_from_what_changed() {
    let mut store = Store::default();
    assert_eq!(put(&mut store, "a", "1", Ok(7)), Wake::Now, "new");
    assert_eq!(
        put(&mut store, "a", "1", Ok(7)),
        Wake::Never,
        "listed again"
    );
    assert_eq!(
        put(&mut store, "a", "2", Ok(7)),
        Wake::Soon,
        "only its status"
    );
    assert_eq!(put(&mut store, "a", "3", Ok(8)), Wake::Now, "changed");
    assert_eq!(store.remove(&key("a")), Wake::Now, "gone");
    assert_eq!(store.remove(&key("a")), Wake::Never, "gone already");
}

#[test]
fn an_unreadable_version_keeps_the_last_readable_one() {
    let mut store = Store::default();
    put(&mut store, "a", "1", Ok(7));
    assert_eq!(put(&mut store, "a", "2", Err("bad")), Wake::Now);
    assert_eq!(store.get(&key("a")).map(|kept| **kept), Some(7));
    assert_eq!(store.broken().count(), 1);
    assert_eq!(
        put(&mut store, "a", "3", Ok(7)),
        Wake::Now,
        "readable again"
    );
    assert_eq!(store.broken().count(), 0);
    put(&mut store, "b", "1", Err("bad from the start"));
    assert!(store.get(&key("b")).is_none());
    assert_eq!((store.iter().count(), store.len()), (1, 2));
}

#[test]
fn a_list_removes_what_it_does_not_show_in_its_own_scope() {
    let mut store = Store::default();
    put(&mut store, "a", "1", Ok(1));
    put(&mut store, "b", "1", Ok(2));
    let other = ObjectKey::new("other", "c");
    store.upsert(other, "1".to_owned(), |_| Ok(3), |_, _| Wake::Never);
    let seen = HashSet::from([key("a")]);
    let in_scope = |key: &ObjectKey| key.namespace == "shop";
    assert_eq!(store.retain_seen(in_scope, &seen), Wake::Now);
    assert_eq!(store.retain_seen(in_scope, &seen), Wake::Never);
    let left: Vec<_> = store.iter().map(|(key, _)| key.to_string()).collect();
    assert_eq!(left, ["other/c", "shop/a"]);
}

#[test]
fn what_a_write_returned_never_replaces_anything_newer() {
    let mut store = Store::default();
    put(&mut store, "a", "10", Ok(1));
    for (version, expected) in [("9", 1), ("10", 1), ("not a number", 1), ("11", 2)] {
        store.wrote(&key("a"), version, 2);
        assert_eq!(**store.get(&key("a")).unwrap(), expected, "{version}");
    }
    assert_eq!(
        put(&mut store, "a", "11", Ok(2)),
        Wake::Never,
        "the watch's echo"
    );
    store.wrote(&key("gone"), "12", 2);
    assert!(store.get(&key("gone")).is_none());
    store.created(&key("new"), "12", 5);
    assert_eq!(put(&mut store, "new", "12", Ok(5)), Wake::Never);
}

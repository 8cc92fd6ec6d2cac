use super::*;
use crate::testing::{api_config, gateway_config};

fn names(changed: &HashSet<ObjectRef>) -> Vec<String> {
    let mut names: Vec<_> = changed.iter().map(ToString::to_string).collect();
    names.sort();
    names
}

#[test]
fn added_changed_and_removed_objects_are_found_and_no_others() {
    let mut old = gateway_config("shop", "edge");
    old.apis = ["a", "b", "c", "e"]
        .map(|name| Arc::new(api_config("shop", name)))
        .into();
    let mut new = gateway_config("shop", "edge");
    new.apis = ["a", "c", "d", "e"]
        .map(|name| Arc::new(api_config("shop", name)))
        .into();
    Arc::make_mut(&mut new.apis[1]).path = "/elsewhere".to_owned();
    let none = SecretData::default();
    let changed = changed_objects((&old, &none), (&new, &none));
    assert_eq!(
        names(&changed),
        [
            "WebSocketApi shop/b",
            "WebSocketApi shop/c",
            "WebSocketApi shop/d"
        ]
    );
}

#[test]
fn changed_settings_and_secret_data_count_as_a_change_of_the_gateway() {
    let old = gateway_config("shop", "edge");
    let mut new = old.clone();
    let none = SecretData::default();
    assert!(changed_objects((&old, &none), (&new, &none)).is_empty());
    let mut some = SecretData::default();
    some.insert(
        tidegate_config::SecretDataId::secret("shop", "tls", "tls.crt"),
        vec![1],
    );
    assert_eq!(
        names(&changed_objects((&old, &none), (&new, &some))),
        ["Gateway shop/edge"]
    );
    new.settings.generation += 1;
    assert_eq!(
        names(&changed_objects((&old, &none), (&new, &none))),
        ["Gateway shop/edge"]
    );
    new.apis.push(Arc::new(api_config("shop", "chat")));
    assert_eq!(
        names(&all_objects(&new)),
        ["Gateway shop/edge", "WebSocketApi shop/chat"]
    );
}

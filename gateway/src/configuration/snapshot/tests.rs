use serde_json::json;
use tidegate_config::policy::OnHandshake;
use tidegate_config::{ListenerConfig, Protocol, SecretData, SecretDataId};

use super::*;
use crate::configuration::update::testing;
use tidegate_tunnel::drain::Drain;
use tidegate_tunnel::session::Sessions;

fn shared_runtime() -> (tokio::runtime::Runtime, SharedRuntime) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let drain = Drain::pair().1;
    let services = Services::new(
        (drain.clone(), drain),
        runtime.handle().clone(),
        Sessions::new(),
    );
    (
        runtime,
        SharedRuntime::new(services, Metrics::new()).unwrap(),
    )
}

fn api(namespace: &str, name: &str) -> ApiConfig {
    serde_json::from_value(json!({
        "key": {"namespace": namespace, "name": name},
        "generation": 1,
        "displayName": name,
        "listeners": ["plain"],
        "hostnames": [],
        "path": format!("/{name}"),
        "pathMatch": "Exact",
        "protocols": ["ws"],
        "backendUrl": "ws://b.test",
        "hostHeader": null,
        "backendTls": {},
        "subscriptionRequired": false,
        "subscriptionKey": {"header": "X-Key", "query": "key", "keep": false},
        "onHandshake": {},
        "allowedOrigins": null,
        "subprotocols": null,
        "limits": {},
        "timeouts": {},
        "liveAccess": {},
        "onChange": "Keep",
        "values": {},
        "blocked": null,
    }))
    .unwrap()
}

fn product(name: &str, apis: &[&str]) -> ProductConfig {
    serde_json::from_value(json!({
        "key": {"namespace": "shop", "name": name},
        "generation": 1,
        "displayName": name,
        "open": false,
        "apis": apis,
        "onHandshake": {},
        "values": {},
        "blocked": null,
    }))
    .unwrap()
}

fn broken() -> OnHandshake {
    let step = json!({"setVariable": {"name": "a", "value": "no such variable"}});
    serde_json::from_value(json!({"inbound": [step]})).unwrap()
}

fn update(edit: impl FnOnce(&mut Update)) -> Arc<Update> {
    let mut update = testing::update(7);
    update.config.settings.key = key("infra", "edge");
    update.config.apis = vec![Arc::new(api("bay", "ferry")), Arc::new(api("shop", "chat"))];
    edit(&mut update);
    Arc::new(update)
}

fn key(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey::new(namespace, name)
}

/// Is the API the very same object in both?
fn kept(one: &Snapshot, two: &Snapshot, api: &ObjectKey) -> bool {
    Arc::ptr_eq(one.apis.get(api).unwrap(), two.apis.get(api).unwrap())
}

#[test]
fn an_api_has_another_version_when_its_traffic_is_affected() {
    let (_runtime, shared_runtime) = shared_runtime();
    let chat = key("shop", "chat");
    let (mut snapshot, _) = Snapshot::compile(&update(|_| {}), None, &shared_runtime);
    type Edit = fn(&mut ApiConfig);
    let steps: [(&str, Edit, u64); 5] = [
        ("its description", |api| api.generation = 2, 0),
        (
            "its name for people",
            |api| {
                api.generation = 3;
                "Chat!".clone_into(&mut api.display_name);
            },
            0,
        ),
        (
            "a timeout of its Gateway",
            |api| api.limits.max_message_bytes = Some(9),
            0,
        ),
        (
            "its path",
            |api| {
                api.generation = 4;
                "/other".clone_into(&mut api.path);
            },
            1,
        ),
        (
            "what a change does",
            |api| {
                api.generation = 5;
                api.on_change = tidegate_config::OnChange::Drain;
            },
            1,
        ),
    ];
    let mut config = api("shop", "chat");
    for (changed, edit, version) in steps {
        edit(&mut config);
        let update = update(|update| update.config.apis[1] = Arc::new(config.clone()));
        snapshot = Snapshot::compile(&update, Some(&snapshot), &shared_runtime).0;
        assert_eq!(snapshot.api_version(&chat), Some(version), "{changed}");
        assert_eq!(
            snapshot.api(&chat).map(|api| api.generation),
            Some(config.generation)
        );
    }
    assert_eq!(snapshot.api_version(&key("shop", "gone")), None);
}

#[test]
fn what_did_not_change_is_taken_over() {
    let (_runtime, shared_runtime) = shared_runtime();
    let (chat, ferry) = (key("shop", "chat"), key("bay", "ferry"));
    let (first, rejected) = Snapshot::compile(&update(|_| {}), None, &shared_runtime);
    assert_eq!(rejected, []);
    type Edit = fn(&mut Update);
    let cases: [(&str, Edit, [bool; 2]); 5] = [
        ("nothing", |_| {}, [true, true]),
        (
            "one API",
            |u| Arc::make_mut(&mut u.config.apis[1]).path = "/other".to_owned(),
            [false, true],
        ),
        (
            "a Secret of one namespace",
            |u| {
                u.secret_data
                    .insert(SecretDataId::secret("shop", "jwt", "key"), vec![1]);
            },
            [false, true],
        ),
        (
            "a Secret that went",
            |u| u.secret_data = SecretData::default(),
            [false, true],
        ),
        (
            "the drain",
            |u| u.config.settings.drain.close_timeout = tidegate_config::Duration::ZERO,
            [false, false],
        ),
    ];
    for (name, edit, expected) in cases {
        let (second, _) = Snapshot::compile(&update(edit), Some(&first), &shared_runtime);
        let found = [kept(&first, &second, &chat), kept(&first, &second, &ferry)];
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_broken_api_keeps_its_last_good_version_and_is_told() {
    let (_runtime, shared_runtime) = shared_runtime();
    let (chat, ferry) = (key("shop", "chat"), key("bay", "ferry"));
    let (good, _) = Snapshot::compile(&update(|_| {}), None, &shared_runtime);
    for edit in [
        (|api: &mut ApiConfig| api.on_handshake = broken()) as fn(&mut ApiConfig),
        |api| api.backend_url = "http://b.test".to_owned(),
        |api| api.backend_tls.client_certificate_ref = Some("nothing".to_owned()),
        |api| api.host_header = Some("a\r\nb".to_owned()),
    ] {
        let bad = update(|update| {
            let api = Arc::make_mut(&mut update.config.apis[1]);
            edit(api);
            api.generation = 2;
        });
        let (after, rejected) = Snapshot::compile(&bad, Some(&good), &shared_runtime);
        assert!(kept(&good, &after, &chat) && kept(&good, &after, &ferry));
        let [
            Rejected {
                kind,
                key,
                generation,
                message,
            },
        ] = &rejected[..]
        else {
            panic!("{rejected:?}");
        };
        assert_eq!(
            (kind.as_str(), key, *generation),
            ("WebSocketApi", &chat, 2),
            "{message}"
        );

        let (alone, rejected) = Snapshot::compile(&bad, None, &shared_runtime);
        assert_eq!(rejected.len(), 1);
        assert!(
            alone.apis.get(&chat).unwrap().blocked.is_some(),
            "it refuses"
        );
        assert!(alone.apis.get(&ferry).unwrap().blocked.is_none());
    }
}

#[test]
fn broken_policies_of_gateway_and_product_fall_back_or_block() {
    let (_runtime, shared_runtime) = shared_runtime();
    let with_product = |on: OnHandshake| {
        update(|update| {
            let mut gold = product("gold", &["chat"]);
            gold.on_handshake = on;
            update.config.products.push(Arc::new(gold));
        })
    };
    let (good, _) = Snapshot::compile(&with_product(OnHandshake::default()), None, &shared_runtime);
    let gold = key("shop", "gold");
    for (previous, blocked) in [(Some(&good), false), (None, true)] {
        let (after, rejected) =
            Snapshot::compile(&with_product(broken()), previous, &shared_runtime);
        assert_eq!(rejected[0].kind, "Product");
        assert_eq!(
            after.find_product(&gold).unwrap().blocked.is_some(),
            blocked
        );
        let gateway = update(|update| update.config.settings.on_handshake = broken());
        let (after, rejected) = Snapshot::compile(&gateway, previous, &shared_runtime);
        assert_eq!((rejected[0].kind.as_str(), rejected.len()), ("Gateway", 1));
        assert_eq!(after.blocked.is_some(), blocked);
    }
}

#[test]
fn what_was_blocked_serves_once_it_is_mended() {
    let (_runtime, shared_runtime) = shared_runtime();
    let bad = update(|update| {
        update.config.settings.on_handshake = broken();
        Arc::make_mut(&mut update.config.apis[1]).on_handshake = broken();
    });
    let (blocked, _) = Snapshot::compile(&bad, None, &shared_runtime);
    let (mended, rejected) = Snapshot::compile(&update(|_| {}), Some(&blocked), &shared_runtime);
    assert_eq!(rejected, []);
    assert!(mended.blocked.is_none());
    assert!(
        mended
            .apis
            .get(&key("shop", "chat"))
            .unwrap()
            .blocked
            .is_none()
    );
}

#[test]
fn what_stays_broken_stays_told() {
    let (_runtime, shared_runtime) = shared_runtime();
    let with_key = |bytes: &[u8]| {
        update(|update| {
            let id = SecretDataId::secret("bay", "anchors", "ca.crt");
            update.secret_data.insert(id, bytes.to_vec());
            let anchors = json!({"caRefs": [{"kind": "Secret", "name": "anchors"}]});
            Arc::make_mut(&mut update.config.apis[0]).backend_tls =
                serde_json::from_value(anchors).unwrap();
            Arc::make_mut(&mut update.config.apis[1]).on_handshake = broken();
            update.config.settings.on_handshake = broken();
        })
    };
    let key = rcgen::KeyPair::generate().unwrap();
    let good = rcgen::CertificateParams::default()
        .self_signed(&key)
        .unwrap()
        .pem();
    let (first, told) = Snapshot::compile(&with_key(good.as_bytes()), None, &shared_runtime);
    assert_eq!(told.len(), 2, "{told:?}");
    // Nothing but a Secret changes, and breaks a third object.
    let (second, told) = Snapshot::compile(&with_key(b"?"), Some(&first), &shared_runtime);
    assert_eq!(told.len(), 3, "{told:?}");
    let (third, told_again) = Snapshot::compile(&with_key(b"?"), Some(&second), &shared_runtime);
    assert_eq!(told, told_again);
    let (_, told) = Snapshot::compile(&with_key(good.as_bytes()), Some(&third), &shared_runtime);
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn listeners_share_a_port_when_they_speak_the_same() {
    let (_runtime, shared_runtime) = shared_runtime();
    let listener = |name: &str, host: &str| ListenerConfig {
        name: name.to_owned(),
        port: 8080,
        protocol: Protocol::Ws,
        hostnames: vec![host.to_owned()],
        tls: None,
        proxy_protocol: false,
        http2: false,
    };
    let update = update(|update| {
        let mut secure = listener("secure", "c.test");
        secure.protocol = Protocol::Wss;
        let more = [listener("a", "a.test"), listener("b", "*.b.test"), secure];
        update.config.settings.listeners.extend(more);
    });
    let (snapshot, rejected) = Snapshot::compile(&update, None, &shared_runtime);
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert!(
        rejected[0].message.starts_with("listener secure: "),
        "{rejected:?}"
    );
    let port = &snapshot.ports[&8080];
    let name = |host| {
        port.listener(host)
            .map(|listener| listener.config.name.as_str())
    };
    for (host, expected) in [("a.test", "a"), ("x.b.test", "b"), ("c.test", "plain")] {
        assert_eq!(name(host), Some(expected), "{host}");
    }
}

#[test]
fn a_product_without_policies_adds_no_pipeline() {
    let (_runtime, shared_runtime) = shared_runtime();
    let compiled = |on: OnHandshake| {
        let update = update(|update| {
            let mut gold = product("gold", &["chat", "not-here"]);
            gold.on_handshake = on;
            update.config.products.push(Arc::new(gold));
        });
        let (snapshot, rejected) = Snapshot::compile(&update, None, &shared_runtime);
        assert_eq!(rejected, []);
        Arc::clone(snapshot.find_product(&key("shop", "gold")).unwrap())
    };
    assert_eq!(compiled(OnHandshake::default()).pipelines.len(), 0);
    let step = json!({"setVariable": {"name": "a", "value": "1"}});
    let on = serde_json::from_value(json!({"inbound": [step]})).unwrap();
    assert_eq!(compiled(on).pipelines.len(), 1);
}

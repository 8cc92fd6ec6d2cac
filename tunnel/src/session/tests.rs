use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use futures::future::poll_fn;
use tidegate_config::policy::OnHandshake;
use tidegate_config::{
    ApiLimits, ApiTimeouts, BackendTls, Drain, GatewayLimits, GatewayTimeouts, KeyNames,
    ListenerConfig, OnChange, PathMatch, Protocol, SubscriptionScope, UrlScheme,
};

use super::grant::Verdict;
use super::*;

/// A configuration as simple as can be: what is not listed is not there.
#[derive(Clone)]
struct World {
    settings: GatewaySettings,
    apis: Vec<ApiConfig>,
    products: Vec<ProductConfig>,
    subscriptions: Vec<SubscriptionConfig>,
    /// Versions of the APIs.
    versions: BTreeMap<ObjectKey, u64>,
}

impl Access for World {
    fn settings(&self) -> &GatewaySettings {
        &self.settings
    }

    fn api(&self, key: &ObjectKey) -> Option<&ApiConfig> {
        self.apis.iter().find(|api| api.key == *key)
    }

    fn api_version(&self, key: &ObjectKey) -> Option<u64> {
        self.versions.get(key).copied()
    }

    fn product(&self, key: &ObjectKey) -> Option<&ProductConfig> {
        self.products.iter().find(|product| product.key == *key)
    }

    fn subscription(&self, key: &ObjectKey) -> Option<&SubscriptionConfig> {
        self.subscriptions.iter().find(|found| found.key == *key)
    }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("shop", name)
}

fn settings() -> GatewaySettings {
    let listener = |name: &str| ListenerConfig {
        name: name.to_owned(),
        port: 80,
        protocol: Protocol::Ws,
        hostnames: Vec::new(),
        tls: None,
        proxy_protocol: false,
        http2: false,
    };
    GatewaySettings {
        key: key("edge"),
        uid: None,
        generation: 1,
        listeners: vec![listener("ws"), listener("inner")],
        on_handshake: OnHandshake::default(),
        values: BTreeMap::new(),
        limits: GatewayLimits::default(),
        timeouts: GatewayTimeouts::default(),
        drain: Drain::default(),
        trusted_proxies: Vec::new(),
        telemetry: tidegate_config::Telemetry::default(),
        allow_metadata_addresses: false,
        counters: None,
    }
}

fn api(name: &str) -> ApiConfig {
    ApiConfig {
        key: key(name),
        generation: 1,
        display_name: name.to_owned(),
        listeners: vec!["ws".to_owned(), "inner".to_owned()],
        hostnames: Vec::new(),
        path: format!("/{name}"),
        path_match: PathMatch::Exact,
        protocols: vec![UrlScheme::Ws],
        backend_url: "ws://backend".to_owned(),
        backend_pool: Vec::new(),
        circuit_breaker: None,
        failover: None,
        health_check: None,
        backend_proxy: None,
        host_header: None,
        backend_tls: BackendTls::default(),
        subscription_required: true,
        subscription_key: KeyNames {
            header: "key".to_owned(),
            query: "key".to_owned(),
            subprotocol: None,
            keep: false,
        },
        on_handshake: OnHandshake::default(),
        allowed_origins: None,
        subprotocols: None,
        limits: ApiLimits::default(),
        timeouts: ApiTimeouts::default(),
        live_access: LiveAccess::default(),
        on_change: OnChange::Keep,
        values: BTreeMap::new(),
        blocked: None,
    }
}

fn product(name: &str, apis: &[&str]) -> ProductConfig {
    ProductConfig {
        key: key(name),
        generation: 1,
        display_name: name.to_owned(),
        open: false,
        apis: apis.iter().map(|&name| name.to_owned()).collect(),
        on_handshake: OnHandshake::default(),
        values: BTreeMap::new(),
        blocked: None,
    }
}

fn subscription(name: &str, scope: SubscriptionScope) -> SubscriptionConfig {
    SubscriptionConfig {
        key: key(name),
        generation: 1,
        display_name: name.to_owned(),
        owner: None,
        scope,
        key_hashes: vec![format!("{name}-1"), format!("{name}-2")],
        expires_at: None,
        allow_tracing: false,
    }
}

/// APIs `commands` and `stock`, product `all` with both, and a subscription of each scope.
fn world() -> World {
    World {
        settings: settings(),
        apis: vec![api("commands"), api("stock")],
        products: vec![product("all", &["commands", "stock"])],
        subscriptions: vec![
            subscription("ann", SubscriptionScope::Product("all".to_owned())),
            subscription("bob", SubscriptionScope::Api("commands".to_owned())),
            subscription("eve", SubscriptionScope::Gateway),
        ],
        versions: BTreeMap::from([(key("commands"), 1), (key("stock"), 1)]),
    }
}

/// A tunnel to `commands` without a key.
fn keyless() -> SessionInfo {
    SessionInfo {
        id: "1".to_owned(),
        client: std::net::IpAddr::from([192, 0, 2, 7]),
        api: key("commands"),
        api_version: 1,
        listener: "ws".to_owned(),
        product: None,
        subscription: None,
        key_hash: None,
        subscription_expires_at: None,
        token_expires_at: None,
        live_access: LiveAccess::default(),
    }
}

/// A tunnel to `commands` with the first key of a subscription.
fn with_key_of(name: &str) -> SessionInfo {
    SessionInfo {
        product: (name == "ann").then(|| key("all")),
        subscription: Some(key(name)),
        key_hash: Some(format!("{name}-1")),
        ..keyless()
    }
}

type Change = fn(&mut World);

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_grant_is_judged_by_the_configuration() {
    use CloseCause as C;
    let cases: &[(&str, SessionInfo, Change, Option<C>)] = &[
        ("nothing changed, no key", keyless(), |_| (), None),
        ("nothing changed, product", with_key_of("ann"), |_| (), None),
        ("nothing changed, API", with_key_of("bob"), |_| (), None),
        ("nothing changed, gateway", with_key_of("eve"), |_| (), None),
        (
            "the API is gone",
            with_key_of("eve"),
            |w| drop(w.apis.remove(0)),
            Some(C::ApiRemoved),
        ),
        (
            "the API left the listener",
            keyless(),
            |w| w.apis[0].listeners = vec!["inner".to_owned()],
            Some(C::ApiRemoved),
        ),
        (
            "the listener is gone",
            keyless(),
            |w| drop(w.settings.listeners.remove(0)),
            Some(C::ApiRemoved),
        ),
        (
            "another listener is gone",
            keyless(),
            |w| drop(w.settings.listeners.remove(1)),
            None,
        ),
        (
            "another API is gone",
            with_key_of("ann"),
            |w| drop(w.apis.remove(1)),
            None,
        ),
        (
            "the API changed",
            with_key_of("ann"),
            |w| w.apis[0].generation = 2,
            None,
        ),
        (
            "the API is blocked for new tunnels",
            with_key_of("ann"),
            |w| w.apis[0].blocked = Some("bad key".to_owned()),
            None,
        ),
        (
            "the product is gone",
            with_key_of("ann"),
            |w| w.products.clear(),
            Some(C::ProductEnded),
        ),
        (
            "the API left the product",
            with_key_of("ann"),
            |w| w.products[0].apis = vec!["stock".to_owned()],
            Some(C::ProductEnded),
        ),
        (
            "a product that was not used is gone",
            with_key_of("bob"),
            |w| w.products.clear(),
            None,
        ),
        (
            "the subscription is gone",
            with_key_of("bob"),
            |w| w.subscriptions.retain(|found| found.key.name != "bob"),
            Some(C::SubscriptionEnded),
        ),
        (
            "another subscription is gone",
            with_key_of("bob"),
            |w| w.subscriptions.retain(|found| found.key.name != "eve"),
            None,
        ),
        (
            "the key was rotated away",
            with_key_of("eve"),
            |w| w.subscriptions[2].key_hashes[0] = "new".to_owned(),
            Some(C::KeyRotated),
        ),
        (
            "the other key was rotated",
            with_key_of("eve"),
            |w| w.subscriptions[2].key_hashes[1] = "new".to_owned(),
            None,
        ),
        (
            "the scope is another API",
            with_key_of("bob"),
            |w| w.subscriptions[1].scope = SubscriptionScope::Api("stock".to_owned()),
            Some(C::SubscriptionEnded),
        ),
        (
            "the scope became the gateway",
            with_key_of("bob"),
            |w| w.subscriptions[1].scope = SubscriptionScope::Gateway,
            None,
        ),
        (
            "the scope is another product",
            with_key_of("ann"),
            |w| w.subscriptions[0].scope = SubscriptionScope::Product("few".to_owned()),
            Some(C::SubscriptionEnded),
        ),
        (
            "the scope names its namespace",
            with_key_of("ann"),
            |w| {
                let product = w.products[0].key.to_string();
                w.subscriptions[0].scope = SubscriptionScope::Product(product);
            },
            None,
        ),
        (
            "the scope is that of another namespace",
            with_key_of("bob"),
            |w| w.subscriptions[1].scope = SubscriptionScope::Api("other/commands".to_owned()),
            Some(C::SubscriptionEnded),
        ),
    ];
    for (name, info, change, expected) in cases {
        let mut world = world();
        change(&mut world);
        let cause = match AccessGrant::from(info).judge(&world) {
            Verdict::Holds { .. } => None,
            Verdict::Ended(cause) => Some(cause),
        };
        assert_eq!(cause, *expected, "{name}");
    }
}

#[test]
fn names_of_another_namespace_are_other_objects() {
    let mut world = world();
    world.subscriptions[1].key = ObjectKey::new("other", "bob");
    let mut info = with_key_of("bob");
    info.subscription = Some(ObjectKey::new("other", "bob"));
    let verdict = AccessGrant::from(&info).judge(&world);
    assert_eq!(verdict, Verdict::Ended(CloseCause::SubscriptionEnded));
}

fn command(session: &Session) -> Option<Command> {
    session.control.poll_command().flatten()
}

#[tokio::test(start_paused = true)]
async fn only_the_tunnels_whose_access_ended_are_told() {
    let sessions = Sessions::new();
    let (ann, bob) = (with_key_of("ann"), with_key_of("bob"));
    let (ann, bob) = (sessions.register(&ann), sessions.register(&bob));
    let mut new = world();
    new.subscriptions.retain(|found| found.key.name != "ann");
    sessions.reconcile(Arc::new(new));
    let expected = Command {
        due: Instant::now(),
        cause: CloseCause::SubscriptionEnded,
        code: Some(1008),
    };
    assert_eq!(command(&ann), Some(expected));
    assert_eq!(command(&bob), None);
}

#[tokio::test(start_paused = true)]
async fn a_command_wakes_the_tunnel() {
    let sessions = Sessions::new();
    let session = sessions.register(&with_key_of("ann"));
    let told = poll_fn(|cx| {
        session.watch(cx.waker());
        session
            .poll_command()
            .map_or(std::task::Poll::Pending, std::task::Poll::Ready)
    });
    let end = async {
        tokio::task::yield_now().await;
        sessions.reconcile(Arc::new(World {
            apis: Vec::new(),
            ..world()
        }));
    };
    let told = async { tokio::join!(told, end).0 };
    let told = tokio::time::timeout(Duration::from_secs(1), told).await;
    let command = told
        .expect("nobody was woken")
        .expect("there is no command");
    assert_eq!(
        (command.cause, command.code),
        (CloseCause::ApiRemoved, None)
    );
}

#[tokio::test(start_paused = true)]
async fn ended_access_does_not_matter_where_it_is_not_enforced() {
    let sessions = Sessions::new();
    let mut info = with_key_of("ann");
    info.live_access.enforce = false;
    let session = sessions.register(&info);
    let mut new = world();
    new.products.clear();
    sessions.reconcile(Arc::new(new.clone()));
    assert_eq!(command(&session), None);
    new.apis.clear();
    sessions.reconcile(Arc::new(new));
    assert_eq!(
        command(&session).map(|command| command.cause),
        Some(CloseCause::ApiRemoved),
        "an API that is gone cannot be served"
    );
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_whose_handshake_was_overtaken_by_a_configuration_is_told() {
    let sessions = Sessions::new();
    let mut new = world();
    new.subscriptions.clear();
    sessions.reconcile(Arc::new(new));
    let session = sessions.register(&with_key_of("ann"));
    assert_eq!(
        command(&session).map(|command| command.cause),
        Some(CloseCause::SubscriptionEnded)
    );
}

#[tokio::test(start_paused = true)]
async fn tunnels_of_a_changed_api_go_over_the_window_when_it_says_so() {
    let sessions = Sessions::new();
    let old: Vec<_> = (0..10).map(|_| sessions.register(&keyless())).collect();
    let mut other = keyless();
    other.api = key("stock");
    let other = sessions.register(&other);
    let mut new = world();
    new.versions.insert(new.apis[0].key.clone(), 2);
    new.apis[0].on_change = OnChange::Drain;
    sessions.reconcile(Arc::new(new.clone()));
    let start = Instant::now();
    let mut due: Vec<_> = old
        .iter()
        .map(|session| command(session).expect("not told"))
        .inspect(|command| assert_eq!(command.cause, CloseCause::ApiChanged))
        .map(|command| (command.due - start).as_secs())
        .collect();
    due.sort_unstable();
    assert_eq!(due, [0, 3, 6, 9, 12, 15, 18, 21, 24, 27]);
    assert_eq!(sessions.ended_by_changes(), 10);
    assert_eq!(command(&other), None);
    // Those of the new generation stay, and nobody's time is put off by a further change.
    let mut young = keyless();
    young.api_version = 2;
    let young = sessions.register(&young);
    tokio::time::advance(Duration::from_secs(10)).await;
    sessions.reconcile(Arc::new(new));
    assert_eq!(command(&young), None);
    for session in &old {
        let command = session.control.poll_command().flatten();
        let later = command.is_some_and(|command| command.due - start > Duration::from_secs(27));
        assert!(!later, "put off: {command:?}");
    }
    assert_eq!(sessions.ended_by_changes(), 10, "each is counted once");
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_that_comes_during_a_drain_goes_within_the_window() {
    let sessions = Sessions::new();
    let start = Instant::now();
    let code = CloseCode::try_from(1012).unwrap();
    sessions.drain(Duration::from_secs(30), code);
    for _ in 0..10 {
        let session = sessions.register(&keyless());
        let command = command(&session).expect("not told");
        assert_eq!(
            (command.cause, command.code),
            (CloseCause::Drain, Some(1012))
        );
        assert!(command.due - start <= Duration::from_secs(30));
    }
    tokio::time::advance(Duration::from_secs(100)).await;
    let late = command(&sessions.register(&keyless())).expect("not told");
    assert_eq!(late.due, Instant::now());
}

#[tokio::test(start_paused = true)]
async fn the_earlier_command_stays_and_a_cut_beats_all() {
    let sessions = Sessions::new();
    let session = sessions.register(&with_key_of("ann"));
    sessions.cut();
    sessions.drain(Duration::ZERO, CloseCode::GOING_AWAY);
    assert_eq!(
        command(&session).map(|command| command.cause),
        Some(CloseCause::Cut)
    );

    let sessions = Sessions::new();
    let first = sessions.register(&with_key_of("ann"));
    let second = sessions.register(&with_key_of("ann"));
    sessions.drain(Duration::from_secs(30), CloseCode::GOING_AWAY);
    let mut new = world();
    new.products.clear();
    tokio::time::advance(Duration::from_secs(1)).await;
    sessions.reconcile(Arc::new(new));
    let mut causes = [&first, &second].map(|session| command(session).unwrap().cause);
    causes.sort_by_key(|&cause| cause.as_str());
    // One was due already, the other would have been due in 15 seconds.
    assert_eq!(causes, [CloseCause::Drain, CloseCause::ProductEnded]);
}

#[tokio::test(start_paused = true)]
async fn a_new_expiry_of_the_subscription_reaches_its_tunnels() {
    let sessions = Sessions::new();
    let mut info = with_key_of("eve");
    info.token_expires_at = Some(i64::MAX);
    let session = sessions.register(&info);
    let now = Instant::now();
    let cause = |session: &Session| session.expiry(now).map(|(_, cause)| cause);
    assert_eq!(cause(&session), Some(CloseCause::TokenExpired));
    let mut new = world();
    new.subscriptions[2].expires_at = Some(1);
    sessions.reconcile(Arc::new(new));
    assert_eq!(
        session.poll_command(),
        Some(None),
        "a wake-up without a command"
    );
    assert_eq!(
        session.expiry(now),
        Some((now, CloseCause::SubscriptionExpired))
    );
    sessions.reconcile(Arc::new(world()));
    assert_eq!(session.poll_command(), Some(None));
    assert_eq!(cause(&session), Some(CloseCause::TokenExpired));
    sessions.reconcile(Arc::new(world()));
    assert_eq!(session.poll_command(), None, "nothing is new");
}

#[tokio::test(start_paused = true)]
async fn tunnels_look_at_a_clock_that_was_set_from_the_first_moment_on() {
    let sessions = Sessions::new();
    let session = sessions.register(&keyless());
    sessions.watch_clock();
    assert_eq!(session.poll_command(), None, "clocks ran evenly");
    for (name, seconds) in [
        ("forward, before anything else happened", 7200),
        ("back again", 0),
        ("back", -7200),
        ("forward again", 0),
        ("by little", 3),
    ] {
        sessions.set_clock(seconds);
        assert_eq!(session.poll_command(), Some(None), "{name}");
        sessions.set_clock(seconds);
        assert_eq!(session.poll_command(), None, "{name}: nothing is new");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_drifts_away_is_noticed_some_day() {
    let sessions = Sessions::new();
    let session = sessions.register(&keyless());
    // The monotonic clock goes on alone: to the gateway, the wall clock is slow.
    for _ in 0..2 {
        tokio::time::advance(Duration::from_millis(400)).await;
        sessions.watch_clock();
        assert_eq!(session.poll_command(), None);
    }
    tokio::time::advance(Duration::from_millis(400)).await;
    sessions.watch_clock();
    assert_eq!(session.poll_command(), Some(None));
}

#[tokio::test(start_paused = true)]
async fn expiries_follow_the_clock_in_both_directions() {
    let sessions = Sessions::new();
    let now = Instant::now();
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let at = i64::try_from(seconds.unwrap().as_secs()).unwrap();
    for (expires, is_over) in [(at + 3600, false), (at - 1, true)] {
        let mut info = keyless();
        info.token_expires_at = Some(expires);
        let session = sessions.register(&info);
        let (due, cause) = session.expiry(now).unwrap();
        assert_eq!((due == now, cause), (is_over, CloseCause::TokenExpired));
    }
}

#[test]
fn a_session_leaves_nothing_behind() {
    let sessions = Sessions::new();
    let first = sessions.register(&with_key_of("ann"));
    let second = sessions.register(&with_key_of("ann"));
    assert!(
        Arc::ptr_eq(&first.grant, &second.grant),
        "one grant, one group"
    );
    assert_eq!(sessions.len(), 2);
    drop(first);
    assert_eq!(sessions.len(), 1);
    drop(second);
    assert!(sessions.is_empty());
    assert_eq!(sessions.groups(), 0);
}

#[test]
fn a_limit_gives_out_its_places_and_takes_them_back() {
    let sessions = Sessions::new();
    let ip = LimitKey::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let api = LimitKey::Api(key("commands"));
    let ann = LimitKey::Subscription {
        api: key("commands"),
        subscription: key("ann"),
    };
    for limit in [ip, api, ann, LimitKey::Total] {
        let first = sessions.reserve(limit.clone(), Some(2)).unwrap();
        let _second = sessions.reserve(limit.clone(), Some(2)).unwrap();
        let third = sessions.reserve(limit.clone(), Some(2)).err();
        assert_eq!(third, Some(LimitReached { max: 2 }), "{limit:?}");
        assert_eq!(sessions.count(&limit), 2);
        drop(first);
        assert!(
            sessions.reserve(limit.clone(), Some(2)).is_ok(),
            "{limit:?}"
        );
        assert_eq!(sessions.count(&limit), 1);
    }
    assert_eq!(sessions.count(&LimitKey::Total), 0);
}

#[test]
fn what_is_not_limited_counts_for_when_it_will_be() {
    let sessions = Sessions::new();
    let _first = sessions.reserve(LimitKey::Total, None).unwrap();
    let _second = sessions.reserve(LimitKey::Total, Some(0)).unwrap();
    assert!(sessions.reserve(LimitKey::Total, Some(2)).is_err());
}

#[test]
fn a_limit_is_exact_when_many_threads_ask() {
    let sessions = Sessions::new();
    let granted: usize = std::thread::scope(|scope| {
        let asking = || {
            let ask = |_| sessions.reserve(LimitKey::Total, Some(500)).ok();
            let mine: Vec<_> = (0..200).filter_map(ask).collect();
            mine.into_iter().map(std::mem::forget).count()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(asking)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(granted, 500);
}

/// How long the judgement of very many takes is a number, not a test; that it ends, and that
/// handshakes go on meanwhile, is one.
#[tokio::test(start_paused = true)]
async fn fifty_thousand_tunnels_are_judged_at_once() {
    let sessions = Sessions::new();
    let infos: Vec<_> = (0..5000)
        .map(|at| SessionInfo {
            key_hash: Some(format!("eve-{}", at % 3)),
            listener: if at % 2 == 0 { "ws" } else { "inner" }.to_owned(),
            ..with_key_of("eve")
        })
        .collect();
    let live: Vec<_> = (0..50_000)
        .map(|at| sessions.register(&infos[at % 5000]))
        .collect();
    assert_eq!(sessions.groups(), 6);
    sessions.reconcile(Arc::new(world()));
    let told = live
        .iter()
        .filter(|session| command(session).is_some())
        .count();
    // Those with key hash eve-0 are not in the configuration.
    assert_eq!(told, (0..50_000).filter(|at| at % 5000 % 3 == 0).count());
    drop(live);
    assert!(sessions.is_empty());
}

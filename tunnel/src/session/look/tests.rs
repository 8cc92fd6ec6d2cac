use std::sync::Arc;

use tidegate_config::LiveAccess;

use super::*;
use crate::session::{Session, SessionInfo};

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("shop", name)
}

/// A tunnel `id` of ann's to `chat`, from 192.0.2.7.
fn info(id: &str) -> SessionInfo {
    SessionInfo {
        id: id.to_owned(),
        client: IpAddr::from([192, 0, 2, 7]),
        api: key("chat"),
        api_version: 1,
        listener: "plain".to_owned(),
        product: Some(key("gold")),
        subscription: Some(key("ann")),
        key_hash: None,
        subscription_expires_at: None,
        token_expires_at: None,
        live_access: LiveAccess::default(),
    }
}

/// Five tunnels: 0 and 1 are ann's, each of the others differs in one thing.
fn five() -> (Arc<Sessions>, Vec<Session>) {
    let sessions = Sessions::new();
    let other_api = SessionInfo {
        api: key("stock"),
        product: None,
        ..info("2")
    };
    let other_client = SessionInfo {
        client: IpAddr::from([192, 0, 2, 8]),
        ..info("3")
    };
    let without_key = SessionInfo {
        subscription: None,
        product: None,
        listener: "inner".to_owned(),
        ..info("4")
    };
    let all = [info("0"), info("1"), other_api, other_client, without_key];
    let entered = all.iter().map(|info| sessions.register(info)).collect();
    (sessions, entered)
}

fn ids(page: &Page) -> Vec<&str> {
    page.tunnels
        .iter()
        .map(|tunnel| tunnel.id.as_str())
        .collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_filter_chooses_tunnels_that_have_everything_it_names() {
    let (sessions, _entered) = five();
    let any = TunnelFilter::default;
    for (name, filter, expected) in [
        ("all", any(), &["0", "1", "2", "3", "4"][..]),
        (
            "one",
            TunnelFilter {
                id: Some("1".to_owned()),
                ..any()
            },
            &["1"],
        ),
        (
            "an API",
            TunnelFilter {
                api: Some(key("stock")),
                ..any()
            },
            &["2"],
        ),
        (
            "a product",
            TunnelFilter {
                product: Some(key("gold")),
                ..any()
            },
            &["0", "1", "3"],
        ),
        (
            "a subscription",
            TunnelFilter {
                subscription: Some(key("ann")),
                ..any()
            },
            &["0", "1", "2", "3"],
        ),
        (
            "a listener",
            TunnelFilter {
                listener: Some("inner".to_owned()),
                ..any()
            },
            &["4"],
        ),
        (
            "a client",
            TunnelFilter {
                client: Some(IpAddr::from([192, 0, 2, 8])),
                ..any()
            },
            &["3"],
        ),
        (
            "two things",
            TunnelFilter {
                subscription: Some(key("ann")),
                api: Some(key("stock")),
                ..any()
            },
            &["2"],
        ),
        (
            "nobody",
            TunnelFilter {
                api: Some(key("news")),
                ..any()
            },
            &[],
        ),
    ] {
        let page = sessions.page(&filter, 0, 10);
        assert_eq!(ids(&page), expected, "{name}");
        assert_eq!((page.matched, page.next), (expected.len(), None), "{name}");
    }
}

#[test]
fn pages_follow_each_other_although_tunnels_end() {
    let (sessions, mut entered) = five();
    let any = TunnelFilter::default();
    let first = sessions.page(&any, 0, 2);
    assert_eq!(ids(&first), ["0", "1"]);
    assert_eq!(first.matched, 5);
    drop(entered.remove(1));
    drop(entered.remove(1));
    let second = sessions.page(&any, first.next.unwrap(), 2);
    assert_eq!(ids(&second), ["3", "4"]);
    assert_eq!((second.matched, second.next), (3, None));
    assert_eq!(ids(&sessions.page(&any, 0, 0)), [""; 0]);
}

#[test]
fn a_tunnel_is_shown_with_what_went_through_it() {
    let (sessions, entered) = five();
    entered[0].passed(0, 3, 100);
    entered[0].passed(1, 4, 200);
    let one = TunnelFilter {
        id: Some("0".to_owned()),
        ..TunnelFilter::default()
    };
    let page = sessions.page(&one, 0, 10);
    let tunnel = &page.tunnels[0];
    let passed = |messages, bytes| Passed { messages, bytes };
    assert_eq!(tunnel.from_client, passed(3, 100));
    assert_eq!(tunnel.from_backend, passed(4, 200));
    assert_eq!(tunnel.client.to_string(), "192.0.2.7");
    assert!(tunnel.opened > 1_700_000_000, "{tunnel:?}");
}

#[tokio::test(start_paused = true)]
async fn only_the_tunnels_of_the_filter_are_closed() {
    let (sessions, entered) = five();
    let ann = TunnelFilter {
        product: Some(key("gold")),
        ..TunnelFilter::default()
    };
    let code = CloseCode::try_from(4000).unwrap();
    assert_eq!(sessions.close(&ann, code, Some("maintenance")), 3);
    for (at, session) in entered.iter().enumerate() {
        let command = session.poll_command().flatten();
        let told = command.map(|command| (command.cause, command.code));
        let expected = [0, 1, 3].contains(&at);
        assert_eq!(
            told,
            expected.then_some((CloseCause::AdminClosed, Some(4000))),
            "{at}"
        );
        let reason = expected.then(|| "maintenance".to_owned());
        assert_eq!(session.close_reason(), reason, "{at}");
    }
}

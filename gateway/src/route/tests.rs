use super::*;

fn router(routes: &[(&[&str], &str, PathMatch, &'static str)]) -> Router<&'static str> {
    let mut router = Router::default();
    for (hosts, path, matching, target) in routes {
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        router.add(&hosts, path, *matching, target);
    }
    router
}

fn found(router: &Router<&'static str>, host: &str, path: &str) -> Option<&'static str> {
    router.find(host, path).map(|found| *found.target)
}

#[test]
fn exact_beats_template_beats_the_longest_prefix() {
    use PathMatch::{Exact, Prefix, Template};
    let router = router(&[
        (&[], "/", Prefix, "root"),
        (&[], "/rooms", Prefix, "rooms"),
        (&[], "/rooms/deep/", Prefix, "deep"),
        (&[], "/rooms/{room}", Template, "room"),
        (&[], "/rooms/{room}/log", Template, "log"),
        (&[], "/rooms/main/{what}", Template, "main"),
        (&[], "/rooms/main", Exact, "exact"),
    ]);
    for (path, expected) in [
        ("/", "root"),
        ("/x", "root"),
        ("/rooms", "rooms"),
        ("/roomservice", "root"),
        ("/rooms/", "rooms"),
        ("/rooms/main", "exact"),
        ("/rooms/other", "room"),
        ("/rooms/other/log", "log"),
        ("/rooms/main/log", "main"),
        ("/rooms/other/x", "rooms"),
        ("/rooms/deep/x/y", "deep"),
    ] {
        assert_eq!(found(&router, "h", path), Some(expected), "{path}");
    }
}

#[test]
fn an_exact_path_is_compared_byte_for_byte() {
    let router = router(&[
        (&[], "/a%2Fb", PathMatch::Exact, "encoded"),
        (&[], "/chat", PathMatch::Exact, "chat"),
    ]);
    assert_eq!(found(&router, "h", "/a%2Fb"), Some("encoded"));
    for path in [
        "/a%2fb", "/a/b", "/Chat", "/chat/", "/chat/x", "/ch%61t", "//chat", "/",
    ] {
        assert_eq!(found(&router, "h", path), None, "{path}");
    }
}

#[test]
fn dot_segments_match_nothing_however_they_are_hidden() {
    let router = router(&[(&[], "/", PathMatch::Prefix, "all")]);
    for path in [
        "/a/../b",
        "/..",
        "/.",
        "/a/.",
        "/%2e%2e/b",
        "/a/.%2E/b",
        "/a%2f..%2fb",
        "/a/..%5cb",
        "/a/..;x/b",
        "/a\\..\\b",
        "/a/..%3bx/b",
    ] {
        assert_eq!(found(&router, "h", path), None, "{path}");
    }
    for path in [
        "/a.b",
        "/...",
        "/a/..b",
        "/%41",
        "/.well-known",
        "/a;b",
        "/100%",
    ] {
        assert_eq!(found(&router, "h", path), Some("all"), "{path}");
    }
}

#[test]
fn the_most_specific_host_that_has_the_path_answers() {
    use PathMatch::Exact;
    let router = router(&[
        (&[], "/a", Exact, "any"),
        (&[], "/everywhere", Exact, "everywhere"),
        (&["*.example.com"], "/a", Exact, "wildcard"),
        (&["*.deep.example.com"], "/a", Exact, "longer wildcard"),
        (&["Chat.example.com"], "/a", Exact, "exact"),
        (&["one.test", "two.test"], "/b", Exact, "two hosts"),
    ]);
    for (host, path, expected) in [
        ("chat.example.com", "/a", Some("exact")),
        ("x.example.com", "/a", Some("wildcard")),
        ("x.y.example.com", "/a", Some("wildcard")),
        ("x.deep.example.com", "/a", Some("longer wildcard")),
        ("deep.example.com", "/a", Some("wildcard")),
        ("example.com", "/a", Some("any")),
        (".example.com", "/a", Some("any")),
        ("notexample.com", "/a", Some("any")),
        ("chat.example.com", "/everywhere", Some("everywhere")),
        ("one.test", "/b", Some("two hosts")),
        ("two.test", "/b", Some("two hosts")),
        ("three.test", "/b", None),
    ] {
        assert_eq!(found(&router, host, path), expected, "{host}{path}");
    }
}

#[test]
fn named_segments_are_decoded_and_prefixes_leave_a_remainder() {
    let router = router(&[
        (&[], "/r/{room}/u/{user}", PathMatch::Template, "t"),
        (&[], "/p", PathMatch::Prefix, "p"),
    ]);
    let found = router.find("h", "/r/a%2Fb/u/%C3%A4%ff").unwrap();
    let pairs: Vec<_> = found
        .params
        .iter()
        .map(|(name, value)| (&name[..], &value[..]))
        .collect();
    assert_eq!(pairs, [("room", "a/b"), ("user", "%C3%A4%ff")]);
    assert!(router.find("h", "/r//u/x").is_none());
    for (path, remainder) in [("/p", ""), ("/p/", "/"), ("/p/x%2F/y", "/x%2F/y")] {
        assert_eq!(router.find("h", path).unwrap().remainder, remainder);
    }
}

#[test]
fn the_first_of_two_equal_routes_stays() {
    use PathMatch::{Exact, Prefix, Template};
    for (path, matching) in [("/a", Exact), ("/a/{b}", Template), ("/a", Prefix)] {
        let router = router(&[
            (&[], path, matching, "older"),
            (&[], path, matching, "younger"),
        ]);
        assert_eq!(
            found(&router, "h", &path.replace("{b}", "x")),
            Some("older")
        );
    }
}

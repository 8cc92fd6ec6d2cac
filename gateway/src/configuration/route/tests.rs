use super::near::Difference;
use super::*;

impl Target for &'static str {
    fn is_same(&self, other: &Self) -> bool {
        self == other
    }
}

fn router(routes: &[(&[&str], &str, PathMatch, &'static str)]) -> Router<&'static str> {
    let mut router = Router::default();
    for (hosts, path, matching, target) in routes {
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        router.add(&hosts, path, *matching, target);
    }
    router
}

fn found(router: &Router<&'static str>, host: &str, path: &str) -> Option<&'static str> {
    router.find(host, path).ok().map(|found| *found.target)
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
fn equal_spellings_are_one_path() {
    let router = router(&[
        (&[], "/a%2fb", PathMatch::Exact, "encoded"),
        (&[], "/ch%61t", PathMatch::Exact, "chat"),
        (&[], "/r%6Fom/{id}", PathMatch::Template, "room"),
        (&[], "/api", PathMatch::Prefix, "open"),
        (&[], "/api/admin", PathMatch::Prefix, "guarded"),
    ]);
    for (path, target) in [
        ("/a%2Fb", "encoded"),
        ("/a%2fb", "encoded"),
        ("/chat", "chat"),
        ("/ch%61t", "chat"),
        ("/%63%68%61%74", "chat"),
        ("/room/x", "room"),
        ("/roo%6D/x", "room"),
        ("/api/admin/x", "guarded"),
        ("/api/%61dmin/x", "guarded"),
        ("/api/%61d%6din", "guarded"),
        ("/api/%%36%31dmin/x", "guarded"),
        ("/%61pi/x", "open"),
    ] {
        assert_eq!(found(&router, "h", path), Some(target), "{path}");
    }
    for path in ["/a/b", "/Chat", "/chat/", "/chat/x", "//chat", "/"] {
        assert_eq!(found(&router, "h", path), None, "{path}");
    }
    let found = router.find("h", "/%61pi/%7ex/%2f").unwrap();
    assert_eq!(found.remainder, "/~x/%2F");
    assert_eq!(found.respelled.as_deref(), Some("/api/~x/%2F"));
    assert_eq!(router.find("h", "/api/x").unwrap().respelled, None);
}

#[test]
fn what_a_lenient_reader_gives_to_another_api_is_nobodys() {
    use PathMatch::{Exact, Prefix, Template};
    let router = router(&[
        (&[], "/api", Prefix, "open"),
        (&["exact.test"], "/api/admin", Prefix, "guarded"),
        (&[], "/api/admin", Prefix, "guarded"),
        (&[], "/rooms/{id}", Template, "room"),
        (&[], "/rooms/{id}/log", Template, "log"),
        (&[], "/files/a%2Fb", Exact, "file"),
        (&[], "/files/a", Prefix, "files"),
    ]);
    for (path, other) in [
        ("/api//admin/x", "guarded"),
        ("/api/admin%2fx", "guarded"),
        ("/api%2fadmin/x", ""),
        ("/api/admin%252fx", "guarded"),
        ("/api/%2561dmin/x", "guarded"),
        ("/api/admin;a=b/x", "guarded"),
        ("/api/admin%3Ba/x", "guarded"),
        ("/api/admin\\x", "guarded"),
        ("/api/admin%5cx", "guarded"),
        ("/api/;/admin", "guarded"),
        ("/api/admin%00/x", "guarded"),
        ("/api/admin%20/x", "guarded"),
        ("/rooms/secret%2Flog", "log"),
    ] {
        let expected = match other {
            "" => NotFound::NoRoute,
            _ => NotFound::Ambiguous(&other),
        };
        for host in ["h", "exact.test"] {
            assert_eq!(
                router.find(host, path).unwrap_err(),
                expected,
                "{host}{path}"
            );
        }
    }
}

#[test]
fn a_slash_at_the_end_leads_around_no_api() {
    use PathMatch::{Exact, Prefix, Template};
    let router = router(&[
        (&[], "/api", Prefix, "open"),
        (&[], "/api/admin", Exact, "guarded"),
        (&[], "/api/{tenant}/secret", Template, "secret"),
    ]);
    for (path, other) in [
        ("/api/admin/", "guarded"),
        ("/api/admin//", "guarded"),
        ("/api/admin%2F", "guarded"),
        ("/api/admin;a=b/", "guarded"),
        ("/api/t/secret/", "secret"),
        ("/api/t/secret%2f", "secret"),
    ] {
        let expected = NotFound::Ambiguous(&other);
        assert_eq!(router.find("h", path).unwrap_err(), expected, "{path}");
    }
    for path in ["/api/", "/api/x/", "/api/admin/x", "/api/administrators/"] {
        assert_eq!(found(&router, "h", path), Some("open"), "{path}");
    }
}

#[test]
fn where_nobody_else_would_get_it_a_path_passes_as_it_is() {
    use PathMatch::{Exact, Prefix, Template};
    let router = router(&[
        (&[], "/api", Prefix, "open"),
        (&[], "/api/admin", Prefix, "guarded"),
        (&[], "/rooms/{id}", Template, "room"),
        (&[], "/rooms/{id}/log", Template, "log"),
        (&[], "/files/a%2Fb", Exact, "file"),
        (&[], "/files/a", Prefix, "files"),
    ]);
    for (path, target) in [
        ("/api//x", "open"),
        ("/api/a%2Fb", "open"),
        ("/api/x;v=1", "open"),
        ("/rooms/a%2Fb", "room"),
        ("/rooms/a;b", "room"),
        ("/files/a%2fb", "file"),
    ] {
        assert_eq!(found(&router, "h", path), Some(target), "{path}");
    }
}

#[test]
fn a_route_that_differs_by_a_slash_or_by_case_is_known() {
    use Difference::{Case, Slash, SlashAndCase};
    use PathMatch::{Exact, Prefix, Template};
    let router = router(&[
        (&[], "/chat", Exact, "chat"),
        (&[], "/Docs/", Exact, "docs"),
        (&[], "/rooms/{Room}/log", Template, "log"),
        (&[], "/Api", Prefix, "api"),
        (&["only.test"], "/only", Exact, "only"),
    ]);
    for (path, expected) in [
        ("/chat/", Some(("chat", Slash))),
        ("//chat", Some(("chat", Slash))),
        ("/chat//", Some(("chat", Slash))),
        ("/Docs", Some(("docs", Slash))),
        ("/rooms/Blue/log/", Some(("log", Slash))),
        ("/rooms//Blue/log", Some(("log", Slash))),
        ("//Api/x", Some(("api", Slash))),
        ("/Chat", Some(("chat", Case))),
        ("/CH%41T", Some(("chat", Case))),
        ("/docs/", Some(("docs", Case))),
        ("/Rooms/Blue/LOG", Some(("log", Case))),
        ("/api/x", Some(("api", Case))),
        ("/CHAT/", Some(("chat", SlashAndCase))),
        ("/docs", Some(("docs", SlashAndCase))),
        ("/only/", None),
        ("/chats", None),
        ("/", None),
    ] {
        assert_eq!(router.find("h", path), Err(NotFound::NoRoute), "{path}");
        let near = router.near("h", path);
        let near = near.map(|near| (*near.target, near.difference));
        assert_eq!(near, expected, "{path}");
    }
    assert!(router.near("only.test", "/only/").is_some());
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
    assert_eq!(pairs, [("room", "a/b"), ("user", "%C3%A4%FF")]);
    assert!(router.find("h", "/r//u/x").is_err());
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

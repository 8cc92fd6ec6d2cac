use super::*;

#[test]
fn equal_paths_have_one_spelling() {
    for (path, expected) in [
        ("/", "/"),
        ("/api/%61dmin", "/api/admin"),
        ("/%41%7a%30%2D%2e%5F%7E", "/Az0-._~"),
        ("/a%2fb%5c%3b", "/a%2Fb%5C%3B"),
        ("/%2561", "/%2561"),
        ("/100%", "/100%"),
        ("/%zz%6", "/%zz%6"),
        ("/%%36%31", "/a"),
        ("/%%%36%31", "/%a"),
        ("/%%32f", "/%2F"),
        ("/A//b/", "/A//b/"),
        ("/%c3%a4", "/%C3%A4"),
    ] {
        let once = normalized(path);
        assert_eq!(once, expected, "{path}");
        assert_eq!(normalized(&once), once, "{path}");
    }
    let deep = format!("/{}", "%%36".repeat(20_000));
    assert!(normalized(&deep).len() < deep.len());
}

#[test]
fn dot_segments_are_found_however_they_are_hidden() {
    for path in [
        "/a/../b",
        "/..",
        "/.",
        "/a/.",
        "/a/./b",
        "/%2e%2e/b",
        "/a/.%2E/b",
        "/%252e%252e/b",
        "/%25252e./b",
        "/%%32e./b",
        "/a%2f..%2fb",
        "/a%252f..%252fb",
        "/a/..%5cb",
        "/a\\..\\b",
        "/a/..;x/b",
        "/a/.;/b",
        "/a/..%3bx/b",
        "/a/%252e%252e;x",
        "/a/..%00/b",
        "/a/..%00.png",
        "/a/..%09/b",
        "/a/.%0d./b",
        "/a/..%20/b",
        "/a/..%3f",
        "/%c0%ae%c0%ae/b",
        "/%e0%80%ae./b",
        "/a%c0%af..%c0%afb",
        "/%u002e%u002e/b",
        "/%ef%bc%8e%ef%bc%8e/b",
        "/\u{ff0e}\u{ff0e}/b",
    ] {
        assert!(has_dot_segment(path), "{path}");
    }
    for path in [
        "/",
        "/a.b",
        "/...",
        "/a/..b",
        "/a..",
        "/%41",
        "/.well-known",
        "/a;b",
        "/a;..",
        "/100%",
        "/ä/b",
        "/%c3%a4",
    ] {
        assert!(!has_dot_segment(path), "{path}");
    }
}

#[test]
fn a_lenient_reader_sees_one_path_in_many() {
    for path in [
        "/api//admin/x",
        "//api/admin/x",
        "/api/admin%2fx",
        "/api%2Fadmin/x",
        "/api%252fadmin/x",
        "/api/%2561dmin/x",
        "/api\\admin/x",
        "/api%5cadmin/x",
        "/api/admin;a=b/x",
        "/api;v=1/admin/x",
        "/api/admin%3ba=b/x",
        "/api/;/admin/x",
        "/api/admin%00/x",
        "/api/%09admin/x",
        "/api/admin%20/x",
        "/api/admin./x",
        "/api/admin/x%3fy",
        "/api/admin/x%23y",
        "/api/%u0061dmin/x",
        "/api/%c1%a1dmin/x",
    ] {
        let reading = lenient_reading(path);
        assert_eq!(reading.as_deref(), Some("/api/admin/x"), "{path}");
    }
    for path in ["/", "/a", "/a/", "/a.b/c", "/a-b_c~d", "/%20a", "/a:b@c"] {
        assert_eq!(lenient_reading(path), None, "{path}");
    }
}

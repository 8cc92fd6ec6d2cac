use super::*;

/// A template with `{}` for each value.
fn rendered(template: &str, given: &[&str]) -> (String, Vec<Range<usize>>) {
    let (mut text, mut values) = (String::new(), Vec::new());
    let mut given = given.iter();
    for (i, part) in template.split("{}").enumerate() {
        if i > 0 {
            let start = text.len();
            text.push_str(given.next().expect("a value for each place"));
            values.push(start..text.len());
        }
        text.push_str(part);
    }
    (text, values)
}

fn url(template: &str, given: &[&str]) -> Result<(), InvalidUrlText> {
    let (text, values) = rendered(template, given);
    check_url(&text, &values)
}

#[test]
fn a_value_stays_in_its_segment() {
    use InvalidUrlText as Why;
    for (value, expected) in [
        ("blue", Ok(())),
        ("a%2Fb", Ok(())),
        ("a b", Ok(())),
        ("ü", Ok(())),
        ("a/b", Ok(())),
        ("a:b@c", Ok(())),
        ("..b", Ok(())),
        ("..", Err(Why::DotSegment)),
        (".", Err(Why::DotSegment)),
        ("%2e%2e", Err(Why::DotSegment)),
        ("%252e%252e", Err(Why::DotSegment)),
        ("..;x", Err(Why::DotSegment)),
        ("a/../../b", Err(Why::DotSegment)),
        ("a%2f..%2fb", Err(Why::DotSegment)),
        ("..%5c", Err(Why::DotSegment)),
        ("", Err(Why::EmptySegment)),
        ("/", Err(Why::EmptySegment)),
        (";x", Err(Why::EmptySegment)),
        ("%2F", Err(Why::EmptySegment)),
        ("%252F", Err(Why::EmptySegment)),
        ("%20", Err(Why::EmptySegment)),
        ("%3Bx", Err(Why::EmptySegment)),
        ("%00", Err(Why::EmptySegment)),
        (".\t.", Err(Why::Control)),
        ("a\nb", Err(Why::Control)),
        ("a\\b", Err(Why::Backslash)),
        ("a#b", Err(Why::Fragment)),
        ("a?b", Err(Why::Query)),
    ] {
        let found = url("http://auth.example/rooms/{}/check", &[value]);
        assert_eq!(found, expected, "{value:?}");
    }
    for (template, given, expected) in [
        ("http://h/rooms/{}", &[""][..], Ok(())),
        ("http://h/rooms/{}", &["x?a=b"], Ok(())),
        ("http://h/rooms/{}", &["x "], Err(Why::Blank)),
        ("http://h/{}{}/x", &["a", ""], Ok(())),
        ("http://h/{}{}/x", &["", ""], Err(Why::EmptySegment)),
        ("http://h/{}{}/x", &[".", "."], Err(Why::DotSegment)),
        ("http://h/.{}/x", &["."], Err(Why::DotSegment)),
        ("http://h/%2{}/x", &["e."], Err(Why::DotSegment)),
        ("http://h/x?room={}", &["../..;/\\?"], Ok(())),
        ("http://h/x?room={}", &["a#b"], Err(Why::Fragment)),
        ("http://h/x?room={}&y", &["a\r\nb"], Err(Why::Control)),
    ] {
        assert_eq!(url(template, given), expected, "{template} {given:?}");
    }
}

#[test]
fn a_value_changes_no_scheme_host_or_port_of_its_author() {
    for (template, given, fits) in [
        ("http://api.internal{}", &["/x"][..], true),
        ("http://api.internal{}", &[""], true),
        ("http://api.internal{}", &["?x"], true),
        ("http://api.internal{}", &["@evil.example/"], false),
        ("http://api.internal{}", &[".evil.example/"], false),
        ("http://api.internal{}", &[":81/"], false),
        ("http://api.internal{}", &["x/"], false),
        ("http://api.internal:80{}", &["/x"], true),
        ("http://api.internal:80{}", &["81/x"], false),
        ("http://api.internal:80{}", &["@evil.example"], false),
        ("http://api.internal:{}/x", &["8080"], true),
        ("http://api.internal:{}/x", &["80@evil.example:81"], false),
        ("http://api.internal:{}/x", &[""], false),
        ("http://{}.internal/x", &["a"], true),
        ("http://{}.internal/x", &["a.b"], true),
        ("http://{}.internal/x", &["evil.example/"], false),
        ("http://{}.internal/x", &["evil.example?"], false),
        ("http://{}.internal/x", &["u@a"], false),
        ("http://{}.internal/x", &["a:81"], false),
        ("http://{}.internal/x", &["evil.example%2f"], false),
        ("http://{}.internal/x", &[""], false),
        ("http://{}.internal/x", &["/evil"], false),
        ("http://api-{}.internal/x", &["1"], true),
        ("http://api-{}.internal/x", &["/evil"], false),
        ("http://room-{}/x", &["1"], true),
        ("http://room-{}/x", &[".evil.example"], false),
        ("http://room-{}:80/x", &[".evil.example"], false),
        ("http://{}/x", &["a.example:8080"], true),
        ("http://{}/x", &["[::1]:8080"], true),
        ("http://{}/x", &["a.example/y?"], false),
        ("http://{}/x", &["u:p@a"], false),
        ("http://{}:80/x", &["a.example"], true),
        ("http://{}:80/x", &["a.example:81"], false),
        ("{}://api.internal/x", &["https"], true),
        ("{}://api.internal/x", &["http://evil.example/?"], false),
        ("ws{}://api.internal/x", &["s"], true),
        ("ws{}://api.internal/x", &["://evil.example/"], false),
        ("{}/x", &["http://given.example"], true),
        ("{}", &["http://given.example/a?b"], true),
    ] {
        let found = url(template, given);
        assert_eq!(found.is_ok(), fits, "{template} {given:?}: {found:?}");
    }
    let led = url("{}/check", &["http://given.example?a="]);
    assert_eq!(led, Err(InvalidUrlText::Query));
    assert_eq!(url("{}&b=c", &["http://given.example?a="]), Ok(()));
}

#[test]
fn behind_a_port_a_value_may_begin_the_path() {
    for (template, given, fits) in [
        (
            "{}://{}:{}{}negotiate?{}",
            &["https", "a.example", "443", "/hub/", "id=1"][..],
            true,
        ),
        (
            "{}://{}:{}{}negotiate?{}",
            &["https", "a.example", "443", "@evil.example/", ""],
            false,
        ),
        (
            "{}://{}:{}{}negotiate?{}",
            &["https", "a.example", "443", "80/", ""],
            false,
        ),
        ("http://api.internal:80{}/y", &["/x"], true),
    ] {
        let found = url(template, given);
        assert_eq!(found.is_ok(), fits, "{template} {given:?}: {found:?}");
    }
}

#[test]
fn what_an_author_wrote_is_checked_as_well() {
    use InvalidUrlText as Why;
    for (text, expected) in [
        ("http://a/b?c=../d", Ok(())),
        ("http://a//b", Ok(())),
        ("http://a/b/../c", Err(Why::DotSegment)),
        ("http://a/%2e%2e/c", Err(Why::DotSegment)),
        ("http://a/b#c", Err(Why::Fragment)),
        ("http://a\\b", Err(Why::Backslash)),
        ("http://a/b\tc", Err(Why::Control)),
        (" http://a/", Err(Why::Blank)),
    ] {
        assert_eq!(check_url(text, &[]), expected, "{text}");
    }
    let (text, values) = rendered("http://a/{}/../{}", &["x", "x"]);
    assert_eq!(check_url(&text, &values), Err(Why::DotSegment));
}

#[test]
fn a_path_is_checked_by_the_same_rule() {
    use InvalidUrlText as Why;
    for (value, expected) in [
        ("blue", Ok(())),
        ("a#b\\c\r\n", Ok(())),
        ("..;x", Err(Why::DotSegment)),
        ("%252e%252e;x", Err(Why::DotSegment)),
        ("..\\", Err(Why::DotSegment)),
        ("", Err(Why::EmptySegment)),
        ("x?y=", Err(Why::Query)),
    ] {
        let (text, values) = rendered("/public/{}/socket", &[value]);
        assert_eq!(check_path(&text, &values), expected, "{value:?}");
    }
}

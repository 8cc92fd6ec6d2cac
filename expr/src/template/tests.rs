use super::*;
use crate::tests::{assert_fails, handshake};

fn render(text: &str) -> Result<String, String> {
    let template = Template::compile(text, Stage::Inbound).map_err(|e| e.to_string())?;
    template.render(&handshake()).map_err(|e| e.to_string())
}

#[test]
fn templates_mix_text_and_expressions() {
    let cases = [
        ("empty", "", ""),
        ("text", "a b", "a b"),
        ("one", "${vars.n}", "3"),
        ("around", "a${vars.n}b", "a3b"),
        ("two in a row", "${vars.n}${vars.n}", "33"),
        ("blanks inside", "${ vars.n }", "3"),
        ("dollar alone", "5$ and $x", "5$ and $x"),
        ("dollar at the end", "a$", "a$"),
        ("brace alone", "{a} }", "{a} }"),
        ("escaped", "$${vars.n}", "${vars.n}"),
        ("escaped twice", "$${a}$${b}", "${a}${b}"),
        ("a dollar before an escape", "$$${vars.n}", "$${vars.n}"),
        ("a dollar before an expression", "${'$'}${vars.n}", "$3"),
        ("brace in a string", "${'}'}", "}"),
        ("open brace in a string", "${'{'}x", "{x"),
        ("brace in a long string", "${'''}'''}", "}"),
        ("brace in a raw string", r"${r'\}'}", r"\}"),
        ("escaped quote", r"${'\'}'}", "'}"),
        ("map", "${{'a': {'b': 1}}.a.b}", "1"),
        ("comment", "${vars.n // }\n}", "3"),
        ("expression start in a string", "${'${'}", "${"),
        ("quoted field", "${{'a}': 1}['a}']}", "1"),
        ("null", "[${vars.none}]", "[]"),
        ("list", "${vars.list}", "[1,2]"),
        ("map as JSON", "${vars.deep}", r#"{"a":{"b":"c"}}"#),
        ("timestamp", "${now}", "2026-03-01T12:00:00Z"),
        ("duration", "${duration('90s')}", "90s"),
        (
            "address",
            "${ip('::1')} ${cidr('10.0.0.0/8')}",
            "::1 10.0.0.0/8",
        ),
        ("bytes", "${b'hi'}", "hi"),
        ("not ascii", "ä${vars.n}ö", "ä3ö"),
    ];
    for (name, text, expected) in cases {
        assert_eq!(render(text), Ok(expected.to_owned()), "{name}");
    }
}

#[test]
fn errors_count_positions_in_the_whole_text() {
    let cases = [
        (
            "unclosed",
            "ab ${vars.n",
            "at 3: \"${\" is not closed; for a literal one write \"$${\"",
        ),
        (
            "unclosed map",
            "${{'a': 1}",
            "at 0: \"${\" is not closed; for a literal one write \"$${\"",
        ),
        ("empty", "a${}", "at 3: the expression is empty"),
        ("blank", "a${  }", "at 5: the expression is empty"),
        (
            "name",
            "ä ${reqest.id}",
            "at 4: unknown variable \"reqest\", did you mean \"request\"?",
        ),
        (
            "second expression",
            "${vars.n} ${nwo}",
            "at 12: unknown variable \"nwo\", did you mean \"now\"?",
        ),
        (
            "unclosed string",
            "x${'a}",
            "at 3: the string has no closing '",
        ),
        (
            "two values",
            "${1 2}",
            "at 4: expected an operator or the end, found a int",
        ),
        (
            "evaluation",
            "ab ${vars.missing}",
            "at 10: there is no \"missing\"",
        ),
        ("no text", "${vars.?n}", "at 8: optional has no text form"),
    ];
    for (name, text, error) in cases {
        assert_fails(name, render(text), error);
    }
}

#[test]
fn only_a_text_without_expressions_is_literal() {
    let literal = |text: &str| {
        Template::compile(text, Stage::Inbound)
            .expect(text)
            .literal()
            .map(str::to_owned)
    };
    assert_eq!(literal("plain").as_deref(), Some("plain"));
    assert_eq!(literal("").as_deref(), Some(""));
    assert_eq!(literal("a $${b}").as_deref(), Some("a ${b}"));
    assert_eq!(literal("${'a'}"), None);
}

#[test]
fn a_text_says_which_of_it_values_gave() {
    let template = Template::compile("a${vars.n}-${''}${request.id}", Stage::Inbound).unwrap();
    let (text, values) = template.render_marked(&handshake()).unwrap();
    assert_eq!(text, render("a${vars.n}-${''}${request.id}").unwrap());
    let given: Vec<_> = values.iter().map(|value| &text[value.clone()]).collect();
    assert_eq!(given.len(), 3);
    assert_eq!(format!("a{}-{}{}", given[0], given[1], given[2]), text);
    let (text, values) = Template::outline("a${not.known}-${'}'}${1}$${", "xy").unwrap();
    assert_eq!((&*text, &*values), ("axy-xyxy${", &[1..3, 4..6, 6..8][..]));
    assert!(Template::outline("a${'b", "x").is_err());
}

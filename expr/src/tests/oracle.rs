//! The `cel` crate's own parser and evaluator as a second opinion on plain CEL.

use super::evaluate;
use crate::{Value, Variables, from_json};

/// Where the crate is known to be wrong, the case is in the evaluator's own tests instead.
const SOURCES: &[&str] = &[
    "1 + 2 * 3 - 4 / 2 % 3",
    "(1 + 2) * 3",
    "-3 + 5",
    "-(3 + 5) * 2",
    "1 - 2 - 3",
    "100 / 10 / 2",
    "0x1F + 1",
    "7u + 2u",
    "1.5 * 2.0",
    "2e3 + 1.5e-1",
    "1 < 2 == true",
    "1 < 2u",
    "1.5 > 1",
    "'a' + 'b' == 'ab'",
    "b'a' + b'b'",
    r"'\x41\u00e4\U0001F600\101\n\t\\\''",
    r"b'\x41\377'",
    r"r'\n' + R'\d'",
    "true || false && false",
    "!true || true",
    "true ? 1 : false ? 2 : 3",
    "false ? 1 : false ? 2 : 3",
    "[1, 2, 3][1]",
    "{'a': 1, 'b': [1, 2]}.b[0]",
    "{1: 'x', true: 'y', 2u: 'z'}[1]",
    "{'a': {'b': 1}}['a'].b",
    "1 in [1, 2]",
    "'a' in {'a': 1}",
    "!(3 in [1, 2])",
    "[1, 2] + [3]",
    "[1, 2] == [1, 2]",
    "{'a': 1} == {'a': 1}",
    "[1, 2] != [2, 1]",
    "x.a.b == 'c'",
    "has(x.a) && !has(x.z)",
    "x.list.map(i, i * 2)",
    "x.list.filter(i, i > 1)",
    "x.list.map(i, i > 1, i + 1)",
    "x.list.all(i, i > 0)",
    "x.list.exists(i, i == 2)",
    "x.list.exists_one(i, i > 1)",
    "x.list.map(i, x.list.map(j, i * j))",
    "x.list.map(i, x.list.map(i, i + 1))",
    "true || 1 / 0 == 1",
    "1 / 0 == 1 || true",
    "false && 1 / 0 == 1",
    "1 / 0 == 1 && false",
    "'abc'.startsWith('a') && 'abc'.endsWith('c') && 'abc'.contains('b')",
    "'abc'.matches('^[a-c]+$')",
    "size('abc') + size([1, 2]) + size({'a': 1})",
    "int('3') + int(2.9) + int(7u)",
    "double('1.5') + double(2)",
    "uint(3) + uint('4')",
    "string(1) + string(2u) + string(1.5) + string('x')",
    "bytes('abc')",
    "duration('1h30m') + duration('1s')",
    "duration('-90s')",
    "timestamp('2026-01-02T03:04:05Z') + duration('1h')",
    "timestamp('2026-01-02T03:04:05Z') - timestamp('2026-01-01T03:04:05Z')",
    "timestamp('2026-01-02T03:04:05Z').getHours()",
    "1 // a comment\n + 1",
    "null == null",
    "x.none == null",
    "'a' < 'b' && 'b' <= 'b' && !('a' >= 'b')",
];

fn json() -> Value {
    from_json(serde_json::json!({"a": {"b": "c"}, "list": [1, 2, 3], "none": null}))
}

#[test]
fn plain_cel_means_what_it_means_elsewhere() {
    let mut context = cel::Context::default();
    context.add_variable_from_value("x", json());
    let mut vars = Variables::new();
    vars.set_var("x", json());
    for source in SOURCES {
        let theirs = cel::Program::compile(source)
            .expect(source)
            .execute(&context)
            .expect(source);
        // The crate knows the variable as x, here it is one of vars.
        let ours = source.replace("x.", "vars.x.");
        assert_eq!(evaluate(&ours, &vars), Ok(theirs), "{source}");
    }
}

#[test]
fn what_the_crate_gets_wrong_is_right_here() {
    let vars = super::handshake();
    let cases = [
        ("double negation", "!!true", Ok(Value::Bool(true))),
        ("int and double", "1 == 1.0", Ok(Value::Bool(true))),
        ("int and uint", "1u == 1", Ok(Value::Bool(true))),
        ("double minus", "- -1", Ok(Value::Int(1))),
        (
            "an error before the decisive item",
            "[0, 1].exists(i, 1 / i == 1)",
            Ok(Value::Bool(true)),
        ),
        (
            "triple quotes",
            "'''a'b\"c\nd''' + \"\"\"x\"y\"\"\"",
            Ok(Value::from("a'b\"c\ndx\"y")),
        ),
        ("characters of a text", "size('äöü')", Ok(Value::Int(3))),
        (
            "a field of null",
            "vars.none.a",
            Err("at 10: null has no field \"a\""),
        ),
        (
            "a field of text",
            "vars.deep.a.b.c",
            Err("at 14: string has no field \"c\""),
        ),
        (
            "rest of a duration",
            "duration('1h x')",
            Err("at 0: duration: not of the form 1h30m, 90s, 1.5s or 250ms"),
        ),
    ];
    for (name, source, expected) in cases {
        assert_eq!(
            evaluate(source, &vars),
            expected.map_err(str::to_owned),
            "{name}"
        );
    }
}

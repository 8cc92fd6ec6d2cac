//! What is refused before it runs, where, and with which suggestion.

use super::{assert_fails, handshake};
use crate::{Program, Stage, Template};

/// (name, source, the error's whole text)
type Case = (&'static str, &'static str, &'static str);

fn assert_refused(cases: &[Case]) {
    for (name, source, text) in cases {
        assert_fails(name, Program::value(source, Stage::Inbound), text);
    }
}

const UNKNOWN_NAMES: &[Case] = &[
    (
        "variable",
        "1 + reqest.id",
        "at 4: unknown variable \"reqest\", did you mean \"request\"?",
    ),
    (
        "nothing near",
        "context.x",
        "at 0: unknown variable \"context\"",
    ),
    (
        "field",
        "request.hots",
        "at 8: \"request\" has no field \"hots\", did you mean \"host\"?",
    ),
    (
        "field in has",
        "has(client.adress)",
        "at 11: \"client\" has no field \"adress\"",
    ),
    (
        "case",
        "request.originalURL",
        "at 8: \"request\" has no field \"originalURL\", did you mean \"originalUrl\"?",
    ),
    (
        "field in brackets",
        "client['prt']",
        "at 7: \"client\" has no field \"prt\", did you mean \"port\"?",
    ),
    (
        "inner object",
        "client.tls.snii",
        "at 11: \"client.tls\" has no field \"snii\", did you mean \"sni\"?",
    ),
    (
        "result of a function",
        "url.parse('a:b').hst",
        "at 17: \"url.parse(…)\" has no field \"hst\", did you mean \"host\"?",
    ),
    (
        "function",
        "sh256('a')",
        "at 0: unknown function \"sh256\", did you mean \"sha256\"?",
    ),
    (
        "function of a namespace",
        "url.prase('a')",
        "at 0: unknown function \"url.prase\", did you mean \"url.parse\"?",
    ),
    (
        "function of a variable's name",
        "jwt.sgin()",
        "at 0: unknown function \"jwt.sgin\", did you mean \"jwt.sign\"?",
    ),
    (
        "method",
        "'a'.startWith('b')",
        "at 4: unknown method \"startWith\", did you mean \"startsWith\"?",
    ),
    (
        "method called as function",
        "trim('a')",
        "at 0: unknown function \"trim\", did you mean \"string.trim()\"?",
    ),
    (
        "method of request",
        "header('a')",
        "at 0: unknown function \"header\", did you mean \"request.header(string)\"?",
    ),
    (
        "function called as method",
        "'a'.sha256()",
        "at 4: unknown method \"sha256\", did you mean \"sha256(string|bytes)\"?",
    ),
    (
        "variable of a pass",
        "[1].map(item, itm)",
        "at 14: unknown variable \"itm\", did you mean \"item\"?",
    ),
    (
        "outside the pass",
        "[1].all(x, x > 0) && x > 0",
        "at 21: unknown variable \"x\"",
    ),
    (
        "position counts characters",
        "'äöü' + b",
        "at 8: unknown variable \"b\"",
    ),
];

#[test]
fn unknown_names_are_refused_with_the_nearest() {
    assert_refused(UNKNOWN_NAMES);
}

#[test]
fn variables_exist_only_in_their_stage() {
    use Stage::{Inbound, OnError, Outbound};
    let cases = [
        (
            "response.status",
            Inbound,
            Some("at 0: \"response\" does not exist in inbound policies"),
        ),
        ("response.status", Outbound, None),
        ("response.status", OnError, None),
        (
            "error.reason",
            Inbound,
            Some("at 0: \"error\" does not exist in inbound policies"),
        ),
        (
            "error.reason",
            Outbound,
            Some("at 0: \"error\" does not exist in outbound policies"),
        ),
        ("error.reason", OnError, None),
        ("jwt.claims.sub", Inbound, None),
        ("request.header('a')", OnError, None),
    ];
    for (source, stage, error) in cases {
        let result = Program::value(source, stage)
            .map(|_| ())
            .map_err(|e| e.to_string());
        assert_eq!(result.err().as_deref(), error, "{source} in {stage:?}");
        let result = Template::compile(&format!("${{{source}}}"), stage);
        assert_eq!(
            result.is_err(),
            error.is_some(),
            "template {source} in {stage:?}"
        );
    }
}

const WRONG_ARGUMENTS: &[Case] = &[
    (
        "too many",
        "sha256('a', 'b')",
        "at 0: sha256 takes 1 argument, not 2",
    ),
    (
        "too few",
        "'a'.substring()",
        "at 4: substring takes 1 or 2 arguments, not 0",
    ),
    (
        "method",
        "request.header()",
        "at 8: header takes 1 or 2 arguments, not 0",
    ),
    (
        "type",
        "'a'.startsWith(1)",
        "at 4: startsWith does not take (string, int): it is string.startsWith(string)",
    ),
    (
        "receiver",
        "1.trim()",
        "at 2: trim does not take (int): it is string.trim()",
    ),
    (
        "list for text",
        "request.headers['a'].trim()",
        "at 21: trim does not take (list): it is string.trim()",
    ),
    (
        "null",
        "sha256(null)",
        "at 0: sha256 does not take (null): it is sha256(string|bytes)",
    ),
    (
        "has without a field",
        "has(vars)",
        "at 4: has() takes one field, like has(vars.name)",
    ),
    (
        "has with two",
        "has(vars.a, vars.b)",
        "at 0: has() takes one field, like has(vars.name)",
    ),
    (
        "pass without a variable",
        "[1].map(1, 2)",
        "at 8: expected the name of a variable for each item",
    ),
    (
        "pass without a body",
        "[1].all(x)",
        "at 4: all takes a variable and an expression: list.all(x, …)",
    ),
    (
        "pass over text",
        "'abc'.all(x, true)",
        "at 6: string has no items",
    ),
];

#[test]
fn wrong_numbers_and_types_of_arguments_are_refused() {
    assert_refused(WRONG_ARGUMENTS);
}

const WRONG_OPERANDS: &[Case] = &[
    (
        "text and number",
        "'a' == 1",
        "at 4: string can never equal int",
    ),
    (
        "known types",
        "request.path != 5",
        "at 13: string can never equal int",
    ),
    (
        "list and text",
        "request.headers.host == 'a'",
        "at 21: list can never equal string: a list has several values, take one with [0] or use \"in\"",
    ),
    (
        "and",
        "true && 'a'",
        "at 8: \"&&\" needs a bool, not string",
    ),
    ("or", "1 || true", "at 0: \"||\" needs a bool, not int"),
    ("not", "!request.id", "at 0: \"!\" needs a bool, not string"),
    ("minus", "-'a'", "at 0: \"-\" needs a number, not string"),
    (
        "choice",
        "'a' ? 1 : 2",
        "at 0: \"?:\" needs a bool, not string",
    ),
    (
        "plus",
        "'a' + 1",
        "at 4: string + int does not exist: turn the other side into text with string(…)",
    ),
    (
        "plus of a list of one",
        "vars.a + true",
        "at 7: any + bool does not exist",
    ),
    (
        "int and double",
        "1 + 1.0",
        "at 2: int + double does not exist",
    ),
    (
        "modulo",
        "1.0 % 2.0",
        "at 4: double % double does not exist",
    ),
    ("order", "'a' < 1", "at 4: string < int does not exist"),
    (
        "order of lists",
        "[1] < [2]",
        "at 4: list < list does not exist",
    ),
    (
        "in text",
        "'a' in 'abc'",
        "at 4: \"in\" needs a list or map on its right; for text use contains(…)",
    ),
    (
        "in a list of others",
        "1 in request.subprotocols",
        "at 2: int can never be in a list of strings",
    ),
    (
        "index of text",
        "'abc'[0]",
        "at 6: string[int] does not exist",
    ),
    (
        "text index of a list",
        "[1]['a']",
        "at 4: list[string] does not exist",
    ),
    (
        "field of a list",
        "request.subprotocols.first",
        "at 21: list has no field \"first\", did you mean \"[0].first\"?",
    ),
    (
        "field of text",
        "request.id.a",
        "at 11: string has no field \"a\"",
    ),
    ("key", "{1.5: 2}", "at 1: double cannot be a key"),
    (
        "pass without a bool",
        "[1].filter(x, 'a')",
        "at 14: \"condition\" needs a bool, not string",
    ),
];

#[test]
fn operators_that_can_never_work_are_refused() {
    assert_refused(WRONG_OPERANDS);
}

#[test]
fn constant_calls_that_always_fail_are_refused() {
    assert_refused(&[
        (
            "time",
            "now < timestamp('yesterday')",
            "at 6: timestamp: premature end of input",
        ),
        (
            "duration",
            "duration('1 h')",
            "at 0: duration: not of the form 1h30m, 90s, 1.5s or 250ms",
        ),
        (
            "cidr",
            "cidr('10.0.0.0/40').containsIP(client.ip)",
            "at 0: cidr: invalid CIDR: invalid IP address syntax",
        ),
        (
            "number",
            "int('x')",
            "at 0: int: string parse error: invalid digit found in string",
        ),
        (
            "pattern",
            "request.path.matches('a(')",
            "at 21: not a regular expression: unclosed group",
        ),
        (
            "algorithm",
            "jwt.sign({}, 'key', 'HS257', 60)",
            "at 20: \"HS257\" is not a signature algorithm",
        ),
        (
            "short key",
            "jwt.sign({}, 'key', 'HS256', 60)",
            "at 13: jwt.sign: the key: it has 3 bytes, and HS256 needs 32 or more (RFC 7518 §3.2): use a longer one",
        ),
    ]);
}

#[test]
fn conditions_must_be_able_to_be_true_or_false() {
    let cases = [
        (
            "'yes'",
            Some("at 0: a condition must be true or false, not string"),
        ),
        (
            "1",
            Some("at 0: a condition must be true or false, not int"),
        ),
        (
            "request.header('a')",
            Some("at 8: a condition must be true or false, not string"),
        ),
        (
            "null",
            Some("at 0: a condition must be true or false, not null"),
        ),
        (
            "request.path + 'a'",
            Some("at 13: a condition must be true or false, not string"),
        ),
        ("true", None),
        ("vars.flag", None),
        ("has(vars.flag) ? vars.flag : false", None),
        ("request.path == '/'", None),
    ];
    for (source, error) in cases {
        let result = Program::condition(source, Stage::Inbound).map(|_| ());
        assert_eq!(
            result.map_err(|e| e.to_string()).err().as_deref(),
            error,
            "{source}"
        );
    }
}

const SYNTAX_ERRORS: &[Case] = &[
    ("empty", "", "at 0: the expression is empty"),
    ("blank", "  // nothing", "at 12: the expression is empty"),
    ("unfinished", "1 +", "at 3: expected a value, found the end"),
    (
        "two values",
        "1 2",
        "at 2: expected an operator or the end, found a int",
    ),
    (
        "unclosed bracket",
        "[1, 2",
        "at 5: expected \"]\", found the end",
    ),
    (
        "unclosed call",
        "size('a'",
        "at 8: expected \")\", found the end",
    ),
    (
        "missing field",
        "request.",
        "at 8: expected a field name, found the end",
    ),
    (
        "missing branch",
        "true ? 1",
        "at 8: expected \":\", found the end",
    ),
    (
        "one equals sign",
        "vars.a = 1",
        "at 7: unexpected character '=', did you mean \"==\"?",
    ),
    (
        "one ampersand",
        "true & true",
        "at 5: unexpected character '&', did you mean \"&&\"?",
    ),
    (
        "unclosed string",
        "'abc",
        "at 0: the string has no closing '",
    ),
    (
        "line break in a string",
        "'a\nb'",
        "at 0: the string has no closing '",
    ),
    (
        "unclosed triple",
        "'''abc''",
        "at 0: the string has no closing '''",
    ),
    ("escape", r"'a\q'", "at 2: unknown escape sequence"),
    ("surrogate", r"'\uD800'", "at 1: unknown escape sequence"),
    (
        "unicode escape in bytes",
        r"b'\u0041'",
        "at 2: unknown escape sequence",
    ),
    (
        "int out of range",
        "9223372036854775808",
        "at 0: not a number, or out of range",
    ),
    (
        "digits and letters",
        "12abc",
        "at 0: not a number, or out of range",
    ),
    (
        "message",
        "Foo{a: 1}",
        "at 0: messages (\"Foo{…}\") are not supported: write {\"field\": value}",
    ),
    (
        "reserved word",
        "for + 1",
        "at 0: \"for\" is a word of the language, not a variable",
    ),
    (
        "quoted field",
        "vars.`a$`",
        "at 5: a field name in backticks may have letters, digits, _ . - / and spaces",
    ),
    (
        "other languages",
        "request@id",
        "at 7: unexpected character '@'",
    ),
];

#[test]
fn syntax_errors_say_what_was_expected_and_where() {
    assert_refused(SYNTAX_ERRORS);
}

#[test]
fn what_is_not_known_is_left_to_the_evaluation() {
    let accepted = [
        "vars.anything.at.all == 1",
        "values.region == vars.x",
        "jwt.claims.a.b.c[0].d",
        "client.certificate.subject == 'a'",
        "product == null && subscription == null",
        "request.header('a') == null",
        "[request, client].map(r, r.id)",
        "vars.x.map(y, y.map(z, z + y))",
        "request.headers.map(h, h.startsWith('x'))",
        "vars.`content-type`",
        "api.namespace",
        "[1, 'a', null]",
        "vars.a ? 1 : 'a'",
        "[1].exists(url, url == 1)",
        "vars.x.json.?a.?b.orValue('')",
    ];
    for source in accepted {
        if let Err(error) = Program::value(source, Stage::Inbound) {
            panic!("{source}: {error}");
        }
    }
}

#[test]
fn named_values_are_reported_with_their_positions() {
    let template = Template::compile("a ${values.one} ${values['two'] + vars.x}", Stage::Inbound);
    let template = template.expect("compiles");
    assert_eq!(
        template.named_values().collect::<Vec<_>>(),
        [(11, "one"), (25, "two")]
    );
    let program = Program::value("vars.x.map(values, values.x) == [values.y]", Stage::Inbound);
    let program = program.expect("compiles");
    let source =
        "has(values.a) ? values.a : values.?b.orValue('') + values[?'c'].orValue(values.d)";
    let asks = Program::value(source, Stage::Inbound).expect("compiles");
    let needed: Vec<_> = asks.named_values().map(|(_, name)| name).collect();
    assert_eq!(needed, ["d"], "what is asked for first may be missing");
    // A variable of a pass hides the named values.
    assert_eq!(program.named_values().collect::<Vec<_>>(), [(40, "y")]);
}

#[test]
fn a_compiled_program_is_reusable() {
    let program = Program::condition("vars.n == 3", Stage::Inbound).expect("compiles");
    let mut vars = handshake();
    let copy = program.clone();
    assert_eq!(program.evaluate_bool(&vars), Ok(true));
    vars.set_var("n", crate::Value::Int(4));
    assert_eq!(copy.evaluate_bool(&vars), Ok(false));
}

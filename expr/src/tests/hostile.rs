//! Input meant to hurt: everything ends, in an error, soon, and without a panic.

use serde_json::json;

use super::{assert_fails, evaluate, handshake};
use crate::budget::MAX_TEXT_BYTES;
use crate::syntax::{MAX_DEPTH, MAX_SOURCE_BYTES};
use crate::{EvalError, Program, Stage, Template, TooBig, Value, Variables, from_json};

const TOO_DEEP: &str = "nested or chained deeper than 64 levels";

#[test]
fn deep_nesting_is_refused() {
    let cases = [
        ("parentheses", "(".repeat(5_000) + "1" + &")".repeat(5_000)),
        ("brackets", "[".repeat(8_000) + &"]".repeat(8_000)),
        ("maps", "{1:".repeat(4_000) + "1" + &"}".repeat(4_000)),
        ("not", "!".repeat(16_000) + "true"),
        ("minus", "- ".repeat(8_000) + "1"),
        (
            "not with parentheses",
            "!!(".repeat(4_000) + "true" + &")".repeat(4_000),
        ),
        ("fields", "vars".to_owned() + &".a".repeat(8_000)),
        ("indices", "vars".to_owned() + &"[0]".repeat(5_000)),
        ("methods", "'a'".to_owned() + &".trim()".repeat(2_000)),
        ("sums", "1".to_owned() + &"+1".repeat(8_000)),
        ("comparisons", "1".to_owned() + &"==1".repeat(5_000)),
        ("choices", "true?1:".repeat(2_000) + "1"),
        ("calls", "size(".repeat(2_000) + "''" + &")".repeat(2_000)),
        (
            "passes",
            "[1].all(x,".repeat(1_200) + "true" + &")".repeat(1_200),
        ),
    ];
    for (name, source) in cases {
        let error = Program::value(&source, Stage::Inbound).expect_err(name);
        assert_eq!(error.message, TOO_DEEP, "{name}");
        let error = Template::compile(&format!("${{{source}}}"), Stage::Inbound).expect_err(name);
        assert!(
            error.message == TOO_DEEP || error.message.starts_with("longer"),
            "{name}"
        );
    }
}

#[test]
fn the_deepest_that_is_allowed_runs_on_a_small_stack() {
    let run = || {
        let levels = MAX_DEPTH - 1;
        let nested = "[".repeat(levels) + "1" + &"]".repeat(levels);
        let index = "vars".to_owned() + &"[0]".repeat(levels);
        let calls = "dyn(".repeat(levels - 1) + "vars.n" + &")".repeat(levels - 1);
        let not = "(!".repeat(levels) + "true" + &")".repeat(levels);
        let passes = "[1].map(x,".repeat(levels - 1) + "1" + &")".repeat(levels - 1);
        let mixed = "(1||1&&1==1+1*".repeat(levels) + "1" + &")".repeat(levels);
        let sum = "vars.n".to_owned() + &"+1".repeat(levels - 1);
        let compiled = |source: &String| Program::value(source, Stage::Inbound).map(|_| ());
        assert_eq!(
            compiled(&mixed).map_err(|e| e.message),
            Err(TOO_DEEP.to_owned())
        );
        for source in [nested, index, not, passes] {
            assert_eq!(compiled(&source), Ok(()), "{source}");
            drop(evaluate(&source, &handshake()));
        }
        (evaluate(&calls, &handshake()), evaluate(&sum, &handshake()))
    };
    // Three quarters of what the runtime's threads have; without optimization it takes the most.
    let thread = std::thread::Builder::new()
        .stack_size(1536 * 1024)
        .spawn(run);
    let (calls, sum) = thread.expect("a thread").join().expect("no overflow");
    assert_eq!(calls, Ok(Value::Int(3)));
    assert_eq!(sum, Ok(Value::Int(65)));
}

#[test]
fn long_chains_of_conditions_are_allowed() {
    for sign in ["&&", "||"] {
        let source = vec!["vars.n == 3"; 900].join(sign);
        assert_eq!(
            evaluate(&source, &handshake()),
            Ok(Value::Bool(true)),
            "{sign}"
        );
    }
}

#[test]
fn long_sources_are_refused() {
    let text = "a".repeat(MAX_SOURCE_BYTES + 1);
    let error = "at 0: longer than 16384 bytes";
    assert_fails("expression", Program::value(&text, Stage::Inbound), error);
    assert_fails(
        "condition",
        Program::condition(&text, Stage::Inbound),
        error,
    );
    assert_fails("template", Template::compile(&text, Stage::Inbound), error);
    assert!(Template::compile(&text[1..], Stage::Inbound).is_ok());
}

/// A long list, a long text, and lists in lists.
fn big() -> crate::Variables {
    let mut vars = handshake();
    vars.set_var("list", from_json(json!((0..5_000).collect::<Vec<i64>>())));
    vars.set_var("huge", from_json(json!(vec![0; 300_000])));
    vars.set_var("text", Value::from("ab".repeat(100_000)));
    vars.set_var("key", Value::from(super::ec_pem()));
    vars
}

#[test]
fn expensive_evaluations_are_cut_off() {
    let cases = [
        (
            "nested passes",
            "vars.list.all(a, vars.list.all(b, vars.list.all(c, true)))",
        ),
        ("passes over huge lists", "vars.huge.exists(a, a == 1)"),
        (
            "growing lists",
            "vars.list.map(a, vars.list)[0].map(b, vars.list.map(c, c))",
        ),
        ("range", "lists.range(1000000000)"),
        ("sort", "vars.huge.sort()"),
        ("distinct", "vars.list.distinct()"),
        ("flatten", "vars.list.map(a, vars.list).flatten().size()"),
        ("comparison", "vars.list.all(a, vars.huge == vars.huge)"),
        ("in", "vars.list.all(a, !(1 in vars.huge))"),
        ("search", "vars.text.indexOf(vars.text.substring(1))"),
        ("replace by longer", "vars.text.replace('a', vars.text)"),
        ("replace nothing", "vars.text.replace('', vars.text)"),
        ("join", "vars.list.map(a, '').join(vars.text)"),
        ("split", "vars.list.map(a, vars.text.split('a'))"),
        ("digests", "vars.list.all(a, sha256(vars.text) != '')"),
        (
            "signatures",
            "vars.list.map(a, jwt.sign({}, vars.key, 'ES256', 1))",
        ),
        ("random", "vars.list.map(a, random(1024))"),
        ("patterns", "vars.list.map(a, 'x'.matches(string(a)))"),
        ("all matches", "vars.text.findAll('.*[^a-z]|[a-z]')"),
        ("JSON", "json.encode(vars.list.map(a, vars.list))"),
        (
            "addresses",
            "vars.huge.map(a, ip('1.2.3.4').string() + request.id)",
        ),
        ("printing", "'%s'.format([vars.list.map(a, vars.list)])"),
        ("keys", "vars.list.map(a, vars.map(k, k))"),
    ];
    let vars = big();
    for (name, source) in cases {
        let program = Program::value(source, Stage::Inbound).expect(name);
        let result = program.evaluate(&vars).map(|_| "a value");
        assert!(
            matches!(result, Err(EvalError::Cost { .. })),
            "{name}: {result:?}"
        );
    }
}

#[test]
fn texts_cannot_grow_without_bound() {
    let mut vars = handshake();
    vars.set_var("text", Value::from("x".repeat(MAX_TEXT_BYTES)));
    let grows = "a text or list is too long";
    assert_fails(
        "sum",
        evaluate("vars.text + 'x'", &vars),
        &format!("at 10: {grows}"),
    );
    assert_fails(
        "encode",
        evaluate("hex.encode(vars.text)", &vars),
        &format!("at 0: {grows}"),
    );
    let template = Template::compile("${vars.text}${vars.n}", Stage::Inbound).expect("compiles");
    assert_fails(
        "template",
        template.render(&vars),
        &format!("at 19: {grows}"),
    );
    assert!(evaluate("vars.text + ''", &vars).is_ok());
}

#[test]
fn values_that_are_larger_than_they_look_go_nowhere() {
    // Each pass doubles what is printed, and takes no memory to speak of.
    let doubled = "[1]".to_owned() + &".map(a, [a, a])".repeat(40);
    let steps = "at 589: the expression takes too many steps";
    assert_fails("in one expression", evaluate(&doubled, &handshake()), steps);
    let mut vars = handshake();
    let double = Program::value("[vars.n, vars.n]", Stage::Inbound).expect("compiles");
    let last = (0..40).find_map(|_| {
        let value = double.evaluate(&vars).map_err(|error| error.to_string());
        value.map(|value| vars.set_var("n", value)).err()
    });
    assert_eq!(
        last.as_deref(),
        Some("at 0: the expression takes too many steps")
    );
    let mut vars = handshake();
    let deeper = Program::value("[[[[vars.n]]]]", Stage::Inbound).expect("compiles");
    let last = (0..40).find_map(|_| {
        let value = deeper.evaluate(&vars).map_err(|error| error.to_string());
        value.map(|value| vars.set_var("n", value)).err()
    });
    let expected = "at 0: a value is nested deeper than 128 levels";
    assert_eq!(last.as_deref(), Some(expected));
}

#[test]
fn all_variables_of_a_handshake_are_bounded() {
    let mut vars = Variables::new();
    let text = |bytes: usize| Value::from("x".repeat(bytes));
    for i in 0..8 {
        let kept = vars.keep_var(&format!("v{i}"), text(MAX_TEXT_BYTES - 32));
        assert_eq!(kept, Ok(()), "{i}");
    }
    assert_eq!(vars.keep_var("v8", text(MAX_TEXT_BYTES)), Err(TooBig));
    assert_eq!(vars.var("v8"), None);
    assert_eq!(
        vars.keep_var("v7", text(MAX_TEXT_BYTES - 32)),
        Ok(()),
        "again"
    );
    assert_eq!(vars.keep_var("v7", Value::Null), Ok(()));
    assert_eq!(vars.keep_var("v8", text(MAX_TEXT_BYTES - 64)), Ok(()));
}

#[test]
fn a_template_shares_one_budget() {
    let text = "${vars.list.map(a, a).size()}".repeat(40);
    let template = Template::compile(&text, Stage::Inbound).expect("compiles");
    assert!(matches!(
        template.render(&big()),
        Err(EvalError::Cost { .. })
    ));
    let template = Template::compile(&text[..29], Stage::Inbound).expect("compiles");
    assert_eq!(template.render(&big()).as_deref(), Ok("5000"));
}

#[test]
fn cost_cannot_be_absorbed() {
    let bomb = "vars.huge.all(a, true)";
    for source in [
        format!("{bomb} || true"),
        format!("!({bomb}) && false"),
        format!("[1].exists(x, {bomb} || true)"),
        format!("[1].all(x, {bomb} && false)"),
    ] {
        let program = Program::condition(&source, Stage::Inbound).expect(&source);
        let result = program.evaluate_bool(&big());
        assert!(
            matches!(result, Err(EvalError::Cost { .. })),
            "{source}: {result:?}"
        );
    }
}

#[test]
fn patterns_are_bounded() {
    let cases = [
        (
            "long",
            format!("'a'.matches('{}')", "a".repeat(1025)),
            "at 12: the pattern is longer than 1024 bytes",
        ),
        (
            "bomb",
            "'a'.matches('(?:(?:a{100}){100}){100}')".to_owned(),
            "at 12: the pattern is too big when compiled",
        ),
        (
            "bomb at runtime",
            "'a'.matches(vars.bomb)".to_owned(),
            "at 4: the pattern is too big when compiled",
        ),
        (
            "nested groups",
            format!("'a'.matches('{}')", "(".repeat(500) + &")".repeat(500)),
            "at 12: not a regular expression: exceed the maximum number of nested parentheses/brackets (250)",
        ),
    ];
    let mut vars = handshake();
    vars.set_var("bomb", Value::from("(?:(?:a{100}){100}){100}"));
    for (name, source, text) in cases {
        assert_fails(name, evaluate(&source, &vars), text);
    }
    // Exponential where patterns backtrack, linear here.
    vars.set_var("text", Value::from("a".repeat(20_000) + "b"));
    assert_eq!(
        evaluate("vars.text.matches('^(a+)+$')", &vars),
        Ok(Value::Bool(false))
    );
    // Each place of the pattern may have to be looked at for each byte: a few seconds' work.
    let slow = "vars.text.matches('[ab]*a[ab]{20000}c')";
    assert_fails(
        "slow",
        evaluate(slow, &vars),
        "at 10: the expression takes too many steps",
    );
    assert_eq!(
        evaluate(
            "vars.text.substring(0, 30).matches('[ab]*a[ab]{20000}c')",
            &vars
        ),
        Ok(Value::Bool(false))
    );
    assert_eq!(
        evaluate(r"'é-1_x'.matches(r'^[\w-]{1,32}$')", &vars),
        Ok(Value::Bool(true))
    );
}

const EDGES: &[(&str, &str)] = &[
    (
        "9223372036854775807 + vars.one",
        "the result of \"+\" is out of range",
    ),
    (
        "-9223372036854775808 - vars.one",
        "the result of \"-\" is out of range",
    ),
    (
        "9223372036854775807 * (vars.one + 1)",
        "the result of \"*\" is out of range",
    ),
    (
        "-9223372036854775808 / -vars.one",
        "the result of \"/\" is out of range",
    ),
    (
        "-(vars.one - 9223372036854775807 - 2)",
        "the result of \"-\" is out of range",
    ),
    ("1 / (vars.one - 1)", "division by zero"),
    ("1u / uint(vars.one - 1)", "division by zero"),
    ("1 % (vars.one - 1)", "division by zero"),
    ("uint(vars.one - 2)", "uint: unsigned integer overflow"),
    (
        "timestamp(9223372036854775806 + vars.one)",
        "timestamp: out of range",
    ),
    (
        "timestamp('9999-12-31T23:59:59Z') + duration(string(vars.one) + 'h')",
        "the result of \"+\" is out of range",
    ),
    (
        "duration(string(vars.one) + '9999999h')",
        "duration: not of the form 1h30m, 90s, 1.5s or 250ms",
    ),
    (
        "'%.99999999f'.format([double(vars.one)])",
        "format: the precision is out of range",
    ),
    (
        "'%.65535f'.format([double(vars.one)])",
        "format: the precision is out of range",
    ),
    ("random(vars.one * 5000)", "random gives 0 to 1024 bytes"),
    ("random(-vars.one)", "random gives 0 to 1024 bytes"),
    ("vars.list[-vars.one]", "there is no [-1]"),
    ("vars.list[vars.one + 5]", "there is no [6]"),
    (
        "'abc'.substring(vars.one, -vars.one)",
        "substring: end index -1 out of range",
    ),
    (
        "[1].slice(vars.one, -vars.one)",
        "slice: slice(1, -1) out of range for list of length 1",
    ),
    (
        "lists.range(-vars.one)",
        "lists.range: range argument must be non-negative",
    ),
    (
        "json.parse('[' + string(vars.one))",
        "json.parse: EOF while parsing a list at line 1 column 2",
    ),
];

#[test]
fn numbers_at_the_edge_are_errors_not_panics() {
    let mut vars = handshake();
    vars.set_var("one", Value::Int(1));
    for (source, text) in EDGES {
        let error = evaluate(source, &vars).expect_err(source);
        assert_eq!(
            error.split_once(": ").map(|(_, text)| text),
            Some(*text),
            "{source}"
        );
    }
    assert_eq!(
        evaluate("-9223372036854775808 < 0", &vars),
        Ok(Value::Bool(true))
    );
}

#[test]
fn deep_json_is_refused() {
    let mut vars = handshake();
    vars.set_var("deep", Value::from("[".repeat(10_000)));
    let error = evaluate("json.parse(vars.deep)", &vars).expect_err("too deep");
    assert!(error.contains("recursion limit"), "{error}");
}

//! Whatever the text: compiling and evaluating it never panics, and positions lie inside it.

use proptest::prelude::*;

use super::handshake;
use crate::{CompileError, Program, Stage, Template, mask};

/// Pieces that bring random text close to real expressions.
const PIECES: [&str; 40] = [
    "request",
    ".header(",
    "vars",
    ".",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    "'",
    "\"",
    "\\",
    "${",
    "$${",
    "}",
    "+",
    "-",
    "!",
    "&&",
    "||",
    "==",
    "in",
    "?",
    ":",
    ",",
    "1",
    "2u",
    "1.5",
    "'a'",
    "b'x'",
    "[1,2]",
    ".map(x,",
    ".all(y,",
    "has(",
    "url.parse(",
    "null",
    "true",
    " ",
    "ü",
];

fn close_to_real() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..24).prop_map(|p| p.concat())
}

fn assert_inside(text: &str, error: &CompileError) {
    assert!(error.position <= text.chars().count(), "{text:?}: {error}");
}

fn exercise(text: &str) {
    for stage in [Stage::Inbound, Stage::OnError] {
        match Program::value(text, stage) {
            Ok(program) => drop(program.evaluate(&handshake())),
            Err(error) => assert_inside(text, &error),
        }
        match Program::condition(text, stage) {
            Ok(program) => drop(program.evaluate_bool(&handshake())),
            Err(error) => assert_inside(text, &error),
        }
        match Template::compile(text, stage) {
            Ok(template) => drop(template.render(&handshake())),
            Err(error) => assert_inside(text, &error),
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        exercise(&text);
    }

    #[test]
    fn nearly_real_text_never_panics(text in close_to_real()) {
        exercise(&text);
    }

    #[test]
    fn text_without_a_dollar_sign_is_its_own_template(text in "[^$]*") {
        let template = Template::compile(&text, Stage::Inbound).expect("literal");
        prop_assert_eq!(template.literal(), Some(text.as_str()));
        prop_assert_eq!(template.render(&handshake()), Ok(text));
    }

    #[test]
    fn every_text_can_be_written_as_a_literal(text in any::<String>()) {
        let source = format!("{:?}", serde_json::Value::from(text.as_str()).to_string());
        let escaped = text.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect::<String>();
        let program = Program::value(&format!("'{escaped}'"), Stage::Inbound).expect(&source);
        prop_assert_eq!(program.evaluate(&handshake()), Ok(crate::Value::from(text)));
    }

    #[test]
    fn a_masked_text_holds_no_secret(before in ".*", secret in "[^*]{4,12}", after in ".*") {
        let text = format!("{before}{secret}{after}");
        prop_assert!(!mask(&text, &[secret.as_str()]).contains(&secret));
    }
}

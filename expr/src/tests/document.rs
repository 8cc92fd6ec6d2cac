//! Every example of `docs/expressions.md` gives what the document says.

use std::collections::BTreeSet;

use super::{assert_same, variables};
use crate::{Stage, Template, Variables, library};

const DOCUMENT: &str = include_str!("../../../docs/expressions.md");

/// The lines of all fenced blocks of a kind.
fn lines(kind: &str) -> Vec<&'static str> {
    let fence = format!("```{kind}\n");
    let blocks = DOCUMENT.split(fence.as_str()).skip(1);
    blocks
        .flat_map(|block| block.split("```").next().unwrap_or("").lines())
        .collect()
}

fn documented_handshake() -> Variables {
    let json = lines("json").join("\n");
    variables(serde_json::from_str(&json).expect("the document's handshake is JSON"))
}

#[test]
fn every_expression_gives_its_documented_result() {
    let vars = documented_handshake();
    let examples = lines("cel");
    assert!(
        examples.len() > 100,
        "found only {} examples",
        examples.len()
    );
    for line in examples {
        let (source, expected) = line.rsplit_once(" => ").expect("source => result");
        assert_same(source, expected, &vars);
    }
}

#[test]
fn every_template_renders_as_documented() {
    let vars = documented_handshake();
    let examples = lines("template");
    assert!(examples.len() > 4, "found only {} examples", examples.len());
    for line in examples {
        let (source, expected) = line.rsplit_once(" => ").expect("template => text");
        let template = Template::compile(source, Stage::OnError).expect(source);
        assert_eq!(template.render(&vars).as_deref(), Ok(expected), "{source}");
    }
}

/// The document is the table of the functions' tests: one that is missing there is not tested.
#[test]
fn every_function_has_an_example() {
    let examples = lines("cel").join("\n");
    let names: BTreeSet<&str> = library::names(true).chain(library::names(false)).collect();
    let missing: Vec<&str> = names
        .into_iter()
        .filter(|name| !examples.contains(&format!("{name}(")))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn every_field_of_every_variable_is_documented() {
    for variable in crate::vocabulary::Variable::ALL {
        let row = format!("\n| `{}` |", variable.name());
        let row = DOCUMENT
            .split(&row)
            .nth(1)
            .and_then(|rest| rest.lines().next());
        let row = row.unwrap_or_else(|| panic!("{} has no row", variable.name()));
        if let crate::types::Type::Object(object) = variable.its_type() {
            for (field, _) in object.fields().iter().filter(|(field, _)| *field != "tls") {
                assert!(
                    row.contains(&format!("`{field}`")),
                    "{}.{field}",
                    variable.name()
                );
            }
        }
    }
}

#[test]
fn the_limits_are_documented() {
    use crate::budget::{MAX_STEPS, MAX_TEXT_BYTES, MAX_VALUE_DEPTH};
    use crate::library::pattern::MAX_PATTERN_BYTES;
    use crate::syntax::{MAX_DEPTH, MAX_SOURCE_BYTES};
    use crate::variables::MAX_VARS_BYTES;
    let limits = [
        format!("| {} KiB |", MAX_SOURCE_BYTES / 1024),
        format!("| {MAX_DEPTH} levels |"),
        format!("| {MAX_VALUE_DEPTH} levels |"),
        format!("| {} MiB |", MAX_VARS_BYTES / 1024 / 1024),
        format!("| {},000 |", MAX_STEPS / 1000),
        format!("| {} MiB |", MAX_TEXT_BYTES / 1024 / 1024),
        format!(
            "| {},{:03} bytes |",
            MAX_PATTERN_BYTES / 1000,
            MAX_PATTERN_BYTES % 1000
        ),
    ];
    for limit in limits {
        assert!(DOCUMENT.contains(&limit), "{limit}");
    }
}

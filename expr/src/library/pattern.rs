//! Regular expressions. They run in linear time; patterns and what is compiled from them are bounded.

use cel::Value;
use regex::{Regex, RegexBuilder};

use super::{Call, Overload};
use crate::check::types::{Item, Type};
use crate::error::Fault;
use crate::value::{list, text};

const TEXT: Type = Type::Text;

/// Longest pattern, in bytes.
pub(crate) const MAX_PATTERN_BYTES: usize = 1024;

/// Compiled size of a literal pattern: compiled once, ahead. Holds `\w{1,32}` with all of Unicode's letters.
const MAX_LITERAL_BYTES: usize = 2 * 1024 * 1024;

/// Compiled size of a pattern made at runtime, and what compiling it costs.
const MAX_DYNAMIC_BYTES: usize = 128 * 1024;
const STEPS_TO_COMPILE: u64 = 5_000;

pub(super) const OVERLOADS: &[Overload] = &[
    Overload::global("matches", &[TEXT, TEXT], Type::Bool, matches),
    Overload::global("matches", &[TEXT, TEXT], Type::Bool, matches).method(),
    Overload::global("find", &[TEXT, TEXT], TEXT, find).method(),
    Overload::global("findAll", &[TEXT, TEXT], Type::List(Item::Text), find_all).method(),
    Overload::global(
        "findAll",
        &[TEXT, TEXT, Type::Int],
        Type::List(Item::Text),
        find_all,
    )
    .method(),
];

/// Functions whose second argument is a pattern.
pub(crate) fn takes_pattern(name: &str) -> bool {
    matches!(name, "matches" | "find" | "findAll")
}

/// Compiles a literal pattern.
pub(crate) fn compile_literal(pattern: &str) -> Result<Regex, String> {
    compile(pattern, MAX_LITERAL_BYTES)
}

fn compile(pattern: &str, max_bytes: usize) -> Result<Regex, String> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(format!(
            "the pattern is longer than {MAX_PATTERN_BYTES} bytes"
        ));
    }
    let mut builder = RegexBuilder::new(pattern);
    builder.size_limit(max_bytes).dfa_size_limit(max_bytes);
    builder.build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the pattern is too big when compiled".to_owned(),
        other => {
            let text = other.to_string();
            let reason = text.rsplit("error: ").next().unwrap_or_default();
            format!("not a regular expression: {}", reason.trim())
        }
    })
}

/// Runs on the pattern that was compiled ahead, or compiles the one at hand.
fn with_regex(
    call: &mut Call<'_>,
    run: impl FnOnce(&mut Call<'_>, &Regex) -> Result<Value, Fault>,
) -> Result<Value, Fault> {
    // The automaton reads a text byte by byte, up to a few times.
    call.budget
        .spend_bytes(call.text(0)?.len().saturating_mul(4))?;
    match call.regex {
        Some(regex) => run(call, regex),
        None => {
            call.budget.spend(STEPS_TO_COMPILE)?;
            let regex = compile(call.text(1)?, MAX_DYNAMIC_BYTES).map_err(Fault::Failed)?;
            run(call, &regex)
        }
    }
}

fn matches(call: &mut Call<'_>) -> Result<Value, Fault> {
    with_regex(call, |call, regex| {
        Ok(Value::Bool(regex.is_match(call.text(0)?)))
    })
}

fn find(call: &mut Call<'_>) -> Result<Value, Fault> {
    with_regex(call, |call, regex| {
        Ok(text(
            regex.find(call.text(0)?).map_or("", |found| found.as_str()),
        ))
    })
}

/// All matches, or the first few; a negative limit means all.
fn find_all(call: &mut Call<'_>) -> Result<Value, Fault> {
    let limit = if call.args.len() > 2 {
        call.int(2)?
    } else {
        -1
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    with_regex(call, |call, regex| {
        let haystack = call.text(0)?.to_owned();
        let mut found = Vec::new();
        for part in regex.find_iter(&haystack).take(limit) {
            // Some patterns look at all the rest of the text for every match.
            call.budget.spend(2)?;
            call.budget
                .spend_bytes((haystack.len() - part.start()) / 2)?;
            found.push(text(part.as_str()));
        }
        Ok(list(found))
    })
}

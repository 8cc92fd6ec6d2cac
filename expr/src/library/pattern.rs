//! Regular expressions. They run in linear time; patterns and what is compiled from them are bounded.

use cel::Value;
use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Hir, HirKind};

use super::{Call, Overload};
use crate::error::Fault;
use crate::types::{Item, Type};
use crate::value::{list, text};

const TEXT: Type = Type::Text;

/// Longest pattern, in bytes.
pub(crate) const MAX_PATTERN_BYTES: usize = 1024;

/// Compiled size of a literal pattern: compiled once, ahead. Holds `\w{1,32}` with all of Unicode's letters.
const MAX_LITERAL_BYTES: usize = 2 * 1024 * 1024;

/// Compiled size of a pattern made at runtime, and what compiling it costs.
const MAX_DYNAMIC_BYTES: usize = 128 * 1024;
const STEPS_TO_COMPILE: u64 = 5_000;

/// Places of a pattern that a match can be at, all at once, when a text is read: so many cost about a step for each
/// byte.
const PLACES_PER_STEP: u64 = 8;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    /// Characters and classes in it, repeated ones as often as they may occur.
    places: u64,
}

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
pub(crate) fn compile_literal(pattern: &str) -> Result<Pattern, String> {
    compile(pattern, MAX_LITERAL_BYTES)
}

fn compile(pattern: &str, max_bytes: usize) -> Result<Pattern, String> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(format!(
            "the pattern is longer than {MAX_PATTERN_BYTES} bytes"
        ));
    }
    let mut builder = RegexBuilder::new(pattern);
    builder.size_limit(max_bytes).dfa_size_limit(max_bytes);
    let regex = builder.build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the pattern is too big when compiled".to_owned(),
        other => {
            let text = other.to_string();
            let reason = text.rsplit("error: ").next().unwrap_or_default();
            format!("not a regular expression: {}", reason.trim())
        }
    })?;
    // What was compiled parses.
    let hir = regex_syntax::parse(pattern).map_err(|error| error.to_string())?;
    let places = places(&hir);
    Ok(Pattern { regex, places })
}

/// At how many places of the pattern a match can be, at most.
fn places(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(_) => 1,
        HirKind::Capture(group) => places(&group.sub),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min.saturating_add(1));
            places(&repetition.sub).saturating_mul(u64::from(times))
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            let sum = |sum: u64, part| sum.saturating_add(places(part));
            parts.iter().fold(0, sum)
        }
    }
}

impl Pattern {
    /// Pays for reading so many bytes: in the worst case each looks at each place.
    fn pay(&self, call: &mut Call<'_>, bytes: usize) -> Result<(), Fault> {
        let looks = self.places.saturating_mul(bytes as u64);
        call.budget.spend(looks / PLACES_PER_STEP)?;
        // The automaton reads a text byte by byte, up to a few times.
        call.budget.spend_bytes(bytes.saturating_mul(4))
    }
}

/// Runs on the pattern that was compiled ahead, or compiles the one at hand.
fn with_pattern(
    call: &mut Call<'_>,
    run: impl FnOnce(&mut Call<'_>, &Pattern) -> Result<Value, Fault>,
) -> Result<Value, Fault> {
    let bytes = call.text(0)?.len();
    if let Some(pattern) = call.pattern {
        pattern.pay(call, bytes)?;
        return run(call, pattern);
    }
    call.budget.spend(STEPS_TO_COMPILE)?;
    let pattern = compile(call.text(1)?, MAX_DYNAMIC_BYTES).map_err(Fault::Failed)?;
    pattern.pay(call, bytes)?;
    run(call, &pattern)
}

fn matches(call: &mut Call<'_>) -> Result<Value, Fault> {
    with_pattern(call, |call, pattern| {
        Ok(Value::Bool(pattern.regex.is_match(call.text(0)?)))
    })
}

fn find(call: &mut Call<'_>) -> Result<Value, Fault> {
    with_pattern(call, |call, pattern| {
        let found = pattern.regex.find(call.text(0)?);
        Ok(text(found.map_or("", |found| found.as_str())))
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
    with_pattern(call, |call, pattern| {
        let haystack = call.text(0)?.to_owned();
        let mut found = Vec::new();
        for part in pattern.regex.find_iter(&haystack).take(limit) {
            // Some patterns look at all the rest of the text for every match.
            call.budget.spend(2)?;
            let rest = haystack.len() - part.start();
            let harder = 1 + usize::try_from(pattern.places / 32).unwrap_or(usize::MAX);
            call.budget.spend_bytes((rest / 2).saturating_mul(harder))?;
            found.push(text(part.as_str()));
        }
        Ok(list(found))
    })
}

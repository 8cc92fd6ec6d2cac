//! What is wrong with a text that is no YAML, in words for its author.

use serde_saphyr::granit_parser::{ErrorKind, ScanError};
use serde_saphyr::localizer::ExternalMessageSource;
use serde_saphyr::{DeserializeError, MessageFormatter as _, UserMessageFormatter};

/// What to change, without the place.
pub fn describe(error: &DeserializeError) -> String {
    use DeserializeError as E;
    match error.without_snippet() {
        E::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("a field");
            format!("{key} is set twice in the same map: remove one of the two")
        }
        E::ExternalMessage { source, msg, .. } => match source.as_ref() {
            ExternalMessageSource::Parser(error) => scanned(error),
            _ => not_yaml(msg),
        },
        E::Budget { .. } | E::AliasReplayLimitExceeded { .. } => {
            "the document is too large or nested too deep to be read".to_owned()
        }
        E::Eof { .. } => ENDS.to_owned(),
        E::UnknownAnchor { .. } => UNKNOWN_ALIAS.to_owned(),
        E::NonFiniteFloat { .. } => {
            "this is read as a number without an end: write it in quotes if it is text".to_owned()
        }
        other => not_yaml(&UserMessageFormatter.format_message(other)),
    }
}

const ENDS: &str = "the document ends too early: a bracket, a brace or a quote is not closed";
const KEY: &str =
    "a field is expected here: write NAME: VALUE, as far to the right as the fields around it";
const UNKNOWN_ALIAS: &str = "*NAME refers to an anchor &NAME that is not set before it";

fn scanned(error: &ScanError) -> String {
    use ErrorKind as K;
    let text = match error.kind() {
        K::UnexpectedEof
        | K::UnexpectedEofFlowSequence
        | K::UnexpectedEofFlowMapping
        | K::UnexpectedEofImplicitFlowMapping
        | K::UnexpectedEofBlockSequence
        | K::UnexpectedEofBlockMapping
        | K::UnclosedFlowCollection { .. } => ENDS,
        K::UnclosedQuotedScalar
        | K::InvalidQuotedScalarIndent
        | K::DocumentIndicatorInQuotedScalar => "a quote is opened and not closed",
        K::InvalidTrailingSingleQuotedScalar | K::InvalidTrailingDoubleQuotedScalar => {
            "text after the closing quote: write all of it in quotes"
        }
        K::ExpectedBlockMappingKey | K::SimpleKeyExpected | K::InvalidSimpleKey => KEY,
        K::MappingValueNotAllowed => {
            "a second value on this line: write text with a colon in quotes, and each field on its own line"
        }
        K::InvalidColonPlacement => {
            "a colon inside brackets: close the bracket before it, or write text with a colon in quotes"
        }
        K::MappingKeyNotAllowed | K::BlockSequenceEntryNotAllowed | K::InvalidIndentation => {
            "the indentation is not that of the lines around it: items and fields of one list or map start in \
             the same column"
        }
        K::ExpectedFlowMappingSeparator => "a comma or } is missing here",
        K::ExpectedFlowSequenceSeparator => "a comma or ] is missing here",
        K::MisplacedFlowCollectionEnd => "a ] or } without its [ or {",
        K::MismatchedFlowCollectionEnd { open, close } => {
            return format!("{open} is closed with {close}");
        }
        K::TabInBlockIndentation | K::TabInIndentation | K::TabNotAllowed | K::TabInPlainScalar => {
            "a tab: YAML is indented with spaces only"
        }
        K::UnexpectedCharacter { character } => {
            return format!("text cannot start with {character}: write it in quotes");
        }
        K::UnknownAnchor => UNKNOWN_ALIAS,
        K::UnknownQuotedScalarEscape => {
            "\\ before a character that has no meaning there: write text with \\ in single quotes"
        }
        K::RecursionLimitExceeded => "the document is nested too deep to be read",
        _ => return not_yaml(&error.kind().to_string()),
    };
    text.to_owned()
}

fn not_yaml(why: &str) -> String {
    format!("this is not valid YAML: {why}")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_broken_text_is_explained_without_a_second_place() {
        for (text, wanted) in [
            ("a: 1\na: 2\n", "a is set twice in the same map"),
            ("a: b: c\n", "write text with a colon in quotes"),
            ("a: [1, 2\nb: 3\n", "close the bracket"),
            ("a: \"x\n", "not closed"),
            ("a:\n  b: 1\n c: 2\n", ""),
            ("a:\n\tb: 1\n", "a tab"),
            ("a: @b\n", "text cannot start with @"),
            ("a: *nobody\n", "refers to an anchor"),
            ("a: \"\\q\"\n", "single quotes"),
            ("a: {b: 1]\n", ""),
        ] {
            let error = serde_saphyr::from_str::<Value>(text).unwrap_err();
            let described = describe(&error);
            assert!(described.contains(wanted), "{text:?}: {described}");
            for library in [
                "line ",
                "column",
                "mapping values",
                "while parsing",
                "scalar",
            ] {
                assert!(!described.contains(library), "{text:?}: {described}");
            }
        }
    }
}

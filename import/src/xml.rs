//! Policy documents are almost XML: they contain unescaped expressions.
//!
//! Before parsing, the characters of expressions that XML forbids are replaced by others of the same
//! width in columns, so that positions stay those of the file; afterwards they are put back.

use std::ops::Range;

use roxmltree::{Document, ParsingOptions};

/// Replaced characters, and the private use characters that replace them.
///
/// Line ends are among them because XML joins the lines of an attribute.
const STANDINS: [(char, char); 5] = [
    ('"', '\u{e000}'),
    ('<', '\u{e001}'),
    ('&', '\u{e002}'),
    ('\'', '\u{e003}'),
    ('\n', '\u{e004}'),
];

const ENTITIES: [&str; 6] = ["&quot;", "&lt;", "&gt;", "&amp;", "&apos;", "&#"];

/// API Management limits a document to 512 KiB.
const MAX_LENGTH: usize = 1024 * 1024;

/// More nodes than any allowed document has.
const MAX_NODES: u32 = 200_000;

/// Why a document cannot be parsed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("the document is longer than 1 MiB")]
    TooLong,
    #[error("the document contains characters U+E000 to U+E004")]
    Standins,
    #[error("this expression has no end")]
    NoEnd {
        /// Offset of its first byte.
        at: usize,
    },
}

/// The document with replaced characters in its expressions.
pub(crate) fn protect(text: &str) -> Result<String, Unreadable> {
    if text.len() > MAX_LENGTH {
        return Err(Unreadable::TooLong);
    }
    if text.contains(STANDINS.map(|(_, standin)| standin)) {
        return Err(Unreadable::Standins);
    }
    let mut found = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let length = verbatim_length(rest);
        let is_start = rest.starts_with("@(") || rest.starts_with("@{");
        let before = found.trim_end().chars().next_back();
        if length > 0 {
            found.push_str(&rest[..length]);
            rest = &rest[length..];
        } else if is_start && matches!(before, Some('"' | '\'' | '>')) {
            let at = text.len() - rest.len();
            let (end, comments) = end(rest).ok_or(Unreadable::NoEnd { at })?;
            replace(&rest[..end], &comments, &mut found);
            rest = &rest[end..];
        } else {
            let first = rest.chars().next().map_or(1, char::len_utf8);
            found.push_str(&rest[..first]);
            rest = &rest[first..];
        }
    }
    Ok(found)
}

/// Parses the result of `protect`. A document must not declare entities, which could grow without bound.
pub(crate) fn parse(protected: &str) -> Result<Document<'_>, roxmltree::Error> {
    let options = ParsingOptions {
        nodes_limit: MAX_NODES,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(protected, options)
}

/// Line and column of a byte in the result of `protect`, as in the file.
pub(crate) fn position(protected: &str, at: usize) -> (u32, u32) {
    let before = restore(protected.get(..at).unwrap_or(protected));
    let line = before.rsplit('\n').next().unwrap_or_default();
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let row = before.matches('\n').count() + 1;
    (narrow(row), narrow(line.chars().count() + 1))
}

/// The same for a place that the parser reports.
pub(crate) fn reported(protected: &str, at: roxmltree::TextPos) -> (u32, u32) {
    let rows = usize::try_from(at.row).unwrap_or(1).saturating_sub(1);
    let before: usize = protected
        .split_inclusive('\n')
        .take(rows)
        .map(str::len)
        .sum();
    let line = protected.get(before..).unwrap_or_default();
    let columns = usize::try_from(at.col).unwrap_or(1).saturating_sub(1);
    let within = line
        .char_indices()
        .nth(columns)
        .map_or(line.len(), |(at, _)| at);
    position(protected, before + within)
}

/// Puts the replaced characters back.
pub(crate) fn restore(text: &str) -> String {
    let back = |c| STANDINS.iter().find(|(_, standin)| *standin == c);
    text.chars()
        .map(|c| back(c).map_or(c, |(original, _)| *original))
        .collect()
}

/// Length of a comment or CDATA section at the start.
fn verbatim_length(rest: &str) -> usize {
    for (open, close) in [("<!--", "-->"), ("<![CDATA[", "]]>")] {
        if rest.starts_with(open) {
            return rest.find(close).map_or(rest.len(), |at| at + close.len());
        }
    }
    0
}

/// Comments become spaces.
fn replace(expression: &str, comments: &[Range<usize>], found: &mut String) {
    let mut comments = comments.iter().peekable();
    for (at, c) in expression.char_indices() {
        while comments.next_if(|comment| comment.end <= at).is_some() {}
        if comments.peek().is_some_and(|comment| comment.contains(&at)) {
            found.push(if c == '\n' { '\u{e004}' } else { ' ' });
            continue;
        }
        let is_entity = ENTITIES
            .iter()
            .any(|entity| expression[at..].starts_with(entity));
        let standin = STANDINS.iter().find(|(original, _)| *original == c);
        match standin {
            Some((_, standin)) if !is_entity => found.push(*standin),
            _ => found.push(c),
        }
    }
}

/// Length of the comment at the start.
fn comment_length(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    let inner = rest.strip_prefix("/*")?;
    inner.find("*/").map(|at| at + 4)
}

/// Where the expression at the start ends, after the bracket that closes its first one, and the
/// comments in it.
fn end(rest: &str) -> Option<(usize, Vec<Range<usize>>)> {
    let (mut depth, mut at, mut quote) = (0_usize, 1, None);
    // In `@"…"`, a backslash is no escape.
    let mut is_verbatim = false;
    let mut comments = Vec::new();
    while let Some(c) = rest[at..].chars().next() {
        if quote.is_none()
            && let Some(length) = comment_length(&rest[at..])
        {
            comments.push(at..at + length);
            at += length;
            continue;
        }
        let (c, length) = match rest[at..].starts_with("&quot;") {
            true => ('"', "&quot;".len()),
            false => (c, c.len_utf8()),
        };
        at += length;
        match (quote, c) {
            (Some(_), '\\') if !is_verbatim => {
                let is_entity = rest[at..].starts_with("&quot;");
                let next = rest[at..].chars().next().map_or(0, char::len_utf8);
                at += if is_entity { "&quot;".len() } else { next };
            }
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => {
                is_verbatim = rest[..at - length].ends_with('@');
                quote = Some(c);
            }
            (None, '(' | '{' | '[') => depth += 1,
            (None, ')' | '}' | ']') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some((at, comments));
                }
            }
            (None, _) => {}
        }
    }
    None
}

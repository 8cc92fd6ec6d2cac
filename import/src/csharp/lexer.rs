//! Splits a text into tokens.

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

use super::Unreadable;

/// A token and its line, counted from 1.
pub(super) type Placed = (Token, usize);

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or keyword.
    Name(String),
    /// A string or character literal, unescaped.
    Text(String),
    /// `$"…{…}…"`.
    Interpolated(Vec<Piece>),
    /// `{{name}}` outside a text: API Management puts the value of the name here.
    Named(String),
    /// An integer literal.
    Int(i64),
    /// An operator or bracket.
    Mark(&'static str),
}

/// A part of an interpolated string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Literal text.
    Text(String),
    /// The expression between braces.
    Hole(Vec<Placed>),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name:?}"),
            Self::Text(_) | Self::Interpolated(_) => f.write_str("a text"),
            Self::Named(name) => write!(f, "{{{{{name}}}}}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Mark(mark) => write!(f, "{mark:?}"),
        }
    }
}

/// Longer marks first: the first match is used.
const MARKS: [&str; 34] = [
    "=>", "==", "!=", "<=", ">=", "&&", "||", "??", "?.", "++", "--", "+=", "-=", "(", ")", "[",
    "]", "{", "}", ",", ".", ";", ":", "?", "=", "<", ">", "+", "-", "*", "!", "/", "%", "|",
];

/// All tokens of `text`.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, Unreadable> {
    read(text, true)
}

/// An interpolated string must not contain another one: nesting would be unbounded.
fn read(text: &str, interpolates: bool) -> Result<Vec<Placed>, Unreadable> {
    let (mut found, mut line) = (Vec::new(), 1);
    let mut rest = text;
    loop {
        let after = after_space(rest)?;
        line += rest[..rest.len() - after.len()].matches('\n').count();
        rest = after;
        let Some(first) = rest.chars().next() else {
            return Ok(found);
        };
        let (token, length) = token(rest, first, interpolates)
            .map_err(|Unreadable(why)| Unreadable(in_line(line, &why)))?;
        found.push((token, line));
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
}

/// A message about a line.
pub(crate) fn in_line(line: usize, what: &str) -> String {
    format!("line {line} of the expression: {what}")
}

/// The token at the start of `rest`, and its length.
fn token(rest: &str, first: char, interpolates: bool) -> Result<(Token, usize), Unreadable> {
    if first.is_alphabetic() || first == '_' {
        return Ok(name(rest));
    }
    if first.is_ascii_digit() {
        return number(rest);
    }
    if let Some(named) = named(rest) {
        return Ok(named);
    }
    if let Some(body) = rest.strip_prefix("$\"").filter(|_| interpolates) {
        let (pieces, length) = interpolated(body)?;
        return Ok((Token::Interpolated(pieces), length + 2));
    }
    if let Some(body) = rest.strip_prefix("@\"") {
        let (text, length) = verbatim(body)?;
        return Ok((Token::Text(text), length + 2));
    }
    if first == '"' || first == '\'' {
        let (text, length) = quoted(&rest[1..], first)?;
        return Ok((Token::Text(text), length + 1));
    }
    mark(rest)
}

/// `{{name}}`
fn named(rest: &str) -> Option<(Token, usize)> {
    let (name, _) = rest.strip_prefix("{{")?.split_once("}}")?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-. ".contains(c);
    let is_name = !name.trim().is_empty() && name.chars().all(fits);
    is_name.then(|| (Token::Named(name.trim().to_owned()), name.len() + 4))
}

/// Skips white space and comments.
fn after_space(text: &str) -> Result<&str, Unreadable> {
    let mut rest = text.trim_start();
    loop {
        rest = if let Some(comment) = rest.strip_prefix("//") {
            comment.split_once('\n').map_or("", |(_, after)| after)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            match comment.split_once("*/") {
                Some((_, after)) => after,
                None => return Err(Unreadable("a comment has no end".to_owned())),
            }
        } else {
            return Ok(rest);
        };
        rest = rest.trim_start();
    }
}

/// The pieces after `$"`, and their length with the last quote. `{{name}}` is a named value, which
/// is inserted before C# is parsed.
fn interpolated(body: &str) -> Result<(Vec<Piece>, usize), Unreadable> {
    let (mut pieces, mut text) = (Vec::new(), String::new());
    let mut rest = body;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match c {
            '"' => {
                if !text.is_empty() {
                    pieces.push(Piece::Text(text));
                }
                return Ok((pieces, body.len() - after.len()));
            }
            '\\' => {
                let mut chars = after.chars().peekable();
                text.push(escaped(&mut chars)?);
                rest = chars_left(after, 1);
            }
            '{' if after.starts_with('{') => {
                let Some(end) = rest.find("}}") else {
                    return Err(Unreadable("a named value has no end".to_owned()));
                };
                text.push_str(&rest[..end + 2]);
                rest = &rest[end + 2..];
            }
            '{' => {
                let Some(end) = hole(after) else {
                    return Err(Unreadable("a string has no end".to_owned()));
                };
                pieces.push(Piece::Text(std::mem::take(&mut text)));
                pieces.push(Piece::Hole(read(&after[..end], false)?));
                rest = &after[end + 1..];
            }
            '}' => {
                return Err(Unreadable(
                    "a brace in a string is not supported".to_owned(),
                ));
            }
            c => {
                text.push(c);
                rest = after;
            }
        }
    }
    Err(Unreadable("a string has no end".to_owned()))
}

fn chars_left(text: &str, skipped: usize) -> &str {
    text.char_indices()
        .nth(skipped)
        .map_or("", |(at, _)| &text[at..])
}

/// Position of the brace that closes the expression of an interpolated string. Strings in it are skipped.
fn hole(text: &str) -> Option<usize> {
    let (mut depth, mut in_text) = (0_usize, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => in_text = !in_text,
            _ if in_text => {}
            '(' | '[' | '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            ')' | ']' | '}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

fn name(rest: &str) -> (Token, usize) {
    let length = rest
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    (Token::Name(rest[..length].to_owned()), length)
}

fn number(rest: &str) -> Result<(Token, usize), Unreadable> {
    let length = rest
        .find(|c: char| !c.is_alphanumeric())
        .unwrap_or(rest.len());
    let digits = &rest[..length];
    match digits.parse() {
        Ok(value) => Ok((Token::Int(value), length)),
        Err(_) => Err(Unreadable(format!(
            "the number {digits:?} is not supported"
        ))),
    }
}

fn mark(rest: &str) -> Result<(Token, usize), Unreadable> {
    MARKS
        .into_iter()
        .find(|mark| rest.starts_with(mark))
        .map(|mark| (Token::Mark(mark), mark.len()))
        .ok_or_else(|| {
            let found = rest.chars().next().unwrap_or_default();
            Unreadable(format!("{found:?} is not supported"))
        })
}

/// A literal after its first quote, and its length with the last one.
fn quoted(body: &str, quote: char) -> Result<(String, usize), Unreadable> {
    let mut text = String::new();
    let mut chars = body.chars().peekable();
    let mut length = 0;
    while let Some(c) = chars.next() {
        length += c.len_utf8();
        match c {
            c if c == quote => return Ok((text, length)),
            '\\' => {
                text.push(escaped(&mut chars)?);
                length += 1;
            }
            c => text.push(c),
        }
    }
    Err(Unreadable("a string has no end".to_owned()))
}

fn escaped(chars: &mut Peekable<Chars<'_>>) -> Result<char, Unreadable> {
    match chars.next() {
        Some('n') => Ok('\n'),
        Some('r') => Ok('\r'),
        Some('t') => Ok('\t'),
        Some(c @ ('\\' | '"' | '\'')) => Ok(c),
        _ => Err(Unreadable(
            "this escape sequence is not supported".to_owned(),
        )),
    }
}

/// The same for `@"…"`, where two quotes are one.
fn verbatim(body: &str) -> Result<(String, usize), Unreadable> {
    let mut text = String::new();
    let mut rest = body;
    while let Some(end) = rest.find('"') {
        text.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        let Some(more) = rest.strip_prefix('"') else {
            return Ok((text, body.len() - rest.len()));
        };
        text.push('"');
        rest = more;
    }
    Err(Unreadable("a string has no end".to_owned()))
}

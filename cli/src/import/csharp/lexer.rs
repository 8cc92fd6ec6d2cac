//! Text to tokens.

use std::iter::Peekable;
use std::str::Chars;

use super::Unreadable;

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or keyword.
    Name(String),
    /// A text or character literal, unescaped.
    Text(String),
    /// An integer literal.
    Int(i64),
    /// An operator or bracket.
    Mark(&'static str),
}

/// Longer ones first: the first that fits is taken.
const MARKS: [&str; 27] = [
    "==", "!=", "<=", ">=", "&&", "||", "??", "?.", "(", ")", "[", "]", "{", "}", ",", ".", ";",
    ":", "?", "=", "<", ">", "+", "-", "*", "!", "/",
];

/// All tokens of `text`.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Unreadable> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = if first.is_alphabetic() || first == '_' {
            name(rest)
        } else if first.is_ascii_digit() {
            number(rest)?
        } else if let Some(body) = rest.strip_prefix("@\"") {
            let (text, length) = verbatim(body)?;
            (Token::Text(text), length + 2)
        } else if first == '"' || first == '\'' {
            let (text, length) = quoted(&rest[1..], first)?;
            (Token::Text(text), length + 1)
        } else {
            mark(rest)?
        };
        found.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(found)
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
        Err(_) => Err(Unreadable(format!("the number {digits:?} is not read"))),
    }
}

fn mark(rest: &str) -> Result<(Token, usize), Unreadable> {
    if rest.starts_with("//") || rest.starts_with("/*") {
        return Err(Unreadable("comments are not read".to_owned()));
    }
    MARKS
        .into_iter()
        .find(|mark| rest.starts_with(mark))
        .map(|mark| (Token::Mark(mark), mark.len()))
        .ok_or_else(|| {
            let found = rest.chars().next().unwrap_or_default();
            Unreadable(format!("{found:?} is not read"))
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
    Err(Unreadable("a text has no end".to_owned()))
}

fn escaped(chars: &mut Peekable<Chars<'_>>) -> Result<char, Unreadable> {
    match chars.next() {
        Some('n') => Ok('\n'),
        Some('r') => Ok('\r'),
        Some('t') => Ok('\t'),
        Some(c @ ('\\' | '"' | '\'')) => Ok(c),
        _ => Err(Unreadable("this escape in a text is not read".to_owned())),
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
    Err(Unreadable("a text has no end".to_owned()))
}

//! Characters to tokens.

use std::fmt;

use cel::Value;

use super::literal;
use crate::error::CompileError;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Name(String),
    /// A field name in backticks, which may hold `-`, `.`, `/` and blanks.
    Quoted(String),
    Literal(Value),
    /// A whole number without its sign, too big for int unless a minus stands before it.
    HugeInt,
    Sign(&'static str),
    End,
}

/// What a reader of an error message sees for a token.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "\"{name}\""),
            Self::Quoted(name) => write!(f, "`{name}`"),
            Self::Literal(value) => write!(f, "a {}", crate::value::type_name(value)),
            Self::HugeInt => write!(f, "an int"),
            Self::Sign(sign) => write!(f, "\"{sign}\""),
            Self::End => write!(f, "the end"),
        }
    }
}

/// Longer signs first, so that `==` is not read as two.
const SIGNS: [&str; 24] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "+", "-", "*", "/", "%", "?", ":", ",", ".",
    "(", ")", "[", "]", "{", "}",
];

/// Reads tokens one after the other from a place in a text.
pub(crate) struct Lexer<'a> {
    chars: &'a [char],
    at: usize,
}

impl<'a> Lexer<'a> {
    /// Starts at a character offset of the text; all positions count from the start of the text.
    pub(crate) fn new(chars: &'a [char], at: usize) -> Self {
        Self { chars, at }
    }

    /// The next token and where it starts.
    pub(crate) fn next(&mut self) -> Result<(usize, Token), CompileError> {
        self.skip_blanks();
        let start = self.at;
        let Some(first) = self.peek(0) else {
            return Ok((start, Token::End));
        };
        let token = if let Some(prefix) = literal::text_prefix(&self.chars[start..]) {
            self.at += prefix.len;
            Token::Literal(literal::read_text(self.chars, &mut self.at, start, prefix)?)
        } else if first.is_ascii_digit() || (first == '.' && self.digit(1)) {
            literal::read_number(self.chars, &mut self.at)?
        } else if first.is_ascii_alphabetic() || first == '_' {
            Token::Name(self.take_while(|c| c.is_ascii_alphanumeric() || c == '_'))
        } else if first == '`' {
            self.quoted_name()?
        } else {
            self.sign()?
        };
        Ok((start, token))
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn digit(&self, ahead: usize) -> bool {
        self.peek(ahead).is_some_and(|c| c.is_ascii_digit())
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let rest = &self.chars[self.at..];
        let taken: String = rest.iter().copied().take_while(|c| wanted(*c)).collect();
        self.at += taken.chars().count();
        taken
    }

    fn skip_blanks(&mut self) {
        loop {
            self.take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}'));
            if self.peek(0) != Some('/') || self.peek(1) != Some('/') {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    fn quoted_name(&mut self) -> Result<Token, CompileError> {
        let start = self.at;
        self.at += 1;
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || "_.-/ ".contains(c));
        if self.peek(0) != Some('`') || name.is_empty() {
            let message = "a field name in backticks may have letters, digits, _ . - / and spaces";
            return Err(CompileError::new(start, message));
        }
        self.at += 1;
        Ok(Token::Quoted(name))
    }

    fn sign(&mut self) -> Result<Token, CompileError> {
        let stands_here = |sign: &&&str| {
            sign.chars()
                .enumerate()
                .all(|(i, c)| self.peek(i) == Some(c))
        };
        match SIGNS.iter().find(stands_here) {
            Some(sign) => {
                self.at += sign.len();
                Ok(Token::Sign(sign))
            }
            None => Err(self.unknown_sign()),
        }
    }

    /// What people type from other languages, with what they mean.
    fn unknown_sign(&self) -> CompileError {
        let found = self.peek(0).unwrap_or(' ');
        let error = CompileError::new(self.at, format!("unexpected character {found:?}"));
        match found {
            '=' => error.suggest(Some("==".to_owned())),
            '&' => error.suggest(Some("&&".to_owned())),
            '|' => error.suggest(Some("||".to_owned())),
            _ => error,
        }
    }
}

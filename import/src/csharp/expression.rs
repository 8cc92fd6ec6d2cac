//! Parses tokens into expressions.

use super::Unreadable;
use super::lexer::{Piece, Placed, Token, in_line, tokens};
use super::tree::Expr;

/// Deeper nesting would only exhaust the stack.
pub(super) const MAX_DEPTH: usize = 40;

/// Binary operators, weakest first.
const LEVELS: [&[&str]; 7] = [
    &["??"],
    &["||"],
    &["&&"],
    &["==", "!="],
    &["<", ">", "<=", ">="],
    &["+", "-"],
    &["*", "/", "%"],
];

/// `new T { … }`
const INITIALIZER: &str = "an object with an initializer is not translated";

/// Types that a cast may name.
const TYPES: [&str; 11] = [
    "string",
    "String",
    "bool",
    "int",
    "long",
    "IResponse",
    "JArray",
    "JObject",
    "JToken",
    "JValue",
    "Jwt",
];

/// Reads tokens from first to last.
pub(super) struct Parser {
    tokens: Vec<Placed>,
    at: usize,
    depth: usize,
}

impl Parser {
    pub(super) fn new(text: &str) -> Result<Self, Unreadable> {
        Ok(Self {
            tokens: tokens(text)?,
            at: 0,
            depth: 0,
        })
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.tokens.len()
    }

    pub(super) fn skip(&mut self, tokens: usize) {
        self.at += tokens;
    }

    pub(super) fn take(&mut self, mark: &str) -> bool {
        let found = self.peek(0) == Some(mark);
        self.at += usize::from(found);
        found
    }

    /// The mark `ahead` tokens from here.
    pub(super) fn peek(&self, ahead: usize) -> Option<&'static str> {
        match self.tokens.get(self.at + ahead) {
            Some((Token::Mark(mark), _)) => Some(mark),
            _ => None,
        }
    }

    pub(super) fn word(&self, ahead: usize) -> Option<&str> {
        match self.tokens.get(self.at + ahead) {
            Some((Token::Name(name), _)) => Some(name),
            _ => None,
        }
    }

    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let found = self.word(0) == Some(word);
        self.at += usize::from(found);
        found
    }

    /// The present line.
    pub(super) fn line(&self) -> usize {
        let here = self.tokens.get(self.at).or(self.tokens.last());
        here.map_or(1, |(_, line)| *line)
    }

    /// An error about the present line.
    pub(super) fn no<T>(&self, what: &str) -> Result<T, Unreadable> {
        Err(Unreadable(in_line(self.line(), what)))
    }

    fn name(&mut self) -> Result<String, Unreadable> {
        let found = self.word(0).map(str::to_owned);
        self.at += 1;
        found.map_or_else(|| self.no("a name is missing"), Ok)
    }

    pub(super) fn expect(&mut self, mark: &str) -> Result<(), Unreadable> {
        if self.take(mark) {
            return Ok(());
        }
        self.no(&format!("{mark:?} is missing"))
    }

    pub(super) fn end(&self) -> Result<(), Unreadable> {
        match self.tokens.get(self.at) {
            None => Ok(()),
            Some((token, _)) => self.no(&format!("{token} is not supported here")),
        }
    }

    pub(super) fn deeper(&mut self) -> Result<(), Unreadable> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Unreadable("it is nested too deeply".to_owned()));
        }
        Ok(())
    }

    pub(super) fn shallower(&mut self) {
        self.depth -= 1;
    }

    pub(super) fn expression(&mut self) -> Result<Expr, Unreadable> {
        self.deeper()?;
        let found = if self.peek(1) == Some("=>") {
            let name = self.name()?;
            self.skip(1);
            Expr::Lambda(name, Box::new(self.expression()?))
        } else {
            let condition = self.binary(0)?;
            if self.take("?") {
                let then = self.expression()?;
                self.expect(":")?;
                let otherwise = self.expression()?;
                Expr::Choice(Box::new(condition), Box::new(then), Box::new(otherwise))
            } else {
                condition
            }
        };
        self.shallower();
        Ok(found)
    }

    fn binary(&mut self, level: usize) -> Result<Expr, Unreadable> {
        let Some(marks) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1)?;
        let mut chain = 0;
        while let Some(mark) = self.peek(0).filter(|mark| marks.contains(mark)) {
            self.at += 1;
            chain += 1;
            if chain > MAX_DEPTH {
                return Err(Unreadable("it is too long".to_owned()));
            }
            // `a ?? b ?? c` groups to the right, all others to the left.
            self.deeper()?;
            let right = self.binary(if mark == "??" { level } else { level + 1 })?;
            self.shallower();
            left = Expr::Binary(mark, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, Unreadable> {
        self.deeper()?;
        let cast = match (self.peek(0), self.word(1), self.peek(2)) {
            (Some("("), Some(name), Some(")")) if TYPES.contains(&name) => Some(name.to_owned()),
            _ => None,
        };
        let found = if let Some(name) = cast {
            self.at += 3;
            Expr::Cast(name, Box::new(self.unary()?))
        } else if self.take("!") {
            Expr::Not(Box::new(self.unary()?))
        } else {
            self.postfix()?
        };
        self.shallower();
        Ok(found)
    }

    fn postfix(&mut self) -> Result<Expr, Unreadable> {
        let mut found = self.primary()?;
        for _ in 0..MAX_DEPTH {
            let is_conditional = self.peek(0) == Some("?.");
            if self.take(".") || self.take("?.") {
                found = Expr::Member(Box::new(found), self.name()?, is_conditional);
            } else if self.take_index() {
                let index = self.expression()?;
                self.expect("]")?;
                found = Expr::Index(Box::new(found), Box::new(index));
            } else if let Some(of) = self.type_argument() {
                found = Expr::Call(Box::new(found), Some(of), self.arguments()?);
            } else if self.take("(") {
                found = Expr::Call(Box::new(found), None, self.arguments()?);
            } else {
                return Ok(found);
            }
        }
        Err(Unreadable("it is too long".to_owned()))
    }

    /// `[`, or `?[`: an index of null fails here, too.
    fn take_index(&mut self) -> bool {
        let is_conditional = self.peek(0) == Some("?") && self.peek(1) == Some("[");
        self.at += usize::from(is_conditional);
        self.take("[")
    }

    /// The type argument of `<T>(`, if it is next.
    fn type_argument(&mut self) -> Option<String> {
        let marks = (self.peek(0), self.peek(2), self.peek(3));
        if marks != (Some("<"), Some(">"), Some("(")) {
            return None;
        }
        let name = self.word(1)?.to_owned();
        self.at += 4;
        Some(name)
    }

    /// The arguments after the opening bracket. A named argument is supported only if it is the only one.
    fn arguments(&mut self) -> Result<Vec<Expr>, Unreadable> {
        let mut found = Vec::new();
        if self.take(")") {
            return Ok(found);
        }
        loop {
            if self.word(0) == Some("preserveContent") && self.peek(1) == Some(":") {
                self.skip(2);
            }
            found.push(self.expression()?);
            if !self.take(",") {
                self.expect(")")?;
                return Ok(found);
            }
        }
    }

    fn primary(&mut self) -> Result<Expr, Unreadable> {
        if self.take("(") {
            let found = self.expression()?;
            self.expect(")")?;
            return Ok(found);
        }
        if self.take_word("new") {
            return self.made();
        }
        if let (Some("-"), Some((Token::Int(value), _))) =
            (self.peek(0), self.tokens.get(self.at + 1))
        {
            let value = -*value;
            self.skip(2);
            return Ok(Expr::Int(value));
        }
        let token = self.tokens.get(self.at).map(|(token, _)| token.clone());
        let found = match token {
            Some(Token::Text(text)) => Expr::Text(text),
            Some(Token::Interpolated(pieces)) => self.interpolated(pieces)?,
            Some(Token::Int(value)) => Expr::Int(value),
            Some(Token::Named(name)) => Expr::Named(name),
            Some(Token::Name(name)) => word(name),
            Some(token) => return self.no(&format!("{token} is not supported here")),
            None => return self.no("it ends too early"),
        };
        self.at += 1;
        Ok(found)
    }

    /// The expression after `new`.
    fn made(&mut self) -> Result<Expr, Unreadable> {
        if self.peek(0) == Some("[") && self.peek(1) == Some("]") {
            self.skip(2);
            return self.list();
        }
        if self.take("{") {
            return self.fields();
        }
        let mut name = self.name()?;
        while self.take(".") {
            name = self.name()?;
        }
        let is_list = self.take_element_type();
        if self.peek(0) == Some("[") && self.peek(1) == Some("]") {
            self.skip(2);
            return self.list();
        }
        if is_list && self.peek(0) == Some("{") {
            return self.list();
        }
        match self.peek(0) {
            Some("{") => return self.no(INITIALIZER),
            Some("[") => return self.no("an array with a size is not translated"),
            _ => self.expect("(")?,
        }
        let arguments = self.arguments()?;
        if !is_list && self.peek(0) == Some("{") {
            return self.no(INITIALIZER);
        }
        match is_list && arguments.is_empty() {
            true if self.peek(0) == Some("{") => self.list(),
            true => Ok(Expr::List(Vec::new())),
            false => Ok(Expr::New(name, arguments)),
        }
    }

    /// `<string>` behind the name of a type.
    fn take_element_type(&mut self) -> bool {
        let is_next = self.peek(0) == Some("<") && self.peek(2) == Some(">");
        let found = is_next && self.word(1).is_some();
        self.at += if found { 3 } else { 0 };
        found
    }

    /// `{ a, b }`
    fn list(&mut self) -> Result<Expr, Unreadable> {
        self.expect("{")?;
        let mut items = Vec::new();
        while !self.take("}") {
            items.push(self.expression()?);
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(Expr::List(items))
    }

    /// `a = b, … }`
    fn fields(&mut self) -> Result<Expr, Unreadable> {
        let mut fields = Vec::new();
        while !self.take("}") {
            let name = self.name()?;
            self.expect("=")?;
            fields.push((name, self.expression()?));
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(Expr::Object(fields))
    }

    /// The sum of its pieces. It starts with a string, so that all are joined as strings.
    fn interpolated(&mut self, pieces: Vec<Piece>) -> Result<Expr, Unreadable> {
        if pieces.len() > MAX_DEPTH {
            return Err(Unreadable("it is too long".to_owned()));
        }
        let mut found = Expr::Text(String::new());
        for piece in pieces {
            let part = match piece {
                Piece::Text(text) => Expr::Text(text),
                Piece::Hole(tokens) => {
                    let mut inner = Self {
                        tokens,
                        at: 0,
                        depth: self.depth,
                    };
                    let part = inner.expression()?;
                    inner.end()?;
                    part
                }
            };
            found = match (found, part) {
                (Expr::Text(empty), Expr::Text(text)) if empty.is_empty() => Expr::Text(text),
                (found, part) => Expr::Binary("+", Box::new(found), Box::new(part)),
            };
        }
        Ok(found)
    }
}

/// A name, or a word with a meaning.
fn word(name: String) -> Expr {
    match name.as_str() {
        "true" => Expr::Bool(true),
        "false" => Expr::Bool(false),
        "null" => Expr::Null,
        _ => Expr::Name(name),
    }
}

//! Statements: declarations, assignments, `if` and `return`.

use super::Unreadable;
use super::expression::{MAX_DEPTH, Parser};
use super::tree::{Expr, Stmt};

/// Types that a declaration may name.
const TYPES: [&str; 13] = [
    "var",
    "string",
    "String",
    "bool",
    "int",
    "long",
    "object",
    "IResponse",
    "JArray",
    "JObject",
    "JToken",
    "Jwt",
    "Uri",
];

/// The statements of `@(…)` or `@{…}`: the former is one `return`.
pub(crate) fn parse(text: &str) -> Result<Vec<Stmt>, Unreadable> {
    let inner = |open, close| text.strip_prefix(open)?.strip_suffix(close);
    if let Some(expression) = inner("@(", ')') {
        let mut parser = Parser::new(expression)?;
        let found = parser.expression()?;
        parser.end()?;
        return Ok(vec![Stmt::Return(found)]);
    }
    let Some(block) = inner("@{", '}') else {
        return Err(Unreadable("this is not a complete expression".to_owned()));
    };
    let mut parser = Parser::new(block)?;
    let mut found = Vec::new();
    while !parser.is_at_end() {
        found.push(parser.statement()?);
        if found.len() > MAX_DEPTH {
            return Err(Unreadable("it has too many statements".to_owned()));
        }
    }
    Ok(found)
}

impl Parser {
    fn statement(&mut self) -> Result<Stmt, Unreadable> {
        self.deeper()?;
        let found = if self.take_word("return") {
            let value = self.expression()?;
            self.expect(";")?;
            Stmt::Return(value)
        } else if self.take_word("if") {
            self.expect("(")?;
            let condition = self.expression()?;
            self.expect(")")?;
            let then = self.block()?;
            let otherwise = match self.take_word("else") {
                true => self.block()?,
                false => Vec::new(),
            };
            Stmt::If(condition, then, otherwise)
        } else {
            self.assignment()?
        };
        self.shallower();
        Ok(found)
    }

    /// A declaration if it starts with a type, else an assignment.
    fn assignment(&mut self) -> Result<Stmt, Unreadable> {
        let no = || Err(Unreadable("this statement is not supported".to_owned()));
        let is_declared = self.word(0).is_some_and(|word| TYPES.contains(&word));
        let is_array = is_declared && self.peek(1) == Some("[") && self.peek(2) == Some("]");
        let name_at = match (is_declared, is_array) {
            (true, true) => 3,
            (true, false) => 1,
            _ => 0,
        };
        let Some(name) = self.word(name_at).map(str::to_owned) else {
            return no();
        };
        let is_sum = self.peek(name_at + 1) == Some("+") && self.peek(name_at + 2) == Some("=");
        let marks = match (is_sum && !is_declared, self.peek(name_at + 1)) {
            (true, _) => 2,
            (false, Some("=")) => 1,
            _ => return no(),
        };
        self.skip(name_at + 1 + marks);
        let value = self.expression()?;
        self.expect(";")?;
        let value = match marks {
            1 => value,
            _ => Expr::Binary("+", Box::new(Expr::Name(name.clone())), Box::new(value)),
        };
        Ok(Stmt::Set(name, value))
    }

    fn block(&mut self) -> Result<Vec<Stmt>, Unreadable> {
        if !self.take("{") {
            return Ok(vec![self.statement()?]);
        }
        let mut found = Vec::new();
        while !self.take("}") {
            found.push(self.statement()?);
            if found.len() > MAX_DEPTH {
                return Err(Unreadable("it has too many statements".to_owned()));
            }
        }
        Ok(found)
    }
}

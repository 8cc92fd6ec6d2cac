//! Statements: declarations, assignments, `if` and `return`. Others are named.

use super::Unreadable;
use super::expression::{MAX_DEPTH, Parser};
use super::tree::{Expr, Stmt};

/// Types that a declaration may name. Their values behave the same whether they are declared or not.
const TYPES: [&str; 22] = [
    "var",
    "string",
    "String",
    "bool",
    "Boolean",
    "int",
    "Int32",
    "long",
    "Int64",
    "object",
    "byte",
    "IResponse",
    "IEnumerable",
    "JArray",
    "JObject",
    "JToken",
    "Jwt",
    "List",
    "Uri",
    "DateTime",
    "HMACSHA256",
    "SHA256",
];

/// Statements without a counterpart, and what they are called.
const CONSTRUCTS: [(&str, &str); 14] = [
    ("foreach", "a foreach loop"),
    ("for", "a for loop"),
    ("while", "a while loop"),
    ("do", "a do loop"),
    ("try", "try"),
    ("throw", "throw"),
    ("switch", "switch"),
    ("using", "using around anything but HMACSHA256 or SHA256"),
    ("lock", "lock"),
    ("goto", "goto"),
    ("break", "break"),
    ("continue", "continue"),
    ("yield", "yield"),
    ("const", "const"),
];

/// The statements of `@(…)` or `@{…}`: the former is one `return`.
pub(crate) fn parse(text: &str) -> Result<Vec<Stmt>, Unreadable> {
    let inner = |open, close| text.strip_prefix(open)?.strip_suffix(close);
    if let Some(expression) = inner("@(", ')') {
        return Ok(vec![Stmt::Return(expression_of(expression)?)]);
    }
    let Some(block) = inner("@{", '}') else {
        return Err(Unreadable("this is not a complete expression".to_owned()));
    };
    let mut parser = Parser::new(block)?;
    let mut found = Vec::new();
    while !parser.is_at_end() {
        parser.statement(&mut found)?;
    }
    Ok(found)
}

/// A text that is one expression.
pub(crate) fn expression_of(text: &str) -> Result<Expr, Unreadable> {
    let mut parser = Parser::new(text)?;
    let found = parser.expression()?;
    parser.end()?;
    Ok(found)
}

impl Parser {
    fn statement(&mut self, found: &mut Vec<Stmt>) -> Result<(), Unreadable> {
        if found.len() >= MAX_DEPTH {
            return self.no("it has too many statements");
        }
        self.deeper()?;
        let named = CONSTRUCTS
            .iter()
            .find(|(word, _)| self.word(0) == Some(*word));
        if self.take(";") {
            // An empty statement.
        } else if self.take_word("return") {
            let value = self.expression()?;
            self.expect(";")?;
            found.push(Stmt::Return(value));
        } else if self.take_word("if") {
            let branches = self.branches()?;
            found.push(branches);
        } else if self.word(0) == Some("using") && self.is_digest_used() {
            self.skip(2);
            self.declaration(found, ")")?;
            let inner = self.block()?;
            found.extend(inner);
        } else if let Some((_, what)) = named {
            return self.no(&format!("{what} is not translated"));
        } else {
            self.declaration(found, ";")?;
        }
        self.shallower();
        Ok(())
    }

    /// `if` behind its word.
    fn branches(&mut self) -> Result<Stmt, Unreadable> {
        self.expect("(")?;
        let condition = self.expression()?;
        self.expect(")")?;
        let then = self.block()?;
        let otherwise = match self.take_word("else") {
            true => self.block()?,
            false => Vec::new(),
        };
        Ok(Stmt::If(condition, then, otherwise))
    }

    /// `using (var hmac = new HMACSHA256(…))`: such an object is only asked for digests.
    fn is_digest_used(&self) -> bool {
        let mut names = (5..14).filter_map(|at| self.word(at));
        let is_digest = |name: &str| name.starts_with("HMACSHA256") || name.starts_with("SHA256");
        self.peek(1) == Some("(") && names.any(is_digest)
    }

    /// A declaration if it starts with a type, else an assignment or a call.
    fn declaration(&mut self, found: &mut Vec<Stmt>, end: &str) -> Result<(), Unreadable> {
        let Some(length) = self.type_length() else {
            return self.assignment(found);
        };
        let kind = self.word(0).unwrap_or_default().to_owned();
        self.skip(length);
        loop {
            let Some(name) = self.word(0).map(str::to_owned) else {
                return self.no("this declaration is not supported");
            };
            self.skip(1);
            match self.take("=") {
                true => found.push(Stmt::Set(name, self.expression()?)),
                false if self.peek(0) == Some(end) || self.peek(0) == Some(",") => {}
                false => {
                    return self.no(&format!("the declaration {kind} {name} is not supported"));
                }
            }
            if !self.take(",") {
                return self.expect(end);
            }
        }
    }

    /// How many tokens a type at the start takes, with a name behind it.
    fn type_length(&self) -> Option<usize> {
        self.word(0).filter(|word| TYPES.contains(word))?;
        let mut length = 1;
        if self.peek(length) == Some("<") && self.peek(length + 2) == Some(">") {
            length += 3;
        }
        if self.peek(length) == Some("[") && self.peek(length + 1) == Some("]") {
            length += 2;
        }
        self.word(length).map(|_| length)
    }

    fn assignment(&mut self, found: &mut Vec<Stmt>) -> Result<(), Unreadable> {
        let name = self.word(0).map(str::to_owned);
        let statement = match (name, self.peek(1)) {
            (Some(name), Some("=")) => {
                self.skip(2);
                Stmt::Set(name, self.expression()?)
            }
            (Some(name), Some("+=")) => {
                self.skip(2);
                let value = Box::new(self.expression()?);
                let before = Box::new(Expr::Name(name.clone()));
                Stmt::Set(name, Expr::Binary("+", before, value))
            }
            (Some(name), Some(mark @ ("++" | "--" | "-="))) => {
                return self.no(&format!("the statement {name}{mark} is not translated"));
            }
            (Some(name), Some("(" | "." | "[")) => self.called(&name)?,
            (Some(name), _) => {
                return self.no(&format!("the statement at {name:?} is not supported"));
            }
            (None, _) => return self.no("this statement is not supported"),
        };
        self.expect(";")?;
        found.push(statement);
        Ok(())
    }

    /// A call whose value nobody reads.
    fn called(&mut self, name: &str) -> Result<Stmt, Unreadable> {
        let line = self.line();
        let call = self.expression()?;
        match (&call, self.peek(0)) {
            (Expr::Call(..), Some(";")) => Ok(Stmt::Call(call, line)),
            _ => self.no(&format!(
                "the statement that begins with {name:?} is not translated"
            )),
        }
    }

    fn block(&mut self) -> Result<Vec<Stmt>, Unreadable> {
        let mut found = Vec::new();
        if !self.take("{") {
            self.statement(&mut found)?;
            return Ok(found);
        }
        while !self.take("}") {
            self.statement(&mut found)?;
        }
        Ok(found)
    }
}

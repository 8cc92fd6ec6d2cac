//! Tokens to trees.

use super::Unreadable;
use super::lexer::{Token, tokens};

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expr {
    /// A text.
    Text(String),
    /// An integer.
    Int(i64),
    /// `true`, `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// A name.
    Name(String),
    /// `a.b`, `a?.b`.
    Member(Box<Self>, String, bool),
    /// `a.b<T>(…)`: what is called, its only type argument, arguments.
    Call(Box<Self>, Option<String>, Vec<Self>),
    /// `a[b]`.
    Index(Box<Self>, Box<Self>),
    /// `(T)a`.
    Cast(String, Box<Self>),
    /// `!a`.
    Not(Box<Self>),
    /// `a op b`.
    Binary(&'static str, Box<Self>, Box<Self>),
    /// `a ? b : c`.
    Choice(Box<Self>, Box<Self>, Box<Self>),
}

/// A statement of `@{…}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stmt {
    /// `var a = b;`
    Var(String, Expr),
    /// `return a;`
    Return(Expr),
    /// `if (a) … else …`
    If(Expr, Vec<Self>, Vec<Self>),
}

/// Nesting beyond this is no policy but an attack on the stack.
const MAX_DEPTH: usize = 40;

/// Binary operators, weakest first.
const LEVELS: [&[&str]; 7] = [
    &["??"],
    &["||"],
    &["&&"],
    &["==", "!="],
    &["<", ">", "<=", ">="],
    &["+", "-"],
    &["*", "/"],
];

/// Types that a cast may name.
const TYPES: [&str; 5] = ["string", "String", "bool", "int", "Jwt"];

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
        return Err(Unreadable("this is no whole expression".to_owned()));
    };
    let mut parser = Parser::new(block)?;
    let mut found = Vec::new();
    while parser.at < parser.tokens.len() {
        found.push(parser.statement()?);
        if found.len() > MAX_DEPTH {
            return Err(Unreadable("it has too many statements".to_owned()));
        }
    }
    Ok(found)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn new(text: &str) -> Result<Self, Unreadable> {
        Ok(Self {
            tokens: tokens(text)?,
            at: 0,
            depth: 0,
        })
    }

    fn take(&mut self, mark: &str) -> bool {
        let found = self.peek(0) == Some(mark);
        self.at += usize::from(found);
        found
    }

    /// The mark `ahead` tokens from here.
    fn peek(&self, ahead: usize) -> Option<&'static str> {
        match self.tokens.get(self.at + ahead) {
            Some(Token::Mark(mark)) => Some(mark),
            _ => None,
        }
    }

    fn word(&self, ahead: usize) -> Option<&str> {
        match self.tokens.get(self.at + ahead) {
            Some(Token::Name(name)) => Some(name),
            _ => None,
        }
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.word(0) == Some(word);
        self.at += usize::from(found);
        found
    }

    fn name(&mut self) -> Result<String, Unreadable> {
        let found = self.word(0).map(str::to_owned);
        self.at += 1;
        found.ok_or_else(|| Unreadable("a name is missing".to_owned()))
    }

    fn expect(&mut self, mark: &str) -> Result<(), Unreadable> {
        if self.take(mark) {
            return Ok(());
        }
        Err(Unreadable(format!("{mark:?} is missing")))
    }

    fn end(&self) -> Result<(), Unreadable> {
        match self.tokens.get(self.at) {
            None => Ok(()),
            Some(token) => Err(Unreadable(format!("{token:?} is not read here"))),
        }
    }

    fn deeper(&mut self) -> Result<(), Unreadable> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Unreadable("it is nested too deeply".to_owned()));
        }
        Ok(())
    }

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
        } else if self.take_word("var") || self.take_word("string") {
            let name = self.name()?;
            self.expect("=")?;
            let value = self.expression()?;
            self.expect(";")?;
            Stmt::Var(name, value)
        } else {
            return Err(Unreadable("this statement is not read".to_owned()));
        };
        self.depth -= 1;
        Ok(found)
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

    fn expression(&mut self) -> Result<Expr, Unreadable> {
        self.deeper()?;
        let condition = self.binary(0)?;
        let found = if self.take("?") {
            let then = self.expression()?;
            self.expect(":")?;
            let otherwise = self.expression()?;
            Expr::Choice(Box::new(condition), Box::new(then), Box::new(otherwise))
        } else {
            condition
        };
        self.depth -= 1;
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
            self.depth -= 1;
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
        self.depth -= 1;
        Ok(found)
    }

    fn postfix(&mut self) -> Result<Expr, Unreadable> {
        let mut found = self.primary()?;
        for _ in 0..MAX_DEPTH {
            let is_conditional = self.peek(0) == Some("?.");
            if self.take(".") || self.take("?.") {
                found = Expr::Member(Box::new(found), self.name()?, is_conditional);
            } else if self.take("[") {
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

    /// `<T>(`, where it stands.
    fn type_argument(&mut self) -> Option<String> {
        let marks = (self.peek(0), self.peek(2), self.peek(3));
        if marks != (Some("<"), Some(">"), Some("(")) {
            return None;
        }
        let name = self.word(1)?.to_owned();
        self.at += 4;
        Some(name)
    }

    fn arguments(&mut self) -> Result<Vec<Expr>, Unreadable> {
        let mut found = Vec::new();
        if self.take(")") {
            return Ok(found);
        }
        loop {
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
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        Ok(match token {
            Some(Token::Text(text)) => Expr::Text(text),
            Some(Token::Int(value)) => Expr::Int(value),
            Some(Token::Name(name)) => match name.as_str() {
                "true" => Expr::Bool(true),
                "false" => Expr::Bool(false),
                "null" => Expr::Null,
                "new" => return Err(Unreadable("new is not read".to_owned())),
                _ => Expr::Name(name),
            },
            Some(token) => return Err(Unreadable(format!("{token:?} is not read here"))),
            None => return Err(Unreadable("it ends too early".to_owned())),
        })
    }
}

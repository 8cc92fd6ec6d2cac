//! Tokens to a syntax tree, by precedence climbing. Bounded in depth, whatever the text.

use cel::Value;

use super::MAX_DEPTH;
use super::ast::{Element, Entry, Expr, ExprKind, Unary};
use super::chain::{Chain, infix, node, too_deep};
use super::lexer::{Lexer, Token};
use crate::error::CompileError;

type Parsed<T> = Result<T, CompileError>;

/// Words that CEL keeps for itself as variable names; as field names they are fine.
const RESERVED: [&str; 16] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "while",
];

/// The tree of the expression between two character offsets of a text.
pub(crate) fn parse(chars: &[char], from: usize, to: usize) -> Parsed<Expr> {
    let mut lexer = Lexer::new(&chars[..to], from);
    let (at, token) = lexer.next()?;
    let mut parser = Parser {
        lexer,
        at,
        token,
        nesting: 0,
    };
    if parser.token == Token::End {
        return Err(CompileError::new(at, "the expression is empty"));
    }
    let expr = parser.expression()?;
    match parser.token {
        Token::End => Ok(expr),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// Where the current token stands.
    at: usize,
    token: Token,
    nesting: usize,
}

impl Parser<'_> {
    /// Takes the current token and moves on to the next.
    fn advance(&mut self) -> Parsed<Token> {
        let (at, next) = self.lexer.next()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn stands(&self, sign: &str) -> bool {
        matches!(&self.token, Token::Sign(found) if *found == sign)
    }

    /// Takes the sign if it stands here.
    fn take(&mut self, sign: &str) -> Parsed<bool> {
        let found = self.stands(sign);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, sign: &str) -> Parsed<()> {
        if self.take(sign)? {
            return Ok(());
        }
        Err(self.unexpected(&format!("\"{sign}\"")))
    }

    fn unexpected(&self, wanted: &str) -> CompileError {
        CompileError::new(self.at, format!("expected {wanted}, found {}", self.token))
    }

    /// `condition ? a : b`, or any operator chain.
    fn expression(&mut self) -> Parsed<Expr> {
        self.nesting += 1;
        if self.nesting > MAX_DEPTH {
            return Err(too_deep(self.at));
        }
        let condition = self.operators()?;
        let at = self.at;
        let expr = if self.take("?")? {
            let then = self.operators()?;
            self.expect(":")?;
            let otherwise = self.expression()?;
            let depth = condition.depth.max(then.depth).max(otherwise.depth);
            node(
                at,
                depth,
                ExprKind::If(Box::new([condition, then, otherwise])),
            )?
        } else {
            condition
        };
        self.nesting -= 1;
        Ok(expr)
    }

    /// Operands and the operators between them; recurses into operands only, whatever the precedence.
    fn operators(&mut self) -> Parsed<Expr> {
        let mut chain = Chain::default();
        chain.push_operand(self.unary()?);
        while let Some(infix) = infix(&self.token) {
            let at = self.at;
            self.advance()?;
            chain.push_operator(at, infix)?;
            chain.push_operand(self.unary()?);
        }
        match chain.finish()? {
            Some(expr) => Ok(expr),
            None => Err(self.unexpected("a value")),
        }
    }

    /// `!a`, `-a`, any number of times.
    fn unary(&mut self) -> Parsed<Expr> {
        let mut operators = Vec::new();
        while self.stands("!") || self.stands("-") {
            let not = self.stands("!");
            operators.push((self.at, if not { Unary::Not } else { Unary::Negate }));
            if operators.len() > MAX_DEPTH {
                return Err(too_deep(self.at));
            }
            self.advance()?;
        }
        let negative = matches!(operators.last(), Some((_, Unary::Negate)));
        let mut expr = match (&self.token, negative) {
            (Token::HugeInt, true) => {
                operators.pop();
                self.literal(Value::Int(i64::MIN))?
            }
            _ => self.member()?,
        };
        for (at, operator) in operators.into_iter().rev() {
            let depth = expr.depth;
            expr = node(at, depth, ExprKind::Unary(operator, Box::new(expr)))?;
        }
        Ok(expr)
    }

    /// `a.b`, `a[b]`, `a.b(c)`, any number of times.
    fn member(&mut self) -> Parsed<Expr> {
        let mut expr = self.primary()?;
        loop {
            if self.take(".")? {
                expr = self.select(expr)?;
            } else if self.stands("[") {
                expr = self.index(expr)?;
            } else {
                return Ok(expr);
            }
        }
    }

    fn select(&mut self, of: Expr) -> Parsed<Expr> {
        let optional = self.take("?")?;
        let at = self.at;
        let field = match &self.token {
            Token::Name(name) if !is_keyword(name) => name.clone(),
            Token::Quoted(name) => name.clone(),
            _ => return Err(self.unexpected("a field name")),
        };
        let callable = !optional && matches!(self.token, Token::Name(_));
        self.advance()?;
        if callable && self.stands("(") {
            let args = self.arguments()?;
            let depth = deepest(args.iter()).max(of.depth);
            let call = ExprKind::Call {
                on: Some(Box::new(of)),
                name: field,
                args,
            };
            return node(at, depth, call);
        }
        let depth = of.depth;
        let select = ExprKind::Select {
            of: Box::new(of),
            field,
            optional,
        };
        node(at, depth, select)
    }

    fn index(&mut self, of: Expr) -> Parsed<Expr> {
        self.expect("[")?;
        let optional = self.take("?")?;
        let at = self.at;
        let index = self.expression()?;
        self.expect("]")?;
        let depth = of.depth.max(index.depth);
        let index = ExprKind::Index {
            of: Box::new(of),
            index: Box::new(index),
            optional,
        };
        node(at, depth, index)
    }

    fn primary(&mut self) -> Parsed<Expr> {
        match &self.token {
            Token::Literal(value) => {
                let value = value.clone();
                self.literal(value)
            }
            Token::Name(name) => {
                let name = name.clone();
                self.name(name)
            }
            Token::Sign("(") => {
                self.advance()?;
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Sign("[") => self.list(),
            Token::Sign("{") => self.map(),
            Token::HugeInt => Err(CompileError::new(self.at, "not a number, or out of range")),
            Token::Quoted(_) | Token::Sign(_) | Token::End => Err(self.unexpected("a value")),
        }
    }

    fn literal(&mut self, value: Value) -> Parsed<Expr> {
        let at = self.at;
        self.advance()?;
        node(at, 0, ExprKind::Literal(value))
    }

    fn name(&mut self, name: String) -> Parsed<Expr> {
        let at = self.at;
        match name.as_str() {
            "true" => return self.literal(Value::Bool(true)),
            "false" => return self.literal(Value::Bool(false)),
            "null" => return self.literal(Value::Null),
            "in" => return Err(self.unexpected("a value")),
            _ => {}
        }
        self.advance()?;
        if self.stands("(") {
            let args = self.arguments()?;
            let depth = deepest(args.iter());
            return node(
                at,
                depth,
                ExprKind::Call {
                    on: None,
                    name,
                    args,
                },
            );
        }
        if RESERVED.contains(&name.as_str()) {
            let message = format!("\"{name}\" is a word of the language, not a variable");
            return Err(CompileError::new(at, message));
        }
        if self.stands("{") {
            let message =
                format!("messages (\"{name}{{…}}\") are not supported: write {{\"field\": value}}");
            return Err(CompileError::new(at, message));
        }
        node(at, 0, ExprKind::Name(name))
    }

    fn arguments(&mut self) -> Parsed<Vec<Expr>> {
        self.expect("(")?;
        let mut args = Vec::new();
        if self.take(")")? {
            return Ok(args);
        }
        loop {
            args.push(self.expression()?);
            if !self.take(",")? {
                self.expect(")")?;
                return Ok(args);
            }
        }
    }

    fn list(&mut self) -> Parsed<Expr> {
        let at = self.at;
        self.expect("[")?;
        let mut elements = Vec::new();
        while !self.stands("]") {
            let optional = self.take("?")?;
            let value = self.expression()?;
            elements.push(Element { value, optional });
            if !self.take(",")? {
                break;
            }
        }
        self.expect("]")?;
        let depth = deepest(elements.iter().map(|element| &element.value));
        node(at, depth, ExprKind::List(elements))
    }

    fn map(&mut self) -> Parsed<Expr> {
        let at = self.at;
        self.expect("{")?;
        let mut entries = Vec::new();
        while !self.stands("}") {
            let optional = self.take("?")?;
            let key = self.expression()?;
            self.expect(":")?;
            let value = self.expression()?;
            entries.push(Entry {
                key,
                value,
                optional,
            });
            if !self.take(",")? {
                break;
            }
        }
        self.expect("}")?;
        let depth = deepest(entries.iter().flat_map(|entry| [&entry.key, &entry.value]));
        node(at, depth, ExprKind::Map(entries))
    }
}

fn deepest<'a>(exprs: impl Iterator<Item = &'a Expr>) -> usize {
    exprs.map(|expr| expr.depth).max().unwrap_or(0)
}

fn is_keyword(name: &str) -> bool {
    matches!(name, "true" | "false" | "null" | "in")
}

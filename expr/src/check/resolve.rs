//! Walks the syntax tree once: each expression becomes a node of the program, with its type as far as known.

use cel::Value;

use super::names::nearest;
use super::operators;
use crate::error::CompileError;
use crate::evaluate::{Access, Node, Op, Select};
use crate::syntax::ast::{Element, Entry, Expr, ExprKind};
use crate::types::{Item, Object, Type};
use crate::vocabulary::{Stage, Variable};

/// A checked program and what was learned about it.
pub(crate) struct Resolved {
    pub(crate) node: Node,
    pub(crate) gives: Type,
    /// The names behind `values.` that must be there, with their places.
    pub(crate) values: Vec<(usize, String)>,
}

/// Checks an expression for a stage.
pub(crate) fn resolve(expr: Expr, stage: Stage) -> Result<Resolved, CompileError> {
    let mut resolver = Resolver {
        stage,
        locals: Vec::new(),
        values: Vec::new(),
        asked: Vec::new(),
    };
    let typed = resolver.expression(expr)?;
    let Resolver {
        mut values, asked, ..
    } = resolver;
    values.retain(|(_, name)| !asked.contains(name));
    Ok(Resolved {
        node: typed.node,
        gives: typed.gives,
        values,
    })
}

/// A node and the type of its value.
pub(super) struct Typed {
    pub(super) node: Node,
    pub(super) gives: Type,
}

pub(super) type Checked<T = Typed> = Result<T, CompileError>;

pub(super) struct Resolver {
    stage: Stage,
    /// Variables of the passes (`map`, `all`, …) around this place, the innermost last.
    pub(super) locals: Vec<(String, Type)>,
    values: Vec<(usize, String)>,
    /// Names behind `values.` that may be missing: the text asks with `has()` or `.?`.
    asked: Vec<String>,
}

pub(super) fn typed(at: usize, op: Op, gives: Type) -> Typed {
    Typed {
        node: Node { at, op },
        gives,
    }
}

impl Resolver {
    pub(super) fn expression(&mut self, expr: Expr) -> Checked {
        let at = expr.at;
        match expr.kind {
            ExprKind::Literal(value) => {
                let gives = Type::of(&value);
                Ok(typed(at, Op::Constant(value), gives))
            }
            ExprKind::Name(name) => self.name(at, &name),
            ExprKind::Select {
                of,
                field,
                optional,
            } => {
                let how = if optional {
                    Access::Optional
                } else {
                    Access::Strict
                };
                self.select(at, *of, field, how)
            }
            ExprKind::Index {
                of,
                index,
                optional,
            } => self.index(at, *of, *index, optional),
            ExprKind::Call { on, name, args } => self.call(at, on.map(|on| *on), name, args),
            ExprKind::Unary(operator, operand) => {
                let operand = self.expression(*operand)?;
                let gives = operators::unary(operator, operand.gives)
                    .map_err(|message| CompileError::new(at, message))?;
                Ok(typed(
                    at,
                    Op::Unary(operator, Box::new(operand.node)),
                    gives,
                ))
            }
            ExprKind::Binary(operator, left, right) => {
                let (left, right) = (self.expression(*left)?, self.expression(*right)?);
                let gives = operators::binary(operator, left.gives, right.gives)
                    .map_err(|message| CompileError::new(at, message))?;
                let op = Op::Binary(operator, Box::new(left.node), Box::new(right.node));
                Ok(typed(at, op, gives))
            }
            ExprKind::And(terms) => self.logic(at, "&&", terms),
            ExprKind::Or(terms) => self.logic(at, "||", terms),
            ExprKind::If(parts) => self.choice(at, *parts),
            ExprKind::List(elements) => self.list(at, elements),
            ExprKind::Map(entries) => self.map(at, entries),
        }
    }

    fn name(&mut self, at: usize, name: &str) -> Checked {
        if let Some(index) = self.locals.iter().rposition(|(local, _)| local == name) {
            return Ok(typed(at, Op::Local(index), self.locals[index].1));
        }
        match Variable::named(name) {
            Some(variable) if variable.exists_in(self.stage) => {
                Ok(typed(at, Op::Variable(variable), variable.its_type()))
            }
            Some(_) => {
                let stage = self.stage.describe();
                Err(CompileError::new(
                    at,
                    format!("\"{name}\" does not exist in {stage}"),
                ))
            }
            None => {
                let known = Variable::ALL.iter().filter(|v| v.exists_in(self.stage));
                let locals = self.locals.iter().map(|(local, _)| local.as_str());
                let suggestion = nearest(name, known.map(|v| v.name()).chain(locals));
                Err(
                    CompileError::new(at, format!("unknown variable \"{name}\""))
                        .suggest(suggestion),
                )
            }
        }
    }

    /// `of.field` in every form; `has()` comes here too.
    pub(super) fn select(&mut self, at: usize, of: Expr, field: String, how: Access) -> Checked {
        let of = self.expression(of)?;
        let field_type = field_type(at, of.gives, &field)?;
        if matches!(of.node.op, Op::Variable(Variable::Values)) {
            match how {
                Access::Has | Access::Optional => self.asked.push(field.clone()),
                _ => self.values.push((at, field.clone())),
            }
        }
        let fixed = matches!(of.gives, Type::Object(_));
        let how = match how {
            Access::Strict if fixed => Access::Fixed,
            Access::Has if fixed => Access::HasFixed,
            other => other,
        };
        let gives = match how {
            Access::Has | Access::HasFixed => Type::Bool,
            Access::Optional => Type::Optional,
            // A field of an optional is an optional.
            _ if of.gives == Type::Optional => Type::Optional,
            Access::Strict | Access::Fixed => field_type,
        };
        let select = Select {
            of: of.node,
            field,
            how,
        };
        Ok(typed(at, Op::Select(Box::new(select)), gives))
    }

    fn index(&mut self, at: usize, of: Expr, index: Expr, optional: bool) -> Checked {
        // A fixed object's field may be written in brackets too.
        if let ExprKind::Literal(Value::String(field)) = &index.kind {
            let field = field.as_str().to_owned();
            let is_object = |t: Type| matches!(t, Type::Object(_) | Type::Map(Item::Text));
            let checked = self.expression(of)?;
            if let (Type::Object(_), false) = (checked.gives, optional) {
                let gives = field_type(at, checked.gives, &field)?;
                let select = Select {
                    of: checked.node,
                    field,
                    how: Access::Fixed,
                };
                return Ok(typed(at, Op::Select(Box::new(select)), gives));
            }
            if is_object(checked.gives) && matches!(checked.node.op, Op::Variable(Variable::Values))
            {
                if optional {
                    self.asked.push(field);
                } else {
                    self.values.push((at, field));
                }
            }
            let index = self.expression(index)?;
            return indexed(at, checked, index, optional);
        }
        let of = self.expression(of)?;
        let index = self.expression(index)?;
        indexed(at, of, index, optional)
    }

    fn logic(&mut self, at: usize, sign: &'static str, terms: Vec<Expr>) -> Checked {
        let mut nodes = Vec::with_capacity(terms.len());
        for term in terms {
            nodes.push(self.condition(sign, term)?);
        }
        let op = Op::Logic {
            decisive: sign == "||",
            terms: nodes,
        };
        Ok(typed(at, op, Type::Bool))
    }

    /// A part that must be able to be a bool.
    pub(super) fn condition(&mut self, sign: &str, expr: Expr) -> Checked<Node> {
        let checked = self.expression(expr)?;
        operators::logical(sign, checked.gives)
            .map_err(|message| CompileError::new(checked.node.at, message))?;
        Ok(checked.node)
    }

    fn choice(&mut self, at: usize, parts: [Expr; 3]) -> Checked {
        let [condition, then, otherwise] = parts;
        let condition = self.condition("?:", condition)?;
        let (then, otherwise) = (self.expression(then)?, self.expression(otherwise)?);
        let gives = then.gives.join(otherwise.gives);
        let op = Op::If(Box::new([condition, then.node, otherwise.node]));
        Ok(typed(at, op, gives))
    }

    fn list(&mut self, at: usize, elements: Vec<Element>) -> Checked {
        let mut nodes = Vec::with_capacity(elements.len());
        let mut common = None;
        for element in elements {
            let checked = self.expression(element.value)?;
            let gives = if element.optional {
                Type::Any
            } else {
                checked.gives
            };
            common = Some(common.map_or(gives, |common: Type| common.join(gives)));
            nodes.push((checked.node, element.optional));
        }
        let item = Item::of(common.unwrap_or(Type::Any));
        Ok(typed(at, Op::List(nodes), Type::List(item)))
    }

    fn map(&mut self, at: usize, entries: Vec<Entry>) -> Checked {
        let mut nodes = Vec::with_capacity(entries.len());
        for entry in entries {
            let key = self.expression(entry.key)?;
            if !matches!(
                key.gives,
                Type::Any | Type::Text | Type::Int | Type::Uint | Type::Bool
            ) {
                let message = format!("{} cannot be a key", key.gives);
                return Err(CompileError::new(key.node.at, message));
            }
            let value = self.expression(entry.value)?;
            nodes.push((key.node, value.node, entry.optional));
        }
        Ok(typed(at, Op::Map(nodes), Type::MAP))
    }
}

fn indexed(at: usize, of: Typed, index: Typed, optional: bool) -> Checked {
    let fits = match of.gives {
        Type::List(_) => matches!(index.gives, Type::Any | Type::Int | Type::Uint),
        Type::Map(_) | Type::Object(_) => {
            matches!(
                index.gives,
                Type::Any | Type::Text | Type::Int | Type::Uint | Type::Bool
            )
        }
        Type::Any | Type::Optional => true,
        _ => false,
    };
    if !fits {
        let message = format!("{}[{}] does not exist", of.gives, index.gives);
        return Err(CompileError::new(at, message));
    }
    let gives = match of.gives {
        _ if optional => Type::Optional,
        Type::Optional => Type::Optional,
        Type::List(item) | Type::Map(item) => item.its_type(),
        _ => Type::Any,
    };
    let op = Op::Index {
        of: Box::new(of.node),
        index: Box::new(index.node),
        optional,
    };
    Ok(typed(at, op, gives))
}

/// The type of a field, or why there can be none.
fn field_type(at: usize, of: Type, field: &str) -> Checked<Type> {
    match of {
        Type::Object(object) => object
            .field(field)
            .ok_or_else(|| unknown_field(at, object, field)),
        Type::Map(item) => Ok(item.its_type()),
        Type::Any | Type::Optional => Ok(Type::Any),
        other => {
            let error = CompileError::new(at, format!("{other} has no field \"{field}\""));
            // The most frequent slip of all: a header is a list.
            let hint = matches!(other, Type::List(_)).then(|| format!("[0].{field}"));
            Err(error.suggest(hint))
        }
    }
}

fn unknown_field(at: usize, object: Object, field: &str) -> CompileError {
    let suggestion = nearest(field, object.fields().iter().map(|(name, _)| *name));
    let message = format!("\"{}\" has no field \"{field}\"", object.name());
    CompileError::new(at, message).suggest(suggestion)
}

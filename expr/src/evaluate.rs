//! Runs a checked program over the variables of a handshake, within a budget.
//!
//! Own evaluator instead of the `cel` crate's: that one has no limit, copies the whole list so far for every
//! item that `map` adds, panics on messages, and reads a field of null as `false`, which would turn
//! `!jwt.claims.banned` into true where there is no token.

mod fold;
mod operators;

use cel::Value;
use cel::objects::Key;

use crate::budget::Budget;
use crate::error::{EvalError, Fault};
use crate::library::pattern::Pattern;
use crate::library::{Call, Overload};
use crate::syntax::ast::{Binary, Unary};
use crate::value::{as_optional, field, list, map, optional, type_name};
use crate::variables::Variables;
use crate::vocabulary::Variable;

pub(crate) use fold::{Fold, FoldKind};

/// A checked expression: names are resolved, constants are folded.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: usize,
    pub(crate) op: Op,
}

#[derive(Debug)]
pub(crate) enum Op {
    Constant(Value),
    Variable(Variable),
    /// A variable of `map`, `all`, …: its place on the stack of those.
    Local(usize),
    Select(Box<Select>),
    Index {
        of: Box<Node>,
        index: Box<Node>,
        optional: bool,
    },
    Unary(Unary, Box<Node>),
    Binary(Binary, Box<Node>, Box<Node>),
    /// `||` is decided by the first true, `&&` by the first false.
    Logic {
        decisive: bool,
        terms: Vec<Node>,
    },
    If(Box<[Node; 3]>),
    List(Vec<(Node, bool)>),
    Map(Vec<(Node, Node, bool)>),
    Call(Box<Invoke>),
    Fold(Box<Fold>),
}

/// `of.field`, and `has(of.field)`.
#[derive(Debug)]
pub(crate) struct Select {
    pub(crate) of: Node,
    pub(crate) field: String,
    pub(crate) how: Access,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// A missing field is an error.
    Strict,
    /// A field of a fixed object: it exists, so missing means null.
    Fixed,
    /// `.?field`.
    Optional,
    /// `has(of.field)`.
    Has,
    /// `has()` of a fixed object's field: whether it is there and not null.
    HasFixed,
}

/// A call: the overloads that may fit, of which the values choose.
#[derive(Debug)]
pub(crate) struct Invoke {
    pub(crate) overloads: Vec<&'static Overload>,
    pub(crate) args: Vec<Node>,
    pub(crate) pattern: Option<Pattern>,
}

/// One evaluation.
pub(crate) struct Machine<'a> {
    pub(crate) vars: &'a Variables,
    pub(crate) locals: Vec<Value>,
    pub(crate) budget: Budget,
}

type Evaluated<T = Value> = Result<T, EvalError>;

impl Machine<'_> {
    pub(crate) fn run(&mut self, node: &Node) -> Evaluated {
        let at = |fault: Fault| fault.at(node.at);
        self.budget.spend(1).map_err(at)?;
        match &node.op {
            Op::Constant(value) => Ok(value.clone()),
            Op::Variable(variable) => Ok(self.vars.value_of(*variable)),
            Op::Local(index) => Ok(self.locals.get(*index).cloned().unwrap_or(Value::Null)),
            Op::Select(select) => {
                let of = self.run(&select.of)?;
                run_select(&of, select).map_err(at)
            }
            Op::Index {
                of,
                index,
                optional,
            } => self.index(of, index, *optional, node.at),
            Op::Unary(operator, operand) => {
                let operand = self.run(operand)?;
                operators::unary(*operator, operand).map_err(at)
            }
            Op::Binary(operator, left, right) => {
                let (left, right) = (self.run(left)?, self.run(right)?);
                operators::binary(*operator, left, right, &mut self.budget).map_err(at)
            }
            Op::Logic { decisive, terms } => self.logic(*decisive, terms),
            Op::If(parts) => {
                let [condition, then, otherwise] = &**parts;
                let chosen = if self.bool(condition, "?:")? {
                    then
                } else {
                    otherwise
                };
                self.run(chosen)
            }
            Op::List(elements) => self.list(elements),
            Op::Map(entries) => self.map(entries),
            Op::Call(invoke) => self.call(invoke, node.at),
            Op::Fold(fold) => self.fold(fold, node.at),
        }
    }

    fn bool(&mut self, node: &Node, sign: &str) -> Evaluated<bool> {
        match self.run(node)? {
            Value::Bool(value) => Ok(value),
            other => {
                let message = format!("\"{sign}\" needs a bool, not {}", type_name(&other));
                Err(EvalError::failed(node.at, message))
            }
        }
    }

    /// An error counts only if no other term decides: as CEL defines, the order of terms does not matter.
    fn logic(&mut self, decisive: bool, terms: &[Node]) -> Evaluated {
        let sign = if decisive { "||" } else { "&&" };
        let mut first_error = None;
        for term in terms {
            match self.bool(term, sign) {
                Ok(value) if value == decisive => return Ok(Value::Bool(decisive)),
                Ok(_) => {}
                Err(error) if error.is_cost() => return Err(error),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        first_error.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn index(&mut self, of: &Node, index: &Node, wrap: bool, at: usize) -> Evaluated {
        let of = self.run(of)?;
        let index = self.run(index)?;
        match as_optional(&of) {
            Some(inner) => {
                let found = inner.value().map(|of| operators::lookup(of, &index));
                found.map_or(Ok(None), |found| found).map(optional)
            }
            None if wrap && of == Value::Null => Ok(optional(None)),
            None if wrap => operators::lookup(&of, &index).map(optional),
            None => operators::index(&of, &index),
        }
        .map_err(|fault| fault.at(at))
    }

    fn list(&mut self, elements: &[(Node, bool)]) -> Evaluated {
        let mut items = Vec::with_capacity(elements.len());
        for (node, is_optional) in elements {
            let value = self.run(node)?;
            items.extend(unwrap(value, *is_optional, node.at)?);
        }
        Ok(list(items))
    }

    fn map(&mut self, entries: &[(Node, Node, bool)]) -> Evaluated {
        let mut fields: Vec<(Key, Value)> = Vec::with_capacity(entries.len());
        for (key, value, is_optional) in entries {
            let name = self.run(key)?;
            let Ok(name) = TryInto::<Key>::try_into(name) else {
                return Err(EvalError::failed(
                    key.at,
                    "a key must be string, int, uint or bool",
                ));
            };
            let content = self.run(value)?;
            let content = unwrap(content, *is_optional, value.at)?;
            fields.extend(content.map(|content| (name, content)));
        }
        Ok(map(fields))
    }

    fn call(&mut self, invoke: &Invoke, at: usize) -> Evaluated {
        let mut args = Vec::with_capacity(invoke.args.len());
        for arg in &invoke.args {
            args.push(self.run(arg)?);
        }
        let Some(overload) = invoke.overloads.iter().find(|o| o.admits(&args)) else {
            return Err(EvalError::failed(at, no_overload(invoke, &args)));
        };
        let mut call = Call {
            args: &args,
            budget: &mut self.budget,
            now: self.vars.value_of(Variable::Now),
            pattern: invoke.pattern.as_ref(),
        };
        overload.run(&mut call).map_err(|fault| fault.at(at))
    }
}

/// What an optional element or entry adds: its value, or nothing.
fn unwrap(value: Value, is_optional: bool, at: usize) -> Evaluated<Option<Value>> {
    if !is_optional {
        return Ok(Some(value));
    }
    match as_optional(&value) {
        Some(inner) => Ok(inner.value().cloned()),
        None => Err(EvalError::failed(at, "\"?\" needs an optional value")),
    }
}

fn no_overload(invoke: &Invoke, args: &[Value]) -> String {
    let given: Vec<&str> = args.iter().map(type_name).collect();
    let mut takes: Vec<String> = invoke.overloads.iter().map(ToString::to_string).collect();
    takes.dedup();
    let name = invoke.overloads.first().map_or("function", |o| o.name);
    format!(
        "{name} does not take ({}): it is {}",
        given.join(", "),
        takes.join(" or ")
    )
}

fn run_select(of: &Value, select: &Select) -> Result<Value, Fault> {
    let name = select.field.as_str();
    let wrap = matches!(select.how, Access::Optional);
    if let Some(inner) = as_optional(of) {
        let found = match inner.value() {
            Some(Value::Map(map)) => field(map, name).cloned(),
            _ => None,
        };
        return Ok(match select.how {
            Access::Has | Access::HasFixed => Value::Bool(found.is_some()),
            Access::Strict | Access::Fixed | Access::Optional => optional(found),
        });
    }
    let found = match of {
        Value::Map(map) => field(map, name),
        // Nothing is there to have a field: has() and .? answer that without an error.
        Value::Null if select.how != Access::Strict && select.how != Access::Fixed => None,
        Value::Null => return Err(Fault::new(format!("null has no field \"{name}\""))),
        other => {
            let message = format!("{} has no field \"{name}\"", type_name(other));
            return Err(Fault::new(message));
        }
    };
    match (select.how, found) {
        (Access::Has, found) => Ok(Value::Bool(found.is_some())),
        (Access::HasFixed, found) => Ok(Value::Bool(found.is_some_and(|v| *v != Value::Null))),
        (_, found) if wrap => Ok(optional(found.cloned())),
        (Access::Fixed, None) => Ok(Value::Null),
        (_, Some(value)) => Ok(value.clone()),
        (_, None) => Err(Fault::new(format!("there is no \"{name}\""))),
    }
}

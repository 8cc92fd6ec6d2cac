//! Calls: macros become passes, functions get the overloads that may fit, constant calls are computed.

use cel::Value;

use super::names::nearest;
use super::resolve::{Checked, Resolver, Typed, typed};
use crate::budget::{Budget, MAX_FOLD_STEPS, weight};
use crate::error::{CompileError, EvalError};
use crate::evaluate::{Access, Fold, FoldKind, Invoke, Machine, Node, Op};
use crate::library::pattern::{self, Pattern};
use crate::library::{self, Overload};
use crate::syntax::ast::{Expr, ExprKind};
use crate::types::{Item, Type};
use crate::variables::Variables;

/// Bigger results of constant calls are not kept in the program; they are computed each time.
const MAX_FOLDED_WEIGHT: u64 = 256;

impl Resolver {
    pub(super) fn call(
        &mut self,
        at: usize,
        on: Option<Expr>,
        name: String,
        args: Vec<Expr>,
    ) -> Checked {
        let Some(on) = on else {
            if name == "has" {
                return self.has(at, args);
            }
            return self.function(at, &name, None, args);
        };
        if let Some(kind) = fold_kind(&name, args.len()) {
            return self.fold(at, kind, on, args);
        }
        match &on.kind {
            ExprKind::Name(namespace) if self.is_namespace(namespace) => {
                let name = format!("{namespace}.{name}");
                self.function(on.at, &name, None, args)
            }
            _ => {
                let receiver = self.expression(on)?;
                self.function(at, &name, Some(receiver), args)
            }
        }
    }

    /// A variable of a pass hides a namespace of the same name.
    fn is_namespace(&self, name: &str) -> bool {
        library::is_namespace(name) && !self.locals.iter().any(|(local, _)| local == name)
    }

    fn has(&mut self, at: usize, args: Vec<Expr>) -> Checked {
        let message = "has() takes one field, like has(vars.name)";
        let Ok([arg]) = <[Expr; 1]>::try_from(args) else {
            return Err(CompileError::new(at, message));
        };
        match arg.kind {
            ExprKind::Select {
                of,
                field,
                optional: false,
            } => self.select(arg.at, *of, field, Access::Has),
            _ => Err(CompileError::new(arg.at, message)),
        }
    }

    fn fold(&mut self, at: usize, kind: FoldKind, on: Expr, args: Vec<Expr>) -> Checked {
        let range = self.expression(on)?;
        let item = match range.gives {
            Type::List(item) => item.its_type(),
            // The passes go over the keys of a map.
            Type::Map(Item::Text | Item::Texts) | Type::Object(_) => Type::Text,
            Type::Any | Type::Map(Item::Any) => Type::Any,
            other => return Err(CompileError::new(at, format!("{other} has no items"))),
        };
        let mut args = args.into_iter();
        let local = match args.next().map(|arg| (arg.at, arg.kind)) {
            Some((_, ExprKind::Name(name))) => name,
            Some((at, _)) => return Err(not_a_name(at)),
            None => return Err(not_a_name(at)),
        };
        self.locals.push((local, item));
        let parts = self.fold_parts(at, kind, args.collect());
        self.locals.pop();
        let (filter, body) = parts?;
        let gives = match kind {
            FoldKind::All | FoldKind::Exists | FoldKind::ExistsOne => Type::Bool,
            FoldKind::Map => Type::List(Item::of(body.gives)),
            FoldKind::Filter => Type::List(Item::of(item)),
        };
        let fold = Fold {
            kind,
            range: range.node,
            filter,
            body: body.node,
        };
        Ok(typed(at, Op::Fold(Box::new(fold)), gives))
    }

    /// What stands behind the variable: an optional filter and the body.
    fn fold_parts(
        &mut self,
        at: usize,
        kind: FoldKind,
        args: Vec<Expr>,
    ) -> Checked<(Option<Node>, Typed)> {
        let mut args = args.into_iter();
        let filter = match args.len() {
            2 => args
                .next()
                .map(|filter| self.condition("map", filter))
                .transpose()?,
            _ => None,
        };
        let Some(body) = args.next() else {
            return Err(not_a_name(at));
        };
        if kind == FoldKind::Map {
            return Ok((filter, self.expression(body)?));
        }
        let node = self.condition("condition", body)?;
        let gives = Type::Bool;
        Ok((filter, Typed { node, gives }))
    }

    /// A function of the library, by its full name.
    fn function(
        &mut self,
        at: usize,
        name: &str,
        receiver: Option<Typed>,
        args: Vec<Expr>,
    ) -> Checked {
        let method = receiver.is_some();
        let named = library::find(name, method);
        if named.is_empty() {
            return Err(unknown_function(at, name, method));
        }
        let by_arity: Vec<&'static Overload> = named
            .iter()
            .copied()
            .filter(|o| o.arity() == args.len())
            .collect();
        if by_arity.is_empty() {
            return Err(CompileError::new(at, wrong_count(name, named, args.len())));
        }
        let mut nodes = Vec::with_capacity(args.len() + 1);
        let mut types = Vec::with_capacity(args.len() + 1);
        let args = args.into_iter().map(|arg| self.expression(arg));
        for arg in receiver.map(Ok).into_iter().chain(args) {
            let arg = arg?;
            types.push(arg.gives);
            nodes.push(arg.node);
        }
        let overloads = fitting(&by_arity, &types);
        if overloads.is_empty() {
            return Err(CompileError::new(at, wrong_types(name, &by_arity, &types)));
        }
        let gives = result_type(&overloads, &types);
        let pattern = literal_arguments(name, &nodes)?;
        let invoke = Invoke {
            overloads,
            args: nodes,
            pattern,
        };
        compute(typed(at, Op::Call(Box::new(invoke)), gives))
    }
}

fn fold_kind(name: &str, args: usize) -> Option<FoldKind> {
    match (name, args) {
        ("all", 2) => Some(FoldKind::All),
        ("exists", 2) => Some(FoldKind::Exists),
        ("exists_one" | "existsOne", 2) => Some(FoldKind::ExistsOne),
        ("map", 2 | 3) => Some(FoldKind::Map),
        ("filter", 2) => Some(FoldKind::Filter),
        _ => None,
    }
}

fn not_a_name(at: usize) -> CompileError {
    CompileError::new(at, "expected the name of a variable for each item")
}

fn unknown_function(at: usize, name: &str, method: bool) -> CompileError {
    let what = if method { "method" } else { "function" };
    let error = CompileError::new(at, format!("unknown {what} \"{name}\""));
    if matches!(name, "all" | "exists" | "exists_one" | "map" | "filter") {
        let message = format!("{name} takes a variable and an expression: list.{name}(x, …)");
        return CompileError::new(at, message);
    }
    // The right name in the wrong place comes first: trim(x) for x.trim(), x.sha256() for sha256(x).
    let elsewhere = library::find(name, !method)
        .first()
        .map(ToString::to_string);
    let suggestion = elsewhere.or_else(|| nearest(name, library::names(method)));
    error.suggest(suggestion)
}

fn wrong_count(name: &str, named: &[&Overload], given: usize) -> String {
    let mut counts: Vec<usize> = named.iter().map(|o| o.arity()).collect();
    counts.sort_unstable();
    counts.dedup();
    let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
    let s = if counts == ["1"] { "" } else { "s" };
    format!(
        "{name} takes {} argument{s}, not {given}",
        counts.join(" or ")
    )
}

fn fitting(overloads: &[&'static Overload], types: &[Type]) -> Vec<&'static Overload> {
    let fits = |o: &&&'static Overload| o.takes.iter().zip(types).all(|(w, t)| w.admits(*t));
    overloads.iter().filter(fits).copied().collect()
}

fn wrong_types(name: &str, overloads: &[&Overload], types: &[Type]) -> String {
    let given: Vec<String> = types.iter().map(ToString::to_string).collect();
    let mut takes: Vec<String> = overloads.iter().map(ToString::to_string).collect();
    takes.dedup();
    format!(
        "{name} does not take ({}): it is {}",
        given.join(", "),
        takes.join(" or ")
    )
}

/// With all types known the first overload that fits is the one; otherwise any may be.
fn result_type(overloads: &[&Overload], types: &[Type]) -> Type {
    let known = types.iter().all(|t| *t != Type::Any);
    let mut results = overloads.iter().map(|o| o.gives);
    let first = results.next().unwrap_or(Type::Any);
    if known {
        first
    } else {
        results.fold(first, Type::join)
    }
}

/// Checks literal arguments that only their function understands; compiles a literal pattern.
fn literal_arguments(name: &str, args: &[Node]) -> Checked<Option<Pattern>> {
    let literal = |index: usize| match args.get(index) {
        Some(Node {
            at,
            op: Op::Constant(Value::String(text)),
        }) => Some((*at, text.as_str())),
        _ => None,
    };
    if let ("jwt.sign", Some((at, algorithm))) = (name, literal(2))
        && !library::is_algorithm(algorithm)
    {
        return Err(CompileError::new(
            at,
            format!("\"{algorithm}\" is not a signature algorithm"),
        ));
    }
    if let ("jwt.sign", Some((at, key)), Some((_, algorithm))) = (name, literal(1), literal(2))
        && let Some(problem) = library::problem_of_key(algorithm, key)
    {
        return Err(CompileError::new(at, problem));
    }
    match literal(1) {
        Some((at, source)) if pattern::takes_pattern(name) => {
            let pattern = pattern::compile_literal(source);
            pattern
                .map(Some)
                .map_err(|message| CompileError::new(at, message))
        }
        _ => Ok(None),
    }
}

/// A call with nothing but constants is computed now; what fails now would always fail.
fn compute(call: Typed) -> Checked {
    let Op::Call(invoke) = &call.node.op else {
        return Ok(call);
    };
    let constant = |node: &Node| matches!(node.op, Op::Constant(_));
    if !invoke.args.iter().all(constant) || !invoke.overloads.iter().all(|o| o.pure) {
        return Ok(call);
    }
    let vars = Variables::new();
    let mut machine = Machine {
        vars: &vars,
        locals: Vec::new(),
        budget: Budget::new(MAX_FOLD_STEPS),
    };
    match machine.run(&call.node) {
        Ok(value) if weight(&value, MAX_FOLDED_WEIGHT) <= MAX_FOLDED_WEIGHT => {
            Ok(typed(call.node.at, Op::Constant(value), call.gives))
        }
        Ok(_) | Err(EvalError::Cost { .. } | EvalError::NotBool { .. }) => Ok(call),
        Err(EvalError::Failed { position, message }) => Err(CompileError::new(position, message)),
    }
}

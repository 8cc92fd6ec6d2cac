//! The functions of `cel` and `kube-cel`.
//!
//! They register functions by name in a context that only their own evaluator can call. The registry is built
//! once and shared.

use std::sync::LazyLock;

use cel::common::ast::{CallExpr, Expr};
use cel::{Context, IdedExpr, Value};
use kube_cel::KubeCelExt as _;

/// Names of the variables that hold the arguments; no expression can name them.
pub(crate) const ARGUMENTS: [&str; 4] = ["@0", "@1", "@2", "@3"];

pub(crate) static REGISTRY: LazyLock<Context<'static>> =
    LazyLock::new(|| Context::default().with_all());

pub(crate) fn ided(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}

/// The text of an IP address or CIDR.
pub(crate) fn address_text(value: &Value) -> Option<String> {
    static TEXT: LazyLock<IdedExpr> = LazyLock::new(|| {
        ided(Expr::Call(CallExpr {
            func_name: "string".to_owned(),
            target: Some(Box::new(ided(Expr::Ident(ARGUMENTS[0].to_owned())))),
            args: Vec::new(),
        }))
    });
    let mut scope = REGISTRY.new_inner_scope();
    scope.add_variable_from_value(ARGUMENTS[0], value.clone());
    match scope.resolve(&TEXT) {
        Ok(Value::String(text)) => Some(text.as_str().to_owned()),
        _ => None,
    }
}

//! Calls into the function libraries of `cel` and `kube-cel`.
//!
//! A call is a small expression over variables that hold the arguments, which the libraries' own evaluator
//! runs in their [`registry`](crate::registry).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use cel::common::ast::{CallExpr, Expr};
use cel::{ExecutionError, IdedExpr, Value};

use super::{Call, Overload, Run, TABLES};
use crate::error::Fault;
use crate::registry::{ARGUMENTS, REGISTRY, ided};

/// Arguments are copied into the library's own representation and back.
const STEPS_PER_WEIGHT: u64 = 4;

type Calls = BTreeMap<(&'static str, bool, usize), IdedExpr>;

static CALLS: LazyLock<Calls> = LazyLock::new(|| {
    let is_foreign = |o: &&Overload| matches!(o.run, Run::Foreign(_));
    let foreign = TABLES.into_iter().flatten().filter(is_foreign);
    foreign
        .map(|o| ((o.name, o.method, o.takes.len()), call_of(o)))
        .collect()
});

fn call_of(overload: &Overload) -> IdedExpr {
    let mut args: Vec<IdedExpr> = ARGUMENTS[..overload.takes.len()]
        .iter()
        .map(|name| ided(Expr::Ident((*name).to_owned())))
        .collect();
    let target = overload.method.then(|| Box::new(args.remove(0)));
    ided(Expr::Call(CallExpr {
        func_name: overload.name.to_owned(),
        target,
        args,
    }))
}

/// Runs the function of that name in the libraries, after paying for its arguments.
pub(super) fn run(overload: &Overload, call: &mut Call<'_>) -> Result<Value, Fault> {
    call.budget.spend_values(call.args, STEPS_PER_WEIGHT)?;
    let key = (overload.name, overload.method, overload.takes.len());
    let Some(expr) = CALLS.get(&key) else {
        return Err(Fault::new(format!("{} does not exist", overload.name)));
    };
    let mut scope = REGISTRY.new_inner_scope();
    for (name, arg) in ARGUMENTS.iter().zip(call.args) {
        scope.add_variable_from_value(*name, arg.clone());
    }
    scope
        .resolve(expr)
        .map_err(|error| Fault::Failed(describe(overload.name, error)))
}

fn describe(name: &str, error: ExecutionError) -> String {
    match error {
        ExecutionError::FunctionError { message, .. } => {
            format!("{name}: {}", message.replace('\n', " "))
        }
        ExecutionError::UnexpectedType { got, want } => format!("{name} needs {want}, not {got}"),
        ExecutionError::Overflow(..) => format!("{name}: the result is out of range"),
        _ => format!("{name} does not work on these values"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{Budget, MAX_STEPS};

    #[test]
    fn every_foreign_function_exists_in_the_registry() {
        for (name, method, arity) in CALLS.keys() {
            let mut scope = REGISTRY.new_inner_scope();
            for argument in &ARGUMENTS[..*arity] {
                scope.add_variable_from_value(*argument, Value::Null);
            }
            let result = scope.resolve(&CALLS[&(*name, *method, *arity)]);
            let unknown = matches!(&result, Err(ExecutionError::UndeclaredReference(_)));
            assert!(!unknown, "{name} {result:?}");
        }
    }

    #[test]
    fn arguments_are_paid_for() {
        let huge = Value::from(vec![0_i64; 100_000]);
        let reverse = Overload::foreign(
            "reverse",
            &[crate::types::Type::LIST],
            crate::types::Type::LIST,
        )
        .method();
        let mut call = Call {
            args: &[huge],
            budget: &mut Budget::new(MAX_STEPS),
            now: Value::Null,
            pattern: None,
        };
        assert!(matches!(reverse.run(&mut call), Err(Fault::Cost(_))));
    }
}

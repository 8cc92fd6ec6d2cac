//! Lists, as in Kubernetes.

use cel::Value;

use super::{Call, Overload};
use crate::error::Fault;
use crate::types::{Item, Type};

const LIST: Type = Type::LIST;

pub(super) const OVERLOADS: &[Overload] = &[
    Overload::foreign("isSorted", &[LIST], Type::Bool).method(),
    Overload::foreign("sum", &[LIST], Type::Any).method(),
    Overload::foreign("min", &[LIST], Type::Any).method(),
    Overload::foreign("max", &[LIST], Type::Any).method(),
    Overload::foreign("slice", &[LIST, Type::Int, Type::Int], LIST).method(),
    Overload::foreign("sort", &[LIST], LIST)
        .method()
        .guarded(many_comparisons),
    Overload::foreign("flatten", &[LIST], LIST).method(),
    Overload::foreign("flatten", &[LIST, Type::Int], LIST).method(),
    Overload::foreign("distinct", &[LIST], LIST)
        .method()
        .guarded(all_pairs),
    Overload::foreign("first", &[LIST], Type::Optional).method(),
    Overload::foreign("last", &[LIST], Type::Optional).method(),
    Overload::foreign("reverse", &[LIST], LIST).method(),
    Overload::foreign("indexOf", &[LIST, Type::Any], Type::Int).method(),
    Overload::foreign("lastIndexOf", &[LIST, Type::Any], Type::Int).method(),
    Overload::foreign("lists.range", &[Type::Int], LIST).guarded(new_items),
    Overload::foreign("join", &[Type::List(Item::Any)], Type::Text)
        .method()
        .guarded(joined),
    Overload::foreign("join", &[Type::List(Item::Any), Type::Text], Type::Text)
        .method()
        .guarded(joined),
];

/// n log n comparisons: the logarithm of the longest list that can be paid for is below this.
fn many_comparisons(call: &mut Call<'_>) -> Result<(), Fault> {
    const COMPARISONS_PER_ITEM: u64 = 16;
    call.budget.spend_values(call.args, COMPARISONS_PER_ITEM)
}

fn all_pairs(call: &mut Call<'_>) -> Result<(), Fault> {
    let items = call.list(0)?.len() as u64;
    call.budget.spend_values(call.args, items)
}

fn new_items(call: &mut Call<'_>) -> Result<(), Fault> {
    call.budget.spend(call.int(0)?.max(0).unsigned_abs())
}

/// The library would print other values in a form of its own.
fn joined(call: &mut Call<'_>) -> Result<(), Fault> {
    let separator = if call.args.len() > 1 {
        call.text(1)?.len()
    } else {
        0
    };
    let mut length = 0_usize;
    for item in call.list(0)? {
        let Value::String(text) = item else {
            return Err(Fault::new("join needs a list of strings"));
        };
        length = length.saturating_add(text.len()).saturating_add(separator);
    }
    call.budget.spend_text(length)
}

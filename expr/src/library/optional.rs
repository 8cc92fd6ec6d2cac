//! Optional values: what `.?field`, `[?index]`, `first()` and `last()` give.

use super::Overload;
use crate::types::Type;

pub(super) const OVERLOADS: &[Overload] = &[
    Overload::foreign("optional.of", &[Type::Any], Type::Optional),
    Overload::foreign("optional.none", &[], Type::Optional),
    Overload::foreign("optional.ofNonZeroValue", &[Type::Any], Type::Optional),
    Overload::foreign("hasValue", &[Type::Optional], Type::Bool).method(),
    Overload::foreign("value", &[Type::Optional], Type::Any).method(),
    Overload::foreign("or", &[Type::Optional, Type::Optional], Type::Optional).method(),
    Overload::foreign("orValue", &[Type::Optional, Type::Any], Type::Any).method(),
];

//! Types as far as they are known before evaluation, and the classes of values that functions take.

mod object;

use std::fmt;

use cel::Value;

use crate::value::type_name;

pub(crate) use object::Object;

/// A type, or a class of types. Every value may also be null: that shows when it is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// Not known.
    Any,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    List(Item),
    Map(Item),
    Timestamp,
    Duration,
    Ip,
    Cidr,
    Url,
    Optional,
    Object(Object),
    /// Class: what `string()` takes.
    Scalar,
    /// Class: what has a size.
    Sized,
    /// Class: string or bytes.
    Octets,
}

/// What a list holds, or the values of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Any,
    Text,
    Texts,
}

impl Item {
    pub(crate) fn its_type(self) -> Type {
        match self {
            Self::Any => Type::Any,
            Self::Text => Type::Text,
            Self::Texts => Type::List(Self::Text),
        }
    }

    pub(crate) fn of(element: Type) -> Self {
        match element {
            Type::Text => Self::Text,
            Type::List(Self::Text) => Self::Texts,
            _ => Self::Any,
        }
    }
}

impl Type {
    pub(crate) const LIST: Self = Self::List(Item::Any);
    pub(crate) const MAP: Self = Self::Map(Item::Any);

    pub(crate) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Int(_) => Self::Int,
            Value::UInt(_) => Self::Uint,
            Value::Float(_) => Self::Double,
            Value::String(_) => Self::Text,
            Value::Bytes(_) => Self::Bytes,
            Value::List(_) => Self::LIST,
            Value::Map(_) => Self::MAP,
            Value::Timestamp(_) => Self::Timestamp,
            Value::Duration(_) => Self::Duration,
            Value::Function(..) => Self::Any,
            Value::Opaque(_) => match type_name(value) {
                "IP" => Self::Ip,
                "CIDR" => Self::Cidr,
                "URL" => Self::Url,
                _ => Self::Optional,
            },
        }
    }

    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    pub(crate) fn is_map(self) -> bool {
        matches!(self, Self::Map(_) | Self::Object(_))
    }

    /// Whether a value of the known type could be taken where `self` is wanted.
    pub(crate) fn admits(self, given: Self) -> bool {
        if given == Self::Any {
            return true;
        }
        match self {
            Self::Any => true,
            Self::List(_) => matches!(given, Self::List(_)),
            Self::Map(_) => given.is_map(),
            Self::Scalar => !matches!(
                given,
                Self::Null
                    | Self::List(_)
                    | Self::Map(_)
                    | Self::Object(_)
                    | Self::Url
                    | Self::Optional
            ),
            Self::Sized => {
                matches!(given, Self::Text | Self::Bytes | Self::List(_)) || given.is_map()
            }
            Self::Octets => matches!(given, Self::Text | Self::Bytes),
            // A method of a fixed object works on every map that looks like it.
            Self::Object(_) => self == given || matches!(given, Self::Map(Item::Any)),
            _ => self == given,
        }
    }

    /// Whether this very value is taken.
    pub(crate) fn admits_value(self, value: &Value) -> bool {
        self.admits(Self::of(value))
    }

    /// Whether `a == b` can ever be true.
    pub(crate) fn comparable(self, other: Self) -> bool {
        let loose = |t: Self| matches!(t, Self::Any | Self::Null | Self::Optional);
        loose(self)
            || loose(other)
            || (self.is_number() && other.is_number())
            || (self.is_map() && other.is_map())
            || matches!((self, other), (Self::List(_), Self::List(_)))
            || self == other
    }

    /// The type of what may be one or the other.
    pub(crate) fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Null, t) | (t, Self::Null) => t,
            (a, b) if a == b => a,
            (Self::List(_), Self::List(_)) => Self::LIST,
            _ => Self::Any,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "any",
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::Text => "string",
            Self::Bytes => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::Ip => "IP",
            Self::Cidr => "CIDR",
            Self::Url => "URL",
            Self::Optional => "optional",
            Self::Object(object) => object.name(),
            Self::Scalar => "scalar",
            Self::Sized => "string|bytes|list|map",
            Self::Octets => "string|bytes",
        })
    }
}

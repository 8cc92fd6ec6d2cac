//! The words of the language: variables, their fields, and where each may be used.

use crate::types::{Item, Object, Type};

/// Where an expression stands: it decides which variables exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Before the backend is dialled.
    Inbound,
    /// After the backend's answer.
    Outbound,
    /// After a refusal or failure.
    OnError,
}

impl Stage {
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Inbound => "inbound policies",
            Self::Outbound => "outbound policies",
            Self::OnError => "onError policies",
        }
    }
}

/// One of the fixed variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Variable {
    Request,
    Client,
    Api,
    Product,
    Subscription,
    Gateway,
    Values,
    Vars,
    Jwt,
    Response,
    Error,
    Now,
}

impl Variable {
    pub(crate) const ALL: [Self; 12] = [
        Self::Request,
        Self::Client,
        Self::Api,
        Self::Product,
        Self::Subscription,
        Self::Gateway,
        Self::Values,
        Self::Vars,
        Self::Jwt,
        Self::Response,
        Self::Error,
        Self::Now,
    ];
    pub(crate) const COUNT: usize = Self::ALL.len();

    pub(crate) fn slot(self) -> usize {
        self as usize
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Client => "client",
            Self::Api => "api",
            Self::Product => "product",
            Self::Subscription => "subscription",
            Self::Gateway => "gateway",
            Self::Values => "values",
            Self::Vars => "vars",
            Self::Jwt => "jwt",
            Self::Response => "response",
            Self::Error => "error",
            Self::Now => "now",
        }
    }

    /// A refusal can come after the backend's answer, so `response` may be read in onError too; it is null
    /// when there was none.
    pub(crate) fn exists_in(self, stage: Stage) -> bool {
        match self {
            Self::Response => stage != Stage::Inbound,
            Self::Error => stage == Stage::OnError,
            _ => true,
        }
    }

    pub(crate) fn its_type(self) -> Type {
        match self {
            Self::Request => Type::Object(Object::Request),
            Self::Client => Type::Object(Object::Client),
            Self::Api => Type::Object(Object::Api),
            Self::Product => Type::Object(Object::Product),
            Self::Subscription => Type::Object(Object::Subscription),
            Self::Gateway => Type::Object(Object::Gateway),
            Self::Values => Type::Map(Item::Text),
            Self::Vars => Type::Map(Item::Any),
            Self::Jwt => Type::Object(Object::Jwt),
            Self::Response => Type::Object(Object::Response),
            Self::Error => Type::Object(Object::Error),
            Self::Now => Type::Timestamp,
        }
    }
}

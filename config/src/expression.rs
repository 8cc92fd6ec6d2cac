//! Which texts of a policy are expressions: the one list that checker and compiler share.

/// How the text of an expression is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExpressionKind {
    /// CEL that yields a bool.
    Condition,
    /// CEL that yields any value.
    Value,
    /// Literal text with `${CEL}` in it.
    Template,
}

/// An expression of a policy step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression<'a> {
    /// Path of its field below the step, for example `setHeader.values[0]`.
    pub field: String,
    /// How the text is read.
    pub kind: ExpressionKind,
    /// The text of the expression.
    pub text: &'a str,
    /// May it read the backend's answer though its step runs before? Then it is evaluated after.
    pub may_wait: bool,
}

/// Data of a policy, with the texts in it that are expressions.
pub(crate) trait HasExpressions {
    /// Its expressions, each with the path of its field below the step. Default: none.
    fn expressions(&self) -> Vec<Expression<'_>> {
        Vec::new()
    }
}

impl<'a> Expression<'a> {
    pub(crate) fn new(field: impl Into<String>, kind: ExpressionKind, text: &'a str) -> Self {
        Self {
            field: field.into(),
            kind,
            text,
            may_wait: false,
        }
    }

    /// An expression that may read the backend's answer.
    pub(crate) fn waiting(field: &str, kind: ExpressionKind, text: &'a str) -> Self {
        Self {
            may_wait: true,
            ..Self::new(field, kind, text)
        }
    }

    /// What a policy counts, and when and how much, which may depend on the answer.
    pub(crate) fn of_counter(
        policy: &str,
        key: &'a str,
        (when, by): (Option<&'a String>, Option<&'a String>),
    ) -> Vec<Self> {
        let field = |name: &str| format!("{policy}.{name}");
        let waiting = |name: &str, kind, text: &'a String| Self::waiting(&field(name), kind, text);
        let key = Self::new(field("key"), ExpressionKind::Value, key);
        let when = when.map(|text| waiting("incrementWhen", ExpressionKind::Condition, text));
        let by = by.map(|text| waiting("incrementBy", ExpressionKind::Value, text));
        [Some(key), when, by].into_iter().flatten().collect()
    }

    pub(crate) fn templates(field: &str, texts: &'a [String]) -> Vec<Self> {
        let at = |(i, text): (usize, &'a String)| {
            Self::new(format!("{field}[{i}]"), ExpressionKind::Template, text)
        };
        texts.iter().enumerate().map(at).collect()
    }
}

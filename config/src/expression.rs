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
    /// Whether it may read the backend's answer although its step runs before; then it is evaluated after
    /// the answer.
    pub is_deferrable: bool,
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
            is_deferrable: false,
        }
    }

    /// An expression that may read the backend's answer.
    pub(crate) fn deferrable(field: &str, kind: ExpressionKind, text: &'a str) -> Self {
        Self {
            is_deferrable: true,
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
        let deferrable =
            |name: &str, kind, text: &'a String| Self::deferrable(&field(name), kind, text);
        let key = Self::new(field("key"), ExpressionKind::Value, key);
        let when = when.map(|text| deferrable("incrementWhen", ExpressionKind::Condition, text));
        let by = by.map(|text| deferrable("incrementBy", ExpressionKind::Value, text));
        [Some(key), when, by].into_iter().flatten().collect()
    }

    pub(crate) fn templates(field: &str, texts: &'a [String]) -> Vec<Self> {
        let at = |(i, text): (usize, &'a String)| {
            Self::new(format!("{field}[{i}]"), ExpressionKind::Template, text)
        };
        texts.iter().enumerate().map(at).collect()
    }
}

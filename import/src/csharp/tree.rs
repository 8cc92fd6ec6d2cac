//! Expressions and statements.

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expr {
    /// A string.
    Text(String),
    /// An integer.
    Int(i64),
    /// `true`, `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// A name.
    Name(String),
    /// `a.b`, `a?.b`.
    Member(Box<Self>, String, bool),
    /// `a.b<T>(…)`: receiver and name, type argument, arguments.
    Call(Box<Self>, Option<String>, Vec<Self>),
    /// `a[b]`.
    Index(Box<Self>, Box<Self>),
    /// `(T)a`.
    Cast(String, Box<Self>),
    /// `new T(…)`.
    New(String, Vec<Self>),
    /// `new[] { a, b }`.
    List(Vec<Self>),
    /// `{{name}}` outside a text.
    Named(String),
    /// `new { a = b, … }`.
    Object(Vec<(String, Self)>),
    /// `a => b`.
    Lambda(String, Box<Self>),
    /// `!a`.
    Not(Box<Self>),
    /// `a op b`.
    Binary(&'static str, Box<Self>, Box<Self>),
    /// `a ? b : c`.
    Choice(Box<Self>, Box<Self>, Box<Self>),
}

/// A statement of `@{…}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stmt {
    /// `var a = b;`, `string a = b;`, `a = b;`
    Set(String, Expr),
    /// `return a;`
    Return(Expr),
    /// `if (a) … else …`
    If(Expr, Vec<Self>, Vec<Self>),
    /// `a.b(…);`, with its line.
    Call(Expr, usize),
}

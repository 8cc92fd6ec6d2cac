//! The functions of the language: one table of overloads per subject, found by name and kind of call.
//!
//! Functions of Kubernetes' libraries run in `kube-cel`, some of CEL's own in `cel`; both through one shared
//! registry ([`foreign`]). What is ours, or what those libraries leave unbounded, runs here. No I/O.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use cel::Value;
use cel::objects::Map;

use crate::budget::Budget;
use crate::error::Fault;
use crate::types::Type;

mod address;
mod convert;
mod encode;
mod foreign;
mod lists;
mod optional;
pub(crate) mod pattern;
mod random;
mod request;
mod text;
mod time;
mod token;
mod url;

use pattern::Pattern;

pub(crate) use token::{is_algorithm, problem_of_key};

/// One way to call one function.
#[derive(Debug)]
pub(crate) struct Overload {
    pub(crate) name: &'static str,
    /// Called on its first argument: `text.trim()`.
    pub(crate) method: bool,
    pub(crate) takes: &'static [Type],
    pub(crate) gives: Type,
    run: Run,
    /// Gives the same result for the same arguments, and can be computed at compile time.
    pub(crate) pure: bool,
}

#[derive(Clone, Copy, Debug)]
enum Run {
    Native(fn(&mut Call<'_>) -> Result<Value, Fault>),
    /// Runs in the registry of the libraries, after the guard has paid for what is unbounded there.
    Foreign(fn(&mut Call<'_>) -> Result<(), Fault>),
}

impl Overload {
    const fn global(
        name: &'static str,
        takes: &'static [Type],
        gives: Type,
        run: fn(&mut Call<'_>) -> Result<Value, Fault>,
    ) -> Self {
        Self {
            name,
            method: false,
            takes,
            gives,
            run: Run::Native(run),
            pure: true,
        }
    }

    const fn foreign(name: &'static str, takes: &'static [Type], gives: Type) -> Self {
        Self {
            name,
            method: false,
            takes,
            gives,
            run: Run::Foreign(no_guard),
            pure: true,
        }
    }

    const fn method(mut self) -> Self {
        self.method = true;
        self
    }

    const fn impure(mut self) -> Self {
        self.pure = false;
        self
    }

    const fn guarded(mut self, guard: fn(&mut Call<'_>) -> Result<(), Fault>) -> Self {
        self.run = Run::Foreign(guard);
        self
    }

    /// How many arguments a caller writes.
    pub(crate) fn arity(&self) -> usize {
        self.takes.len() - usize::from(self.method)
    }

    pub(crate) fn admits(&self, args: &[Value]) -> bool {
        self.takes.len() == args.len()
            && self
                .takes
                .iter()
                .zip(args)
                .all(|(wanted, arg)| wanted.admits_value(arg))
    }

    pub(crate) fn run(&self, call: &mut Call<'_>) -> Result<Value, Fault> {
        match self.run {
            Run::Native(run) => run(call),
            Run::Foreign(guard) => {
                guard(call)?;
                foreign::run(self, call)
            }
        }
    }
}

/// The signature, as a reader of an error message sees it: `string.startsWith(string)`.
impl fmt::Display for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut takes = self.takes.iter();
        if self.method
            && let Some(receiver) = takes.next()
        {
            write!(f, "{receiver}.")?;
        }
        let args: Vec<String> = takes.map(ToString::to_string).collect();
        write!(f, "{}({})", self.name, args.join(", "))
    }
}

fn no_guard(_: &mut Call<'_>) -> Result<(), Fault> {
    Ok(())
}

/// The arguments of one call, the receiver first, and what a function may use besides.
pub(crate) struct Call<'a> {
    pub(crate) args: &'a [Value],
    pub(crate) budget: &'a mut Budget,
    /// `now`, or null when it was not set.
    pub(crate) now: Value,
    /// The pattern, compiled ahead, when it is a literal.
    pub(crate) pattern: Option<&'a Pattern>,
}

/// Overloads are chosen by type first, so that a wrong argument here is a fault of the table; it is an error
/// all the same, never a panic.
impl<'a> Call<'a> {
    fn text(&self, index: usize) -> Result<&'a str, Fault> {
        match self.args.get(index) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(wrong(index, "string")),
        }
    }

    /// Text or bytes, as bytes.
    fn octets(&self, index: usize) -> Result<&'a [u8], Fault> {
        match self.args.get(index) {
            Some(Value::String(text)) => Ok(text.as_bytes()),
            Some(Value::Bytes(bytes)) => Ok(bytes),
            _ => Err(wrong(index, "string or bytes")),
        }
    }

    fn int(&self, index: usize) -> Result<i64, Fault> {
        match self.args.get(index) {
            Some(Value::Int(int)) => Ok(*int),
            _ => Err(wrong(index, "int")),
        }
    }

    fn list(&self, index: usize) -> Result<&'a [Value], Fault> {
        match self.args.get(index) {
            Some(Value::List(items)) => Ok(items),
            _ => Err(wrong(index, "list")),
        }
    }

    fn map(&self, index: usize) -> Result<&'a Map, Fault> {
        match self.args.get(index) {
            Some(Value::Map(map)) => Ok(map),
            _ => Err(wrong(index, "map")),
        }
    }

    fn value(&self, index: usize) -> Result<&'a Value, Fault> {
        self.args.get(index).ok_or_else(|| wrong(index, "value"))
    }
}

fn wrong(index: usize, wanted: &str) -> Fault {
    Fault::new(format!("argument {} is not a {wanted}", index + 1))
}

/// Every table. Order matters where one name has several overloads: the first that fits runs.
const TABLES: [&[Overload]; 12] = [
    address::OVERLOADS,
    convert::OVERLOADS,
    encode::OVERLOADS,
    lists::OVERLOADS,
    optional::OVERLOADS,
    pattern::OVERLOADS,
    random::OVERLOADS,
    request::OVERLOADS,
    text::OVERLOADS,
    time::OVERLOADS,
    token::OVERLOADS,
    url::OVERLOADS,
];

/// Overloads by name: plain functions, and methods.
#[derive(Default)]
struct OverloadIndex {
    functions: BTreeMap<&'static str, Vec<&'static Overload>>,
    methods: BTreeMap<&'static str, Vec<&'static Overload>>,
}

impl OverloadIndex {
    fn of(&self, method: bool) -> &BTreeMap<&'static str, Vec<&'static Overload>> {
        if method {
            &self.methods
        } else {
            &self.functions
        }
    }
}

static INDEX: LazyLock<OverloadIndex> = LazyLock::new(|| {
    let mut index = OverloadIndex::default();
    for overload in TABLES.into_iter().flatten() {
        let kind = if overload.method {
            &mut index.methods
        } else {
            &mut index.functions
        };
        kind.entry(overload.name).or_default().push(overload);
    }
    index
});

/// The overloads of a name, called as a method or not. Functions of a namespace have it in their name.
pub(crate) fn find(name: &str, method: bool) -> &'static [&'static Overload] {
    INDEX.of(method).get(name).map_or(&[], Vec::as_slice)
}

/// The names of all methods, or of all others.
pub(crate) fn names(method: bool) -> impl Iterator<Item = &'static str> {
    INDEX.of(method).keys().copied()
}

/// Whether functions are called as `name.function(…)`.
pub(crate) fn is_namespace(name: &str) -> bool {
    names(false).any(|f| {
        f.split_once('.')
            .is_some_and(|(namespace, _)| namespace == name)
    })
}

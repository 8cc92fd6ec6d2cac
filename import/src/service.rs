//! What is known of the service around a policy: its named values, the names that its objects get here, and
//! the names of variables.

mod tokens;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) use self::tokens::{Token, Tokens};
use super::csharp::Unreadable;
use super::finding::Level;

type Result<T> = std::result::Result<T, Unreadable>;

fn no<T>(what: impl Into<String>) -> Result<T> {
    Err(Unreadable(what.into()))
}

/// What a named value holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NamedValue {
    /// A text that the export contains.
    Plain(String),
    /// A policy expression. API Management puts it in place of the name.
    Expression(String),
    /// A secret, or a value that the export does not contain.
    Unknown,
}

/// Objects whose ids policies read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum IdOf {
    Api,
    Product,
    Subscription,
}

/// What an id that a policy compares with becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Renamed {
    /// The name of the object here.
    To(String),
    /// No handshake belongs to this object: it is known, and not imported.
    Never,
}

/// The service. Policy documents alone know nothing about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Service {
    /// Named values by the name that policies use.
    pub(crate) values: BTreeMap<String, NamedValue>,
    /// Ids of all objects and what they become; `None`: only documents are imported.
    pub(crate) ids: Option<Ids>,
    /// The identity that the gateway acts for in place of a managed identity.
    pub(crate) identity: Identity,
    variables: RefCell<Identifiers>,
    named: RefCell<Identifiers>,
    /// Named values that policies read.
    read: RefCell<BTreeSet<String>>,
    remarks: RefCell<Vec<(Level, String)>>,
    /// Variables that hold the token of a managed identity.
    tokens: RefCell<Tokens>,
    /// How many documents keep such a token in a variable.
    keepers: RefCell<BTreeMap<String, usize>>,
}

/// An application or user-assigned managed identity of Entra ID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// URL of the authority of another cloud than Azure's public one.
    pub authority: Option<String>,
    /// Id of the tenant.
    pub tenant: Option<String>,
    /// Its client id.
    pub client: Option<String>,
}

/// Ids of objects, and what they become.
pub(crate) type Ids = BTreeMap<(IdOf, String), Renamed>;

impl Service {
    /// A service whose objects are all known.
    pub(crate) fn new(values: BTreeMap<String, NamedValue>, ids: Ids, identity: Identity) -> Self {
        Self {
            values,
            ids: Some(ids),
            identity,
            ..Self::default()
        }
    }

    /// The name of a variable. Characters that CEL does not allow become `_`; different names stay different.
    pub(crate) fn variable(&self, name: &str) -> Result<String> {
        self.variables.borrow_mut().of(name)
    }

    /// The name of a named value, in the same way.
    pub(crate) fn value(&self, name: &str) -> Result<String> {
        let name = self.as_written(name);
        self.read.borrow_mut().insert(name.to_owned());
        self.named.borrow_mut().of(name)
    }

    /// Whether a policy reads the named value.
    pub(crate) fn is_read(&self, name: &str) -> bool {
        self.read.borrow().contains(name.trim())
    }

    /// A name in the case of its definition.
    fn as_written<'a>(&'a self, name: &'a str) -> &'a str {
        let name = name.trim();
        if self.values.contains_key(name) {
            return name;
        }
        let mut all = self.values.keys();
        let other = all.find(|known| known.eq_ignore_ascii_case(name));
        other.map_or(name, String::as_str)
    }

    /// What is known about a named value.
    pub(crate) fn named(&self, name: &str) -> &NamedValue {
        const UNKNOWN: &NamedValue = &NamedValue::Unknown;
        let name = self.as_written(name);
        self.read.borrow_mut().insert(name.to_owned());
        self.values.get(name).unwrap_or(UNKNOWN)
    }

    /// A text with the values of its names in their places, for fields that take no template.
    pub(crate) fn resolved(&self, text: &str) -> Result<String> {
        let mut found = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else {
                return no("a named value has no end");
            };
            let NamedValue::Plain(value) = self.named(name) else {
                let name = name.trim();
                return no(format!(
                    "the value of {{{{{name}}}}} is not known: put it in, because this field takes no named value"
                ));
            };
            found.push_str(before);
            found.push_str(value);
            rest = after;
        }
        found.push_str(rest);
        Ok(found)
    }

    /// What an id becomes. `Err`: nothing is known about such an object.
    pub(crate) fn renamed(&self, of: IdOf, id: &str) -> Result<Renamed> {
        let Some(ids) = &self.ids else {
            if !is_name(id) {
                return no(format!(
                    "the id {id:?} is compared, which cannot be the name of an object here: compare with \
                     the name that you give it"
                ));
            }
            let text = format!("the id {id:?} is compared: give the object this name here");
            self.remark(Level::Warning, text);
            return Ok(Renamed::To(id.to_owned()));
        };
        match ids.get(&(of, id.to_owned())) {
            Some(renamed) => Ok(renamed.clone()),
            None => no(format!(
                "the id {id:?} is compared, and the object is not part of this import"
            )),
        }
    }

    /// An id of an object, written in whatever case, as it is written at the object.
    pub(crate) fn id_in_any_case<'a>(&'a self, of: IdOf, id: &'a str) -> &'a str {
        let ids = self.ids.iter().flatten();
        let mut same =
            ids.filter(|((kind, known), _)| *kind == of && known.eq_ignore_ascii_case(id));
        same.next().map_or(id, |((_, known), _)| known)
    }

    /// Whether an object of this kind has another name here.
    pub(crate) fn is_renamed(&self, of: IdOf) -> bool {
        let mut ids = self.ids.iter().flatten();
        ids.any(|((kind, id), renamed)| {
            *kind == of && matches!(renamed, Renamed::To(name) if name != id)
        })
    }

    /// A document has a policy that keeps such a token in the variable with this name there.
    pub(crate) fn expect_token(&self, name: &str) {
        let Ok(variable) = &self.variable(name) else {
            return;
        };
        let mut keepers = self.keepers.borrow_mut();
        *keepers.entry(variable.to_owned()).or_default() += 1;
        self.tokens.borrow_mut().expect(variable);
    }

    /// Steps of other documents run here: they may set variables that they set, too.
    pub(crate) fn run_others(&self) {
        let keepers = self.keepers.borrow();
        let shared = keepers.iter().filter(|(_, count)| **count > 1);
        for (name, _) in shared {
            self.tokens.borrow_mut().expect(name);
        }
    }

    /// A step sets the variable.
    pub(crate) fn set_token(&self, variable: &str, token: Token) {
        self.tokens.borrow_mut().set(variable, token);
    }

    /// The variable with a token that an expression in CEL reads, and what is known of it.
    pub(crate) fn token_in(&self, cel: &str) -> Option<(String, Token)> {
        let tokens = self.tokens.borrow();
        let (name, token) = tokens.read_by(cel)?;
        Some((name.to_owned(), token.clone()))
    }

    /// What is known of variables with tokens at this place.
    pub(crate) fn tokens(&self) -> Tokens {
        self.tokens.borrow().clone()
    }

    /// Goes on at another place.
    pub(crate) fn set_tokens(&self, tokens: Tokens) {
        self.tokens.replace(tokens);
    }

    /// Goes on in a document or fragment, where variables of others hold this, and returns what was known before.
    pub(crate) fn enter(&self, others: &Token) -> Tokens {
        let inner = self.tokens.borrow().elsewhere(others);
        self.tokens.replace(inner)
    }

    /// Keeps a remark until it is asked for.
    pub(crate) fn remark(&self, level: Level, text: String) {
        let mut remarks = self.remarks.borrow_mut();
        let remark = (level, text);
        if !remarks.contains(&remark) {
            remarks.push(remark);
        }
    }

    /// All remarks since the last call.
    pub(crate) fn remarks(&self) -> Vec<(Level, String)> {
        self.remarks.take()
    }
}

/// Whether it can be the name of a Kubernetes object (RFC 1123).
fn is_name(id: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !id.is_empty()
        && id.len() <= 63
        && id.chars().all(fits)
        && !id.starts_with('-')
        && !id.ends_with('-')
}

/// Names in expressions: the same for the same name, different for different names.
#[derive(Clone, Debug, Default)]
struct Identifiers {
    given: BTreeMap<String, String>,
    taken: BTreeSet<String>,
}

/// Names that start like this are the importer's own.
const OWN: &str = "imported_";

impl Identifiers {
    fn of(&mut self, name: &str) -> Result<String> {
        let name = name.trim();
        if let Some(known) = self.given.get(name) {
            return Ok(known.clone());
        }
        let mut plain = identifier(name)?;
        if plain.starts_with(OWN) {
            plain.insert_str(0, "their_");
        }
        let is_free = |candidate: &String| !self.taken.contains(candidate);
        let numbered = (2..).map(|number| format!("{plain}_{number}"));
        let first = std::iter::once(plain.clone());
        let Some(found) = first.chain(numbered).find(is_free) else {
            return no("there are too many names");
        };
        self.taken.insert(found.clone());
        self.given.insert(name.to_owned(), found.clone());
        Ok(found)
    }
}

/// A name with `_` for the characters that CEL does not allow.
fn identifier(name: &str) -> Result<String> {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if !starts_well || !name.chars().all(fits) || name.len() > 56 {
        return no(format!("the name {name:?} cannot be translated"));
    }
    Ok(name.replace(['-', '.'], "_"))
}

/// Names after `values.` in expressions.
pub(crate) fn values_of(text: &str) -> Vec<String> {
    let parts = text.split("values.").skip(1);
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = parts.map(|rest| {
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        rest[..end].to_owned()
    });
    names.filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_stay_different() {
        let service = Service::default();
        for (name, wanted) in [
            ("user-id", "user_id"),
            ("user_id", "user_id_2"),
            ("user.id", "user_id_3"),
            ("user-id", "user_id"),
            ("imported_condition_1", "their_imported_condition_1"),
        ] {
            assert_eq!(service.variable(name).as_deref(), Ok(wanted), "{name}");
        }
        assert!(service.variable("1st").is_err());
    }

    #[test]
    fn a_value_stands_in_the_place_of_its_name() {
        let values = [
            ("tenant", NamedValue::Plain("t".to_owned())),
            ("secret", NamedValue::Unknown),
            ("code", NamedValue::Expression("@(1)".to_owned())),
        ];
        let values = values.map(|(name, value)| (name.to_owned(), value));
        let service = Service::new(values.into(), Ids::new(), Identity::default());
        let resolved = service.resolved("https://a.example/{{ Tenant }}/x");
        assert_eq!(resolved.as_deref(), Ok("https://a.example/t/x"));
        for text in ["{{secret}}", "{{code}}", "{{other}}", "{{open"] {
            assert!(service.resolved(text).is_err(), "{text}");
        }
    }
}

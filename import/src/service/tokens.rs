//! Which variables hold the token of a managed identity at a place of a document.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What is known of a variable that holds such a token somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// The token for these credentials.
    Of(Value),
    /// Something else.
    Plain,
    /// It depends on the branch that ran, or on another document.
    Unsure,
    /// In a fragment: whatever it holds where the fragment is included.
    Outer,
}

/// The variables by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tokens(BTreeMap<String, Token>);

impl Tokens {
    /// The variable holds this from here on. Only those that hold a token somewhere are known.
    pub(super) fn set(&mut self, variable: &str, token: Token) {
        if matches!(token, Token::Of(_)) || self.0.contains_key(variable) {
            self.0.insert(variable.to_owned(), token);
        }
    }

    /// The variable may hold a token, and nobody knows which one.
    pub(super) fn expect(&mut self, variable: &str) {
        self.0.insert(variable.to_owned(), Token::Unsure);
    }

    /// The variables at the start of another document.
    pub(super) fn elsewhere(&self, token: &Token) -> Self {
        let names = self.0.keys();
        Self(names.map(|name| (name.clone(), token.clone())).collect())
    }

    /// The variables after branches, one of which has run.
    pub(crate) fn after(branches: &[Self]) -> Self {
        let names: BTreeSet<_> = branches.iter().flat_map(|branch| branch.0.keys()).collect();
        let merged = names.into_iter().map(|name| {
            let mut all = branches.iter().map(|branch| branch.0.get(name));
            let first = all.next().flatten();
            let is_same = all.all(|other| other == first);
            let token = first.filter(|_| is_same).cloned();
            (name.clone(), token.unwrap_or(Token::Unsure))
        });
        Self(merged.collect())
    }

    /// What a fragment has changed, for the place where it is included.
    pub(crate) fn changed(&self) -> Self {
        let all = self.0.iter().filter(|(_, token)| **token != Token::Outer);
        Self(
            all.map(|(name, token)| (name.clone(), token.clone()))
                .collect(),
        )
    }

    /// The variables behind a fragment that changed these.
    pub(crate) fn change(&mut self, by: &Self) {
        self.0.extend(by.0.clone());
    }

    /// The variable that an expression in CEL reads, and what it holds.
    pub(super) fn read_by(&self, cel: &str) -> Option<(&str, &Token)> {
        let mut all = self.0.iter().filter(|(_, token)| **token != Token::Plain);
        let found = all.find(|(name, _)| {
            let variable = format!("vars.{name}");
            let mut uses = cel.split(&variable).skip(1);
            uses.any(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
        });
        found.map(|(name, token)| (name.as_str(), token))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tokens(all: &[(&str, Token)]) -> Tokens {
        let all = all
            .iter()
            .map(|(name, token)| ((*name).to_owned(), token.clone()));
        Tokens(all.collect())
    }

    #[test]
    fn a_variable_is_sure_only_if_each_branch_sets_it_to_the_same() {
        let (a, b) = (Token::Of(json!("a")), Token::Of(json!("b")));
        let branches = [
            tokens(&[
                ("same", a.clone()),
                ("other", a.clone()),
                ("once", a.clone()),
            ]),
            tokens(&[("same", a.clone()), ("other", b)]),
        ];
        let wanted = [
            ("same", a),
            ("other", Token::Unsure),
            ("once", Token::Unsure),
        ];
        assert_eq!(Tokens::after(&branches), tokens(&wanted));
    }

    #[test]
    fn a_variable_is_not_a_part_of_a_longer_name() {
        let known = tokens(&[("t", Token::Of(json!(1))), ("u", Token::Plain)]);
        for (cel, wanted) in [
            ("(\"Bearer \" + vars.t)", Some("t")),
            ("vars.t_2", None),
            ("vars.u", None),
        ] {
            assert_eq!(known.read_by(cel).map(|found| found.0), wanted, "{cel}");
        }
    }
}

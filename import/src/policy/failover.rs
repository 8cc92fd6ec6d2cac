//! `retry` around `forward-request`: with a pool, the next member is asked in the same handshake.

use roxmltree::Node;
use tidegate_config::StatusRange;

use super::super::csharp::{Expr, Stmt, parse as parse_expression};
use super::super::xml::{parse, protect, restore};
use super::Translator;

/// All statuses of HTTP.
const ALL: std::ops::RangeInclusive<u16> = 100..=599;

/// Statuses with which the backend says that it could not act, whoever the client is.
fn is_of_backend(status: u16) -> bool {
    status == 429 || status >= 500
}

/// For which statuses a condition asks again.
struct Retried {
    statuses: Vec<StatusRange>,
    /// It also depends on something else.
    is_partial: bool,
}

impl Retried {
    /// Err: why its statuses are not translated.
    fn of(condition: &str) -> Result<Self, &'static str> {
        let statements = parse_expression(condition).unwrap_or_default();
        let [Stmt::Return(condition)] = statements.as_slice() else {
            return Err("its condition is not about statuses only");
        };
        let decided: Vec<_> = ALL
            .map(|status| (status, truth(condition, status)))
            .collect();
        let asked = decided.iter().filter(|(_, found)| *found == Some(true));
        let asked: Vec<_> = asked.map(|(status, _)| *status).collect();
        if asked.is_empty() {
            return Err("its condition is not about statuses only");
        }
        if !asked.iter().all(|status| is_of_backend(*status)) {
            return Err(
                "a single client can cause some of its statuses, and would take members from all others",
            );
        }
        Ok(Self {
            statuses: ranges(&asked),
            is_partial: decided.iter().any(|(_, found)| found.is_none()),
        })
    }

    /// The statuses as the field takes them.
    fn shown(&self) -> String {
        let all: Vec<_> = self.statuses.iter().map(ToString::to_string).collect();
        all.join(", ")
    }
}

impl Translator<'_, '_> {
    /// What becomes of such a `retry`.
    pub(super) fn retried(&self, node: Node<'_, '_>) -> String {
        match (Retried::of(&condition_of(node)), self.context.fails_over) {
            (Ok(found), true) => {
                let rest = match found.is_partial {
                    true => {
                        ". For other statuses its condition depends on more than the status, and is left out"
                    }
                    false => "",
                };
                format!(
                    "becomes backend.failover with the statuses {}: each other member of the pool is asked once, \
                     without waiting{rest}",
                    found.shown()
                )
            }
            (Ok(found), false) => format!(
                "left out: a backend without a pool is asked once. With a pool, set backend.failover with the \
                 statuses {}",
                found.shown()
            ),
            (Err(why), _) => format!(
                "left out: when a member of a pool does not answer, the next one is used. Statuses are not \
                 translated: {why}"
            ),
        }
    }
}

fn condition_of(retry: Node<'_, '_>) -> String {
    retry
        .attribute("condition")
        .map(restore)
        .unwrap_or_default()
}

/// Statuses for which a document of an API forwards to its own backend again.
pub(crate) fn retried_statuses(text: &str, own: &str) -> Option<Vec<StatusRange>> {
    let protected = protect(text).ok()?;
    let document = parse(&protected).ok()?;
    let mut sections = document.root_element().children();
    let backend = sections.find(|node| node.has_tag_name("backend"))?;
    let mut elements = backend.children().filter(Node::is_element);
    let (only, None) = (elements.next()?, elements.next()) else {
        return None;
    };
    let is_retry = only.has_tag_name("retry") && forwards_alone(only, Some(own));
    let found = Retried::of(&condition_of(only)).ok();
    found.filter(|_| is_retry).map(|found| found.statuses)
}

/// Whether it only forwards, perhaps behind a choice of the backend that the API has anyway.
pub(super) fn forwards_alone(node: Node<'_, '_>, own: Option<&str>) -> bool {
    let elements: Vec<_> = node.children().filter(Node::is_element).collect();
    let is_own = |chosen: &Node<'_, '_>| {
        let id = chosen.attribute("backend-id");
        let is_same = own
            .zip(id)
            .is_some_and(|(own, id)| own.eq_ignore_ascii_case(id));
        chosen.has_tag_name("set-backend-service") && is_same
    };
    match elements.as_slice() {
        [only] => only.has_tag_name("forward-request"),
        [chosen, last] => is_own(chosen) && last.has_tag_name("forward-request"),
        _ => false,
    }
}

/// Whether a condition holds for an answer with this status; `None`: it depends on something else.
fn truth(condition: &Expr, status: u16) -> Option<bool> {
    match condition {
        Expr::Bool(value) => Some(*value),
        Expr::Not(of) => truth(of, status).map(|found| !found),
        Expr::Binary("&&", a, b) => match (truth(a, status), truth(b, status)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (a, b) => a.zip(b).map(|(a, b)| a && b),
        },
        Expr::Binary("||", a, b) => match (truth(a, status), truth(b, status)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (a, b) => a.zip(b).map(|(a, b)| a || b),
        },
        Expr::Binary(mark, a, b) => {
            let is_answer = |of: &Expr| is_path(of, &["context", "Response"]);
            if (is_answer(a) && **b == Expr::Null) || (**a == Expr::Null && is_answer(b)) {
                return Some(*mark == "!=");
            }
            compared(mark, number(a, status)?, number(b, status)?)
        }
        _ => None,
    }
}

fn compared(mark: &str, a: i64, b: i64) -> Option<bool> {
    match mark {
        "==" => Some(a == b),
        "!=" => Some(a != b),
        "<" => Some(a < b),
        "<=" => Some(a <= b),
        ">" => Some(a > b),
        ">=" => Some(a >= b),
        _ => None,
    }
}

fn number(of: &Expr, status: u16) -> Option<i64> {
    match of {
        Expr::Int(value) => Some(*value),
        Expr::Cast(to, of) if to == "int" => number(of, status),
        of if is_path(of, &["context", "Response", "StatusCode"]) => Some(status.into()),
        _ => None,
    }
}

/// Whether it is `a.b.c`, also with `?.`: there is an answer.
fn is_path(of: &Expr, path: &[&str]) -> bool {
    match (of, path) {
        (Expr::Name(name), [only]) => name == only,
        (Expr::Member(of, name, _), [before @ .., last]) => name == last && is_path(of, before),
        _ => false,
    }
}

/// Numbers in order, as ranges.
fn ranges(statuses: &[u16]) -> Vec<StatusRange> {
    let mut found: Vec<StatusRange> = Vec::new();
    for status in statuses {
        match found.last_mut() {
            Some(range) if range.last + 1 == *status => range.last = *status,
            _ => found.push(StatusRange::from(*status)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "context.Response.StatusCode";

    #[test]
    fn statuses_of_the_backend_are_those_of_the_condition() {
        for (condition, wanted, is_partial) in [
            (format!("@({STATUS} == 429)"), "429", false),
            (
                format!("@({STATUS} == 429 || {STATUS} >= 500)"),
                "429, 500-599",
                false,
            ),
            (
                format!("@(context.Response != null && (429 == {STATUS} || {STATUS} == 503))"),
                "429, 503",
                false,
            ),
            (
                format!(
                    r#"@({STATUS} == 429 || ({STATUS} == 503 && !context.Response.StatusReason.Contains("pool")))"#
                ),
                "429",
                true,
            ),
            (
                format!("@((int){STATUS} > 499 && {STATUS} != 501)"),
                "500, 502-599",
                false,
            ),
        ] {
            let found = Retried::of(&condition).unwrap();
            assert_eq!(
                (found.shown().as_str(), found.is_partial),
                (wanted, is_partial),
                "{condition}"
            );
        }
    }

    #[test]
    fn a_condition_about_clients_or_anything_else_is_not_translated() {
        for (condition, why) in [
            (format!("@({STATUS} >= 400)"), "a single client"),
            (format!("@({STATUS} != 200)"), "a single client"),
            ("true".to_owned(), "not about statuses"),
            (
                "@(context.LastError != null)".to_owned(),
                "not about statuses",
            ),
            (String::new(), "not about statuses"),
        ] {
            let found = Retried::of(&condition).err().unwrap_or_default();
            assert!(found.contains(why), "{condition}: {found}");
        }
    }
}

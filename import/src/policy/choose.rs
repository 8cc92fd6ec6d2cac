//! Translates `choose` to flat steps with conditions.
//!
//! All conditions are evaluated before the first branch, because a step of a branch can change what they depend
//! on. One variable holds which branch runs.

use roxmltree::Node;
use serde_json::json;

use super::super::cel::Cel;
use super::super::csharp::Unreadable;
use super::super::field::Element;
use super::super::service::Tokens;
use super::{MAX_DEPTH, Scope, Steps, Translator, both};

/// A branch and its condition; `otherwise` has none.
struct Branch<'a, 'i> {
    node: Node<'a, 'i>,
    condition: Option<Cel>,
}

impl Translator<'_, '_> {
    pub(super) fn choose(&mut self, node: Node<'_, '_>, steps: &mut Steps) {
        if steps.depth >= MAX_DEPTH {
            self.refuse(node, steps, "choose is nested too deeply");
            return;
        }
        let branches = match self.branches(node) {
            Ok(branches) => branches,
            Err(why) => {
                self.refuse(node, steps, &why.to_string());
                return;
            }
        };
        self.remark(node);
        let outer = steps.guard.take();
        let before = steps.target.clone();
        let mut after = before.clone();
        steps.depth += 1;
        let guards = match alone(&branches) {
            Some(condition) if outer.is_none() => vec![condition],
            _ => self.keep(node, &branches, steps, outer.as_deref()),
        };
        let tokens = self.context.service.tokens();
        let mut held = Vec::new();
        for (branch, guard) in branches.iter().zip(guards) {
            steps.guard = Some(guard);
            steps.target = before.clone();
            self.context.service.set_tokens(tokens.clone());
            self.block(branch.node, steps);
            after.merge(&steps.target);
            held.push(self.context.service.tokens());
        }
        if branches.iter().all(|branch| branch.condition.is_some()) {
            held.push(tokens);
        }
        self.context.service.set_tokens(Tokens::after(&held));
        steps.target = after;
        steps.depth -= 1;
        steps.guard = outer;
    }

    /// Stores which branch runs, and returns the condition of each one.
    fn keep(
        &mut self,
        node: Node<'_, '_>,
        branches: &[Branch<'_, '_>],
        steps: &mut Steps,
        outer: Option<&str>,
    ) -> Vec<String> {
        self.state.choices += 1;
        let name = self.name_of_choice();
        let (values, guards) = match branches {
            [
                Branch {
                    condition: Some(only),
                    ..
                },
            ] if only.is_truth() => (vec![whether(only, outer)], vec![format!("vars.{name}")]),
            _ => {
                let guard = |number: usize| format!("vars.{name} == {number}");
                let guards = (1..=branches.len()).map(guard).collect();
                (choices(&name, branches, outer), guards)
            }
        };
        for value in values {
            let step = json!({"setVariable": {"name": name, "value": value}});
            self.push(node, steps, step);
        }
        guards
    }

    /// Steps of other documents run at `base`, between those of a choice: the name must not be theirs.
    fn name_of_choice(&self) -> String {
        let (prefix, number) = (&self.state.prefix, self.state.choices);
        match self.scope {
            Scope::Global => format!("imported_choice_global_{number}"),
            Scope::Product if prefix.is_empty() => format!("imported_choice_product_{number}"),
            Scope::Product | Scope::Api => format!("imported_{prefix}choice_{number}"),
        }
    }

    fn branches<'n, 'd>(&self, node: Node<'n, 'd>) -> Result<Vec<Branch<'n, 'd>>, Unreadable> {
        let no = |text: &str| Err(Unreadable(text.to_owned()));
        self.element_of(node).known(&[])?;
        let mut found: Vec<Branch<'_, '_>> = Vec::new();
        for child in node.children().filter(Node::is_element) {
            if found.last().is_some_and(|last| last.condition.is_none()) {
                return no("otherwise must come last");
            }
            let condition = match child.tag_name().name() {
                "when" => Some(condition_of(self.element_of(child))?),
                "otherwise" => None,
                _ => return no("choose may contain when and otherwise only"),
            };
            let node = child;
            found.push(Branch { node, condition });
        }
        match found.first() {
            Some(first) if first.condition.is_some() => Ok(found),
            _ => no("choose must start with when"),
        }
    }
}

fn condition_of(when: Element<'_, '_>) -> Result<Cel, Unreadable> {
    when.known(&["condition"])?;
    when.condition(&when.required("condition")?)
}

/// Whether the only branch runs.
fn whether(condition: &Cel, outer: Option<&str>) -> String {
    match outer {
        None => condition.text.clone(),
        Some(outer) => both(outer, &condition.text),
    }
}

/// The longest value of a variable.
const MAX_LENGTH: usize = 4096;

/// The number of the branch that runs, in as few steps as the length of a value allows.
fn choices(name: &str, branches: &[Branch<'_, '_>], outer: Option<&str>) -> Vec<String> {
    let within = |value: String| match outer {
        None => value,
        Some(outer) => format!("{outer} ? ({value}) : 0"),
    };
    let whole = within(which(branches, 1));
    if whole.len() <= MAX_LENGTH {
        return vec![whole];
    }
    let mut found = Vec::new();
    for (number, branch) in (1..).zip(branches.chunks(1)) {
        let own = which(branch, number);
        found.push(within(match number {
            1 => own,
            _ => format!("vars.{name} != 0 ? vars.{name} : {own}"),
        }));
    }
    found
}

/// The number of the first branch whose condition holds; 0: none. Anything but true or false fails, as there.
fn which(branches: &[Branch<'_, '_>], first: usize) -> String {
    let mut value = String::new();
    for (number, branch) in (first..).zip(branches) {
        match &branch.condition {
            Some(condition) => value.push_str(&format!("{} ? {number} : ", condition.text)),
            None => value.push_str(&number.to_string()),
        }
    }
    let has_otherwise = branches.last().is_some_and(|last| last.condition.is_none());
    value + if has_otherwise { "" } else { "0" }
}

/// The condition of the only branch, if nothing can change it before it is used.
fn alone(branches: &[Branch<'_, '_>]) -> Option<String> {
    match branches {
        [
            Branch {
                node,
                condition: Some(condition),
            },
        ] if is_one_step(*node) => Some(condition.text.clone()),
        _ => None,
    }
}

/// Elements that become several steps.
const SEVERAL: [&str; 5] = [
    "choose",
    "limit-concurrency",
    "set-backend-service",
    "cache-lookup-value",
    "return-response",
];

/// With one step, nothing can change the condition before it is used.
fn is_one_step(branch: Node<'_, '_>) -> bool {
    let mut elements = branch.children().filter(Node::is_element);
    let (Some(only), None) = (elements.next(), elements.next()) else {
        return false;
    };
    let name = only.tag_name().name();
    match name {
        "return-response" => only.attribute("response-variable-name").is_none(),
        name => !SEVERAL.contains(&name),
    }
}

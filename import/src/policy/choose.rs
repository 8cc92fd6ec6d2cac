//! Translates `choose` to flat steps with conditions.
//!
//! All conditions are evaluated before the first branch and stored in variables, because a step of a branch can
//! change what they depend on.

use roxmltree::Node;
use serde_json::json;

use super::super::csharp::Unreadable;
use super::super::field::{condition, known, required};
use super::{MAX_DEPTH, Steps, Translator};

/// A branch and its condition; `otherwise` has none.
struct Branch<'a, 'i> {
    node: Node<'a, 'i>,
    condition: Option<String>,
}

impl Translator<'_, '_> {
    pub(super) fn choose(&mut self, node: Node<'_, '_>, steps: &mut Steps) {
        if steps.depth >= MAX_DEPTH {
            self.refuse(node, steps, "choose is nested too deeply");
            return;
        }
        let branches = match branches(node) {
            Ok(branches) => branches,
            Err(why) => {
                self.refuse(node, steps, &why.to_string());
                return;
            }
        };
        let outer = steps.guard.take();
        let before = steps.target.clone();
        let mut after = before.clone();
        steps.depth += 1;
        if let [
            Branch {
                node,
                condition: Some(condition),
            },
        ] = &branches[..]
            && outer.is_none()
            && is_one_step(*node)
        {
            steps.guard = Some(condition.clone());
            self.block(*node, steps);
            after.merge(&steps.target);
        } else {
            let guards = self.keep(node, &branches, steps, outer.as_deref());
            for (branch, guard) in branches.iter().zip(guards) {
                steps.guard = Some(guard);
                steps.target = before.clone();
                self.block(branch.node, steps);
                after.merge(&steps.target);
            }
        }
        steps.target = after;
        steps.depth -= 1;
        steps.guard = outer;
    }

    /// One variable per branch; at most one of them is true.
    fn keep(
        &mut self,
        node: Node<'_, '_>,
        branches: &[Branch<'_, '_>],
        steps: &mut Steps,
        outer: Option<&str>,
    ) -> Vec<String> {
        let mut guards: Vec<String> = Vec::new();
        for branch in branches {
            self.state.conditions += 1;
            let (prefix, number) = (&self.state.prefix, self.state.conditions);
            let name = format!("imported_{prefix}condition_{number}");
            let own = branch.condition.as_deref().unwrap_or("true");
            let mut value = match guards.is_empty() {
                true => own.to_owned(),
                false => format!("({} ? false : {own})", guards.join(" || ")),
            };
            if let Some(outer) = outer {
                value = format!("({outer} ? {value} : false)");
            }
            // Anything but true or false must fail here, not in a branch.
            let value = format!("({value} ? true : false)");
            self.push(
                node,
                steps,
                json!({"setVariable": {"name": name, "value": value}}),
            );
            guards.push(format!("vars.{name}"));
        }
        guards
    }
}

fn branches<'a, 'i>(node: Node<'a, 'i>) -> Result<Vec<Branch<'a, 'i>>, Unreadable> {
    let no = |text: &str| Err(Unreadable(text.to_owned()));
    known(node, &[])?;
    let mut found: Vec<Branch<'_, '_>> = Vec::new();
    for child in node.children().filter(Node::is_element) {
        if found.last().is_some_and(|last| last.condition.is_none()) {
            return no("otherwise must come last");
        }
        let condition = match child.tag_name().name() {
            "when" => {
                known(child, &["condition"])?;
                Some(condition(&required(child, "condition")?)?)
            }
            "otherwise" => None,
            _ => return no("choose may contain when and otherwise only"),
        };
        found.push(Branch {
            node: child,
            condition,
        });
    }
    match found.first() {
        Some(Branch {
            condition: Some(_), ..
        }) => Ok(found),
        _ => no("choose must start with when"),
    }
}

/// Elements that become several steps.
const SEVERAL: [&str; 3] = ["choose", "limit-concurrency", "set-backend-service"];

/// With one step, nothing can change the condition before it is used.
fn is_one_step(branch: Node<'_, '_>) -> bool {
    let mut elements = branch.children().filter(Node::is_element);
    match (elements.next(), elements.next()) {
        (Some(only), None) => !SEVERAL.contains(&only.tag_name().name()),
        _ => false,
    }
}

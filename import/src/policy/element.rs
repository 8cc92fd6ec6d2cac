//! Translates the elements of a section.

use roxmltree::Node;
use serde_json::{Value, json};

use super::super::csharp::Unreadable;
use super::super::finding::Level;
use super::super::steps::{Made, step};
use super::failover::forwards_alone;
use super::{MAX_FINDINGS, Scope, Steps, Translator};
use tidegate_config::policy::Section;

/// Policies that API Management never runs on a handshake. It allows them in wider scopes only.
pub(super) const UNSUPPORTED: [&str; 15] = [
    "mock-response",
    "cache-lookup",
    "cache-store",
    "cross-domain",
    "cors",
    "jsonp",
    "set-method",
    "set-body",
    "xml-to-json",
    "json-to-xml",
    "xsl-transform",
    "validate-content",
    "validate-parameters",
    "validate-headers",
    "validate-status-code",
];

/// Policies that only observe: leaving them out does not widen access.
pub(super) const WATCHERS: [&str; 5] = [
    "trace",
    "emit-metric",
    "log-to-eventhub",
    "llm-emit-token-metric",
    "azure-openai-emit-token-metric",
];

impl Translator<'_, '_> {
    pub(super) fn element(&mut self, node: Node<'_, '_>, steps: &mut Steps) {
        if self.state.findings.len() > MAX_FINDINGS {
            self.give_up(node, steps);
            return;
        }
        match node.tag_name().name() {
            "choose" => self.choose(node, steps),
            "include-fragment" => self.include(node, steps),
            "limit-concurrency" => self.limit_concurrency(node, steps),
            "retry" if steps.forwards.is_some() && self.only_forwards(node) => {
                let text = self.retried(node);
                self.say(node, Level::Warning, &text);
                self.forward(node, steps);
            }
            "forward-request" if steps.forwards.is_some() => {
                if node.attributes().len() > 0 {
                    let text = "left out: set timeouts of the WebSocketApi instead";
                    self.say(node, Level::Warning, text);
                }
                self.forward(node, steps);
            }
            "base" if self.file.is_some() => {
                self.refuse(node, steps, "base is not allowed in a fragment");
            }
            "base" => match self.scope {
                Scope::Global => {}
                _ if steps.forwards.is_some() => self.forward(node, steps),
                _ if steps.found.iter().any(|step| !step["base"].is_null()) => {
                    self.refuse(node, steps, "base is translated only once in a section");
                }
                _ => {
                    self.context.service.run_others();
                    self.push(node, steps, json!({"base": {}}));
                }
            },
            "rewrite-uri" => self.rewrite(node, steps),
            "set-backend-service" => self.set_backend(node, steps),
            name if UNSUPPORTED.contains(&name) && self.scope != Scope::Api => {
                self.say(node, Level::Note, "skipped: no effect on WebSocket APIs");
            }
            name if UNSUPPORTED.contains(&name) => {
                self.refuse(node, steps, "not supported on a WebSocket API");
            }
            name => {
                let is_watcher = WATCHERS.contains(&name);
                match step(self.element_of(node)) {
                    Ok(made) => self.push_all(node, steps, made, is_watcher),
                    Err(why) if is_watcher => self.leave_out(node, &why.to_string()),
                    Err(why) => self.refuse(node, steps, &why.to_string()),
                }
            }
        }
    }

    /// Adds all steps of an element, or one refusal.
    pub(super) fn push_all(
        &mut self,
        node: Node<'_, '_>,
        steps: &mut Steps,
        made: Made,
        is_watcher: bool,
    ) {
        let before = steps.found.len();
        for policy in made.policies {
            if let Err(why) = self.add(node, steps, policy) {
                steps.found.truncate(before);
                match is_watcher {
                    true => self.leave_out(node, &why),
                    false => self.refuse(node, steps, &why),
                }
                return;
            }
        }
        for (level, remark) in made.remarks {
            self.say(node, level, &remark);
        }
    }

    fn only_forwards(&self, node: Node<'_, '_>) -> bool {
        forwards_alone(node, self.context.own_backend.as_deref())
    }

    fn leave_out(&mut self, node: Node<'_, '_>, why: &str) {
        let text = format!("left out, without effect on handshakes: {why}");
        self.say(node, Level::Warning, &text);
    }

    /// forward-request under a condition is refused: the other handshakes would not be forwarded.
    fn forward(&mut self, node: Node<'_, '_>, steps: &mut Steps) {
        if steps.guard.is_some() {
            self.refuse(
                node,
                steps,
                "forwarding under a condition is not translated",
            );
        }
        steps.forwards = Some(true);
    }

    /// Adds one unconditional refusal.
    fn give_up(&mut self, node: Node<'_, '_>, steps: &mut Steps) {
        let refusal = Value::from("not-imported-rest");
        let is_last = |step: &Value| step["id"] == refusal;
        if steps.section == Section::OnError || steps.found.last().is_some_and(is_last) {
            return;
        }
        self.say(
            node,
            Level::Error,
            "refuses with 501 instead of all the rest",
        );
        let answer = json!({"status": 501, "message": "A policy could not be imported."});
        let step = json!({"id": refusal, "returnResponse": answer});
        steps.push(step);
    }

    /// A limit of tunnels, before the enclosed policies.
    fn limit_concurrency(&mut self, node: Node<'_, '_>, steps: &mut Steps) {
        let step = match self.limit_of(node) {
            Ok(step) => step,
            Err(why) => {
                self.refuse(node, steps, &why.to_string());
                return;
            }
        };
        let text = "limits live tunnels here, and running requests there";
        self.say(node, Level::Warning, text);
        self.push(node, steps, step);
        self.block(node, steps);
    }

    fn limit_of(&self, node: Node<'_, '_>) -> Result<Value, Unreadable> {
        let node = self.element_of(node);
        node.known(&["key", "max-count"])?;
        let key = node.key(&node.required("key")?)?;
        match node.number("max-count")? {
            Some(max) => Ok(json!({"limitConnections": {"key": key, "max": max}})),
            None => Err(Unreadable("the attribute max-count is missing".to_owned())),
        }
    }
}

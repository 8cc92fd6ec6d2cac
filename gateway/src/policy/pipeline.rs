//! The order of all steps of a handshake, written once: merging the scopes and running a section.
//!
//! Inbound: Gateway, Product, WebSocketApi. Outbound and onError: WebSocketApi, Product, Gateway.
//! A `base` step stands for the wider scope's steps of the section. Steps see the named values of their own and
//! of wider scopes only, so a narrower scope can neither change a wider scope's policy by its values nor have
//! its secrets read by it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION,
    CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, LAST_MODIFIED,
};
use tidegate_config::policy::Section;
use tokio::time::{Instant, timeout_at};

use super::host_header::HostHeader;
use super::scope::{ScopePolicies, Step};
use super::{Services, increment};
use crate::exchange::{Exchange, ScopeValues};
use crate::head::ResponseHead;
use crate::refusal::{Origin, Reason, Refusal};
use crate::telemetry::trace::StepInfo;

/// Fields that are about one body (RFC 9110 §8, RFC 9530): with another one they would be wrong.
const DESCRIBE_A_BODY: [HeaderName; 13] = [
    CONTENT_TYPE,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_LOCATION,
    CONTENT_RANGE,
    CONTENT_DISPOSITION,
    ACCEPT_RANGES,
    ETAG,
    LAST_MODIFIED,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];

/// onError has time of its own: it may run because all other time is up.
const ON_ERROR_TIMEOUT: Duration = Duration::from_secs(10);

/// A step of a section.
#[derive(Clone, Debug)]
struct Item {
    step: Arc<Step>,
    /// Index of its scope's named values.
    scope: usize,
    /// How many items follow that belong to this `base` or `includeFragment` step: skipped when its
    /// condition does not hold. 0 for all other steps.
    followers: usize,
}

/// All steps that an API's handshakes run through, by section.
#[derive(Debug)]
pub(crate) struct Pipeline {
    inbound: Vec<Item>,
    outbound: Vec<Item>,
    on_error: Vec<Item>,
    /// Of each scope, the widest first.
    values: Vec<Arc<ScopeValues>>,
}

impl Pipeline {
    /// Expands the scopes, the widest first.
    pub(crate) fn merge(scopes: &[&ScopePolicies]) -> Self {
        let mut seen = BTreeMap::new();
        let mut values: Vec<Arc<ScopeValues>> = Vec::with_capacity(scopes.len());
        for scope in scopes {
            // Most scopes have none of their own, and there may be thousands of APIs.
            let same = scope
                .values
                .is_empty()
                .then(|| values.last().cloned())
                .flatten();
            let only = seen.is_empty().then(|| Arc::clone(&scope.own_values));
            seen.extend(scope.values.clone());
            let merged = || Arc::new(ScopeValues::new(&seen));
            values.push(same.or(only).unwrap_or_else(merged));
        }
        Self {
            values,
            inbound: expand(scopes, Section::Inbound),
            outbound: expand(scopes, Section::Outbound),
            on_error: expand(scopes, Section::OnError),
        }
    }

    /// Runs before the backend is dialled.
    ///
    /// # Errors
    /// The refusal of a step.
    pub(crate) async fn inbound(
        &self,
        exchange: &mut Exchange,
        services: &Services,
    ) -> Result<(), Refusal> {
        let result = self.run(Section::Inbound, exchange, services).await;
        if result
            .as_ref()
            .is_err_and(|refusal| is_limit(refusal.reason))
        {
            // All limits are asked before any counts: what one of them refuses, none counts.
            give_back(exchange, services);
        }
        result
    }

    /// The Host header that the backend gets, as policies have left the handshake. It sees the values
    /// that the API's steps see.
    ///
    /// # Errors
    /// The refusal: the template cannot be evaluated, or its text is not a Host header.
    pub(crate) fn host_header(
        &self,
        template: &HostHeader,
        exchange: &mut Exchange,
    ) -> Result<String, Refusal> {
        if let Some(values) = self.values.last() {
            exchange.enter(values);
        }
        let mut refusal = match template.render(exchange) {
            Ok(host) => return Ok(host),
            Err(refusal) => refusal,
        };
        refusal.detail = refusal.detail.map(|detail| exchange.masked(&detail));
        Err(refusal)
    }

    /// Runs after the backend's answer, whatever its status.
    ///
    /// # Errors
    /// The refusal of a step.
    pub(crate) async fn outbound(
        &self,
        exchange: &mut Exchange,
        answer: &ResponseHead,
        services: &Services,
    ) -> Result<(), Refusal> {
        if self.outbound.is_empty() && !exchange.evaluation.counted.waits() {
            return Ok(());
        }
        exchange.set_now();
        exchange.set_response(Some((answer.status, &answer.headers)));
        increment::count_deferred(exchange, services).await?;
        self.run(Section::Outbound, exchange, services).await
    }

    /// Runs for every refusal of a handshake that has an exchange; gives what is answered, with
    /// [`Exchange::answer`] already applied.
    ///
    /// A `returnResponse` before is no error, so it is answered as it is.
    pub(crate) async fn on_error(
        &self,
        exchange: &mut Exchange,
        mut refusal: Refusal,
        services: &Services,
    ) -> Refusal {
        self.count_refused(exchange, &mut refusal, services).await;
        let changes = std::mem::take(&mut exchange.answer);
        let mut headers = HeaderMap::new();
        // A backend's answer is what outbound policies change; our own refusal has headers that they do
        // not know yet, such as Retry-After.
        if refusal.reason == Reason::BackendRefused {
            own(&mut headers, &mut refusal);
            changes.apply(&mut headers);
        } else {
            changes.apply(&mut headers);
            own(&mut headers, &mut refusal);
        }
        if refusal.reason != Reason::ReturnResponse && !self.on_error.is_empty() {
            exchange.set_now();
            exchange.set_error(&refusal);
            exchange.evaluation.deadline = Some(Instant::now() + ON_ERROR_TIMEOUT);
            let result = self.run(Section::OnError, exchange, services).await;
            let status = exchange.evaluation.status.take();
            let new_message = status
                .as_ref()
                .is_some_and(|(_, message)| message.is_some());
            let returned = |other: &Refusal| other.reason == Reason::ReturnResponse;
            let new_body = new_message || result.as_ref().is_err_and(returned);
            if refusal.body.is_some() && new_body {
                // They describe the body that goes; what onError says of the new one comes after.
                DESCRIBE_A_BODY
                    .iter()
                    .for_each(|name| _ = headers.remove(name));
            }
            std::mem::take(&mut exchange.answer).apply(&mut headers);
            if let Some((status, message)) = status {
                set_status(&mut refusal, status, message);
            }
            if let Err(other) = result {
                replace(&mut refusal, other);
                own(&mut headers, &mut refusal);
            }
        }
        refusal.headers = listed(headers);
        refusal
    }

    /// Limits that count by the answer see the status of the refusal when no backend answered.
    async fn count_refused(
        &self,
        exchange: &mut Exchange,
        refusal: &mut Refusal,
        services: &Services,
    ) {
        if !exchange.evaluation.counted.waits() {
            return;
        }
        exchange.set_response(Some((refusal.status, &HeaderMap::new())));
        if let Err(failure) = increment::count_deferred(exchange, services).await {
            add_detail(refusal, &failure);
        }
        exchange.set_response(None);
    }

    async fn run(
        &self,
        section: Section,
        exchange: &mut Exchange,
        services: &Services,
    ) -> Result<(), Refusal> {
        let items = match section {
            Section::Inbound => &self.inbound,
            Section::Outbound => &self.outbound,
            Section::OnError => &self.on_error,
        };
        let mut next = 0;
        while let Some(item) = items.get(next) {
            next += 1;
            exchange.enter(&self.values[item.scope]);
            let step = &item.step;
            let begun = exchange.step_begins();
            let result = run_step(step, exchange, services).await;
            exchange.step_ended(begun, step_info(step, section), &result);
            match result {
                Ok(true) => {}
                Ok(false) => next += item.followers,
                Err(refusal) => return Err(labelled(refusal, step, exchange)),
            }
        }
        Ok(())
    }
}

/// No limit has counted this handshake, and none will.
pub(crate) fn give_back(exchange: &mut Exchange, services: &Services) {
    services.give_back_counted(exchange);
}

/// The step as a trace calls it.
fn step_info(step: &Step, section: Section) -> StepInfo<'_> {
    StepInfo {
        section: section.field(),
        scope: step.scope.as_str(),
        fragment: step.fragment.as_deref(),
        label: &step.label,
        policy: step.policy,
    }
}

/// Is it one of those that count nothing when one of them refuses?
fn is_limit(reason: Reason) -> bool {
    matches!(reason, Reason::RateLimitExceeded | Reason::QuotaExceeded)
}

/// Did its condition hold?
async fn run_step(
    step: &Step,
    exchange: &mut Exchange,
    services: &Services,
) -> Result<bool, Refusal> {
    if let Some(when) = &step.when
        && !when.holds(exchange)?
    {
        return Ok(false);
    }
    if let Some(action) = &step.action {
        let deadline = exchange.evaluation.deadline;
        let running = action.run(exchange, services);
        // A timer costs more than most steps; only those that ask others can take long.
        match deadline.filter(|_| action.asks()) {
            None => running.await?,
            Some(deadline) => timeout_at(deadline, running)
                .await
                .unwrap_or_else(|_| Err(too_late()))?,
        }
    }
    Ok(true)
}

fn too_late() -> Refusal {
    let message = "Handshake took too long";
    Refusal::new(504, Reason::HandshakeDeadline, Origin::Policy, message)
        .detail("timeouts.handshakeTotal passed while a policy waited")
}

fn labelled(mut refusal: Refusal, step: &Step, exchange: &Exchange) -> Refusal {
    refusal.step = Some(step.label.clone());
    refusal.detail = refusal.detail.map(|detail| exchange.masked(&detail));
    refusal
}

/// The steps of one section of all scopes, the narrowest scope's last expanded into it.
fn expand(scopes: &[&ScopePolicies], section: Section) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for (scope, policies) in scopes.iter().enumerate() {
        items = place(policies, scope, section, items);
    }
    items
}

/// The steps of a scope with the wider scope's steps inserted at `base`.
fn place(policies: &ScopePolicies, scope: usize, section: Section, wider: Vec<Item>) -> Vec<Item> {
    let steps = policies.steps(section);
    let item = |step: &Arc<Step>, followers| Item {
        step: Arc::clone(step),
        scope,
        followers,
    };
    let mut own = Vec::with_capacity(steps.len() + wider.len());
    if let Some(base) = steps.iter().position(|step| step.action.is_none()) {
        own.extend(steps[..base].iter().map(|step| item(step, step.followers)));
        // Without a condition it does nothing when its turn comes: its place is known now.
        if steps[base].when.is_some() {
            own.push(item(&steps[base], wider.len()));
        }
        own.extend(wider);
        own.extend(
            steps[base + 1..]
                .iter()
                .map(|step| item(step, step.followers)),
        );
        return own;
    }
    let inherited = if policies.inherit { wider } else { Vec::new() };
    let steps = steps.iter().map(|step| item(step, step.followers));
    match section {
        Section::Inbound => own.extend(inherited.into_iter().chain(steps)),
        Section::Outbound | Section::OnError => own.extend(steps.chain(inherited)),
    }
    own
}

fn set_status(refusal: &mut Refusal, status: u16, message: Option<String>) {
    refusal.status = status;
    if let Some(message) = message {
        refusal.message = message;
        // The usual body shows the message.
        refusal.body = None;
    }
}

/// What onError answers instead. Why the handshake was refused stays.
fn replace(refusal: &mut Refusal, other: Refusal) {
    if other.reason == Reason::ReturnResponse {
        refusal.status = other.status;
        refusal.message = other.message;
        refusal.body = other.body;
        refusal.headers = other.headers;
    } else {
        // A fault in onError must not hide what went wrong first.
        add_detail(refusal, &other);
    }
}

fn add_detail(refusal: &mut Refusal, other: &Refusal) {
    let detail = other.detail.as_deref().unwrap_or(&other.message);
    let step = other.step.as_deref().unwrap_or("a limit's incrementWhen");
    let all = match &refusal.detail {
        Some(first) => format!("{first}; besides, {step} failed: {detail}"),
        None => format!("{step} failed: {detail}"),
    };
    refusal.detail = Some(all);
}

/// The refusal's own headers replace those of the same name.
fn own(headers: &mut HeaderMap, refusal: &mut Refusal) {
    for (name, _) in &refusal.headers {
        headers.remove(name);
    }
    for (name, value) in refusal.headers.drain(..) {
        headers.append(name, value);
    }
}

fn listed(headers: HeaderMap) -> Vec<(http::HeaderName, http::HeaderValue)> {
    let mut list = Vec::with_capacity(headers.len());
    let mut last = None;
    for (name, value) in headers {
        // `None` repeats the name before it.
        last = name.or(last);
        list.extend(last.clone().map(|name| (name, value)));
    }
    list
}

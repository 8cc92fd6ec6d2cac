//! Policies and named values of one scope: is every step well-formed, does every expression
//! compile, does everything named exist?

mod address;
mod backend_auth;
mod basic_auth;
mod call;
mod client_certificate;
mod fragments;
mod jwt;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;

use tidegate_api::Reason;
use tidegate_config::policy::{
    self, IfExists, OnHandshake, Policy, Section, SetBackend, Step, is_restricted_header,
};
use tidegate_config::{
    HARD_LIMIT_BYTES, InvalidUrlText, NamedValue, ObjectKey, ResolvedValue, SecretDataId,
    SecretKeyRef, check_path, check_url,
};

use tidegate_expr::Template;

pub(crate) use address::is_network;
pub(crate) use fragments::{Fragments, Places, judge};

use self::fragments::{Expanded, comparable, expand, missing};
use crate::backend;
use crate::expressions::{Expressions, ValueRead};
use crate::problem::{Problem, step_path};
use crate::references::References;

/// One object may fill half a part; its other fields, all of which the schema bounds, have the rest.
const MAX_POLICIES_BYTES: usize = HARD_LIMIT_BYTES / 2 - 128 * 1024;

/// What a scope contributes to configurations.
pub(crate) struct Policies {
    pub(crate) on_handshake: OnHandshake,
    pub(crate) values: BTreeMap<String, ResolvedValue>,
    pub(crate) problems: Vec<Problem>,
    /// Where the steps were written.
    pub(crate) places: Places,
    /// The named values that it needs.
    reads: Vec<ValueRead>,
}

impl Policies {
    /// Besides the steps, this template reads their scope's values.
    pub(crate) fn add_template(
        &mut self,
        text: &str,
        path: &str,
        expressions: &mut Expressions,
    ) -> Option<Problem> {
        let (problem, mut reads) = expressions.check_template(text, path);
        self.reads.append(&mut reads);
        problem
    }

    /// What is wrong when there are no more values than these names.
    pub(crate) fn unknown_values<'n>(&self, there: impl Iterator<Item = &'n str>) -> Vec<Problem> {
        if self.reads.is_empty() {
            return Vec::new();
        }
        let there = there.collect();
        self.reads
            .iter()
            .filter_map(|read| read.problem(&there))
            .collect()
    }
}

impl Policies {
    /// What is wrong where the pods have tokens of their service account for these audiences only.
    pub(crate) fn unknown_audiences(&self, there: &[String]) -> Vec<Problem> {
        let steps = self.on_handshake.steps();
        let unknown = steps.filter_map(|(section, position, step)| {
            let Some(Policy::BackendAuth(policy)) = step.policy() else {
                return None;
            };
            let audience = &policy.service_account_token.as_ref()?.audience;
            let path = self.places.of(section, position);
            let text = format!(
                "pods of the Gateway get no token for \"{audience}\": its \
                 spec.deployment.tokenAudiences does not have it"
            );
            let field = format!("{path}.backendAuth.serviceAccountToken.audience");
            (!there.contains(audience)).then(|| Problem::invalid(text).at(&field))
        });
        unknown.collect()
    }
}

/// Where policies are checked.
pub(crate) struct Scope<'s> {
    /// What it is called in names of its steps: `gateway`, `product`, `api`.
    pub(crate) label: &'static str,
    pub(crate) namespace: &'s str,
    pub(crate) on_handshake: &'s OnHandshake,
    pub(crate) values: &'s [NamedValue],
}

impl Scope<'_> {
    /// Checks everything.
    pub(crate) fn check(
        &self,
        references: &mut References<'_>,
        expressions: &mut Expressions,
    ) -> Policies {
        let names = (self.namespace, self.label);
        let mut expanded = expand(self.on_handshake, names, &references.fragments);
        for name in &expanded.used {
            let key = ObjectKey::new(self.namespace, name);
            *references.users.entry(key).or_default() += 1;
        }
        let mut problems = std::mem::take(&mut expanded.problems);
        let (found, reads) = check_steps(self.namespace, &expanded, references, expressions);
        problems.extend(found);
        let on_handshake = expanded.on_handshake;
        problems.extend(bases(&on_handshake));
        let values = self.resolve_values(&on_handshake, references, &mut problems);
        problems.extend(too_large(&on_handshake, &values));
        Policies {
            on_handshake: on_handshake.into_owned(),
            values,
            problems,
            places: expanded.places,
            reads,
        }
    }

    fn resolve_values(
        &self,
        on_handshake: &OnHandshake,
        references: &mut References<'_>,
        problems: &mut Vec<Problem>,
    ) -> BTreeMap<String, ResolvedValue> {
        let mut values = BTreeMap::new();
        for (i, value) in self.values.iter().enumerate() {
            let path = format!("spec.values[{i}]");
            match self.resolve_value(value, references) {
                Ok(_) if values.contains_key(&value.name) => {
                    let text = format!("there is a value \"{}\" already", value.name);
                    problems.push(Problem::invalid(text).at(&path));
                }
                Ok(resolved) => {
                    values.insert(value.name.clone(), resolved);
                }
                Err(problem) => {
                    let access = access_reads_values(on_handshake);
                    problems.push(problem.at(&path).concerning_access(access));
                }
            }
        }
        values
    }

    fn resolve_value(
        &self,
        value: &NamedValue,
        references: &mut References<'_>,
    ) -> Result<ResolvedValue, Problem> {
        let not_text = |kind: &str, name: &str, key: &str| {
            let namespace = self.namespace;
            let text = format!("key \"{key}\" of {kind} {namespace}/{name} is not UTF-8 text");
            Problem::unresolved(Reason::InvalidMaterial, text)
        };
        match (
            &value.value,
            &value.secret_key_ref,
            &value.config_map_key_ref,
        ) {
            (Some(text), None, None) => Ok(ResolvedValue::Plain(text.clone())),
            (None, Some(reference), None) => {
                let bytes = references.secret_ref(self.namespace, reference)?;
                if std::str::from_utf8(&bytes).is_err() {
                    return Err(not_text("Secret", &reference.name, &reference.key));
                }
                let id = SecretDataId::of_secret_ref(self.namespace, reference);
                references.keep(id.clone(), &bytes);
                Ok(ResolvedValue::Secret(id))
            }
            (None, None, Some(reference)) => {
                let bytes = references.config_map_ref(self.namespace, reference)?;
                let text = String::from_utf8(bytes.into_owned());
                text.map(ResolvedValue::Plain)
                    .map_err(|_| not_text("ConfigMap", &reference.name, &reference.key))
            }
            _ => Err(Problem::invalid(
                "exactly one of value, secretKeyRef, configMapKeyRef must be set",
            )),
        }
    }
}

/// Everything that is wrong with steps, each named by where it was written.
fn check_steps(
    namespace: &str,
    expanded: &Expanded<'_>,
    references: &mut References<'_>,
    expressions: &mut Expressions,
) -> (Vec<Problem>, Vec<ValueRead>) {
    let (mut problems, mut reads) = (Vec::new(), Vec::new());
    for (section, position, step) in expanded.on_handshake.steps() {
        let path = expanded.places.of(section, position);
        let access = decides_access(section, step);
        let (found, mut needed) = expressions.check(section, step, &path);
        let found = found
            .into_iter()
            .chain(check_step(namespace, step, &path, references))
            .map(|problem| problem.concerning_access(access));
        problems.extend(found);
        needed.iter_mut().for_each(|read| read.access = access);
        reads.append(&mut needed);
    }
    (problems, reads)
}

/// What expressions and schema cannot tell.
#[expect(clippy::too_many_lines, reason = "an arm for each policy")]
fn check_step(
    namespace: &str,
    step: &dyn Step,
    path: &str,
    references: &mut References<'_>,
) -> Vec<Problem> {
    let Some(policy) = step.policy() else {
        // The author may have meant a check: nobody knows which.
        let problem = Problem::invalid("a step names exactly one policy").at(path);
        return vec![problem.concerning_access(true)];
    };
    let path = format!("{path}.{}", policy.name());
    match policy {
        Policy::ValidateJwt(policy) => jwt::check(namespace, policy, &path, references),
        Policy::BasicAuth(policy) => basic_auth::check(namespace, policy, &path, references),
        Policy::ValidateClientCertificate(policy) => client_certificate::check(policy, &path),
        Policy::IpFilter(policy) => address::check(policy, &path),
        Policy::SetHeader(policy) => {
            set_header(&policy.name, policy.values.len(), policy.if_exists, &path)
        }
        Policy::SetBackend(policy) => set_backend(policy, &path),
        Policy::BackendAuth(policy) => backend_auth::check(namespace, policy, &path, references),
        Policy::SendRequests(policy) => call::several(namespace, policy, &path, references),
        Policy::ExternalAuth(policy) => {
            let mut problems = call::check(namespace, policy.outgoing(), &path, references);
            for (field, names) in [
                ("sendHeaders", &policy.send_headers),
                ("copyHeaders", &policy.copy_headers),
            ] {
                let names = names.iter().enumerate();
                problems
                    .extend(names.filter_map(|(i, name)| {
                        free_header(name, &format!("{path}.{field}[{i}]"))
                    }));
            }
            problems
        }
        Policy::Notify(policy) => call::check(namespace, policy.outgoing(), &path, references),
        Policy::SendRequest(policy) => {
            let mut problems = call::check(namespace, policy.outgoing(), &path, references);
            problems.extend(call::retry(policy.retry.as_ref(), &path));
            problems
        }
        Policy::RewritePath(policy) => rewrite_path(&policy.path, &path),
        Policy::EmitMetric(policy) => emit_metric(policy, &path),
        Policy::ReturnResponse(policy) => {
            let named = |(i, header): (usize, &policy::HeaderValue)| {
                free_header(&header.name, &format!("{path}.headers[{i}].name"))
            };
            policy
                .headers
                .iter()
                .enumerate()
                .filter_map(named)
                .collect()
        }
        Policy::RateLimit(policy) => free_headers(
            [
                ("retryAfterHeader", Some(&policy.retry_after_header)),
                ("remainingHeader", policy.remaining_header.as_ref()),
                ("totalHeader", policy.total_header.as_ref()),
            ],
            &path,
        ),
        Policy::RateLimitByKey(policy) => free_headers(
            [
                ("retryAfterHeader", Some(&policy.retry_after_header)),
                ("remainingHeader", policy.remaining_header.as_ref()),
                ("totalHeader", policy.total_header.as_ref()),
            ],
            &path,
        ),
        Policy::Base
        | Policy::CacheLookup(_)
        | Policy::CacheStore(_)
        | Policy::CacheRemove(_)
        | Policy::CheckHeader(_)
        | Policy::Quota(_)
        | Policy::QuotaByKey(_)
        | Policy::LimitConnections(_)
        | Policy::SetQueryParameter(_)
        | Policy::SetVariable(_)
        | Policy::IncludeFragment(_)
        | Policy::Log(_)
        | Policy::Trace(_)
        | Policy::OnOpen(_)
        | Policy::SetStatus(_) => Vec::new(),
    }
}

/// Policies and values must fit into a part of the rendered configuration.
fn too_large(
    on_handshake: &OnHandshake,
    values: &BTreeMap<String, ResolvedValue>,
) -> Option<Problem> {
    let mut size = Size::default();
    // Writing to a counter cannot fail.
    serde_json::to_writer(&mut size, &(on_handshake, values)).ok()?;
    let text = format!(
        "spec.onHandshake and spec.values have {} bytes, at most {MAX_POLICIES_BYTES} can be served",
        size.0
    );
    (size.0 > MAX_POLICIES_BYTES).then(|| Problem::accepted(Reason::TooLarge, text))
}

/// Counts what is written.
#[derive(Default)]
struct Size(usize);

impl io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Can this step decide who may pass? A variable can: conditions of later steps read it. So can a
/// value that is kept, for later handshakes.
fn decides_access(section: Section, step: &dyn Step) -> bool {
    let may = |policy: &Policy<'_>| match policy {
        Policy::ValidateJwt(_)
        | Policy::ValidateClientCertificate(_)
        | Policy::BasicAuth(_)
        | Policy::CheckHeader(_)
        | Policy::ExternalAuth(_)
        | Policy::IpFilter(_) => true,
        // A fragment may hold any of them, and its condition decides about all.
        Policy::ReturnResponse(_)
        | Policy::SetVariable(_)
        | Policy::SendRequest(_)
        | Policy::SendRequests(_)
        | Policy::CacheLookup(_)
        | Policy::CacheStore(_)
        | Policy::CacheRemove(_)
        | Policy::IncludeFragment(_) => section != Section::OnError,
        Policy::Base
        | Policy::RateLimit(_)
        | Policy::RateLimitByKey(_)
        | Policy::Quota(_)
        | Policy::QuotaByKey(_)
        | Policy::LimitConnections(_)
        | Policy::Notify(_)
        | Policy::SetHeader(_)
        | Policy::SetQueryParameter(_)
        | Policy::RewritePath(_)
        | Policy::SetBackend(_)
        | Policy::BackendAuth(_)
        | Policy::Log(_)
        | Policy::Trace(_)
        | Policy::EmitMetric(_)
        | Policy::OnOpen(_)
        | Policy::SetStatus(_) => false,
    };
    step.policies().iter().any(may)
}

/// Does a step that decides access read named values?
fn access_reads_values(on_handshake: &OnHandshake) -> bool {
    on_handshake
        .steps()
        .filter(|(section, _, step)| decides_access(*section, *step))
        .flat_map(|(_, _, step)| step.expressions())
        .any(|expression| expression.text.contains("values"))
}

/// What of a scope decides who may pass, for comparison with another version of the same scope.
pub(crate) fn same_access(a: &OnHandshake, b: &OnHandshake) -> bool {
    let missing: BTreeSet<_> = missing(a).union(&missing(b)).copied().collect();
    let decides = |section| {
        move |step: &dyn Step| {
            let base = step.policies().iter().any(|p| matches!(p, Policy::Base));
            base || decides_access(section, step)
        }
    };
    let (inbound, outbound) = (decides(Section::Inbound), decides(Section::Outbound));
    a.inherit == b.inherit
        && comparable(&a.inbound, &missing, inbound) == comparable(&b.inbound, &missing, inbound)
        && comparable(&a.outbound, &missing, outbound)
            == comparable(&b.outbound, &missing, outbound)
}

fn bases(on_handshake: &OnHandshake) -> Vec<Problem> {
    let mut problems = Vec::new();
    for section in [Section::Inbound, Section::Outbound, Section::OnError] {
        let is_base = |step: &dyn Step| step.policies().iter().any(|p| matches!(p, Policy::Base));
        let steps = on_handshake.steps();
        let mut bases = steps.filter(|(at, _, step)| *at == section && is_base(*step));
        if let Some((_, position, _)) = bases.nth(1) {
            let problem = Problem::invalid("base may stand only once in a section");
            let problem = problem.at(&step_path(section, position));
            problems.push(problem.concerning_access(section != Section::OnError));
        }
    }
    problems
}

/// What is wrong with a Secret that is to be the key of tokens.
fn unusable_key(namespace: &str, reference: &SecretKeyRef, why: &dyn std::error::Error) -> Problem {
    let SecretKeyRef { name, key, .. } = reference;
    let text = format!("key \"{key}\" of Secret {namespace}/{name} cannot be used: {why}");
    Problem::unresolved(Reason::InvalidMaterial, text)
}

/// What is wrong with a header that a policy sets.
fn free_header(name: &str, path: &str) -> Option<Problem> {
    let text = format!("{name} belongs to the handshake and cannot be set by a policy");
    is_restricted_header(name).then(|| Problem::invalid(text).at(path))
}

/// The same for the headers in several fields.
fn free_headers<const N: usize>(
    names: [(&'static str, Option<&String>); N],
    path: &str,
) -> Vec<Problem> {
    let named =
        |(field, name): (&str, Option<&String>)| free_header(name?, &format!("{path}.{field}"));
    names.into_iter().filter_map(named).collect()
}

fn set_header(name: &str, values: usize, if_exists: IfExists, path: &str) -> Vec<Problem> {
    let mut problems: Vec<_> = free_header(name, &format!("{path}.name"))
        .into_iter()
        .collect();
    if (values == 0) != (if_exists == IfExists::Delete) {
        let text = "values must be set, unless ifExists is Delete: then they must not";
        problems.push(Problem::invalid(text).at(path));
    }
    problems
}

/// A value without an expression in it can be checked now.
fn emit_metric(policy: &policy::EmitMetric, path: &str) -> Vec<Problem> {
    let clash = policy.clash().map(|name| {
        let text = format!("there is a label \"{name}\" already");
        Problem::invalid(text).at(&format!("{path}.labels"))
    });
    let number = policy.value.trim().parse::<f64>();
    let fits = number.is_ok_and(|number| number.is_finite() && number >= 0.0);
    let wrong = !fits && !policy.value.contains("${");
    let wrong = wrong.then(|| {
        let text = format!("\"{}\" is no number from 0", policy.value);
        Problem::invalid(text).at(&format!("{path}.value"))
    });
    clash.into_iter().chain(wrong).collect()
}

/// How a gateway checks the URL or path that a template gives.
type CheckUrl = fn(&str, &[Range<usize>]) -> Result<(), InvalidUrlText>;

/// What is wrong with what the author of a URL or path wrote, whatever its expressions give. Those that
/// do not compile are told elsewhere.
fn url_text(template: &str, check: CheckUrl) -> Option<Problem> {
    // A digit can be a segment, a label and a port.
    let (text, values) = Template::outline(template, "1").ok()?;
    let why = check(&text, &values).err()?;
    Some(Problem::invalid(why.to_string()))
}

/// Gateways refuse a path that climbs.
fn rewrite_path(target: &str, path: &str) -> Vec<Problem> {
    let problem = url_text(target, check_path);
    let at = |problem: Problem| problem.at(&format!("{path}.path"));
    problem.into_iter().map(at).collect()
}

/// A URL without an expression in it can be checked now; a name, where the pool is known.
fn set_backend(policy: &SetBackend, path: &str) -> Vec<Problem> {
    if policy.url.is_some() == policy.member.is_some() {
        let problem = Problem::invalid("exactly one of url and ref must be set");
        return vec![problem.at(path)];
    }
    let Some(url) = policy.url.as_deref() else {
        return Vec::new();
    };
    let problem = match url.contains("${") {
        true => url_text(url, check_url),
        false => backend::check_url(url).err(),
    };
    let at = |problem: Problem| problem.at(&format!("{path}.url"));
    problem.into_iter().map(at).collect()
}

//! externalAuth: an external server decides whether the client may connect.
//!
//! Without its answer the handshake is refused. Only the server can set the headers in `copyHeaders`: the
//! client's headers of these names are removed.

use std::sync::Arc;
use std::time::Duration;

use http::header::{LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};
use tidegate_config::policy;

use super::Services;
use super::action::{Action, Compile, Later};
use super::call::{Answer, AnswerKey, Answers, KeptAnswer, Request, answers, failed};
use super::compile::{Compiler, InvalidPolicy};
use crate::exchange::Exchange;
use crate::http_client::{Call, CallError, shown_url};
use crate::refusal::{Origin, Reason, Refusal};

/// What a refusal needs to be understood: where to sign in, and when to come again.
const OF_REFUSALS: [HeaderName; 3] = [WWW_AUTHENTICATE, LOCATION, RETRY_AFTER];

/// The policy, compiled.
#[derive(Debug)]
struct ExternalAuth {
    request: Request,
    send: Vec<HeaderName>,
    copy: Vec<HeaderName>,
    /// How long verdicts are kept, and where.
    cache: Option<(Duration, Arc<Answers>)>,
    /// Identifies object and policy: answers are not shared with others.
    owner: AnswerKey,
}

/// Why nothing is kept.
#[derive(Debug)]
enum Miss {
    Failed(Arc<CallError>),
    /// A verdict that may soon be another one.
    Passing(Arc<Answer>),
}

impl ExternalAuth {
    fn compile(
        policy: &policy::ExternalAuth,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let names = |field: &str, names: &[String]| -> Result<Vec<_>, InvalidPolicy> {
            let names = names.iter().enumerate();
            names
                .map(|(i, name)| compiler.free_header(&format!("externalAuth.{field}[{i}]"), name))
                .collect()
        };
        Ok(Self {
            request: Request::compile(policy.outgoing(), "externalAuth", compiler)?,
            send: names("sendHeaders", &policy.send_headers)?,
            copy: names("copyHeaders", &policy.copy_headers)?,
            cache: policy.cache_for.map(|ttl| (ttl.get(), answers(compiler))),
            owner: owner(policy, compiler),
        })
    }

    /// The verdict that is kept, or one for all who wait for the same now.
    async fn ask_once(
        &self,
        call: Call,
        ttl: Duration,
        answers: &Answers,
    ) -> Result<Arc<Answer>, Arc<CallError>> {
        let key = self.key(&call);
        let ours = async {
            let answer = self.request.send(call).await;
            let answer = answer.map_err(|error| Miss::Failed(Arc::new(error)))?;
            match answer.status {
                200..=299 | 401 | 403 => Ok(KeptAnswer { answer, ttl }),
                _ => Err(Miss::Passing(answer)),
            }
        };
        match answers.try_get_with(key, ours).await {
            Ok(kept) => Ok(kept.answer),
            Err(miss) => match &*miss {
                Miss::Passing(answer) => Ok(Arc::clone(answer)),
                Miss::Failed(error) => Err(Arc::clone(error)),
            },
        }
    }

    /// Key of equal requests: the URL and everything that the server sees.
    fn key(&self, call: &Call) -> AnswerKey {
        let mut id = Sha256::new();
        let mut add = |bytes: &[u8]| {
            id.update(bytes.len().to_be_bytes());
            id.update(bytes);
        };
        add(&self.owner);
        add(call.method.as_str().as_bytes());
        add(call.url.as_str().as_bytes());
        for (name, value) in &call.headers {
            add(name.as_str().as_bytes());
            add(value.as_bytes());
        }
        id.finalize().into()
    }

    fn copy_headers(&self, from: &HeaderMap, to: &mut HeaderMap) {
        for name in &self.copy {
            to.remove(name);
            for value in from.get_all(name) {
                to.append(name.clone(), value.clone());
            }
        }
    }
}

impl Compile for policy::ExternalAuth {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        ExternalAuth::compile(self, compiler).map(Action::later)
    }
}

impl Later for ExternalAuth {
    const ASKS: bool = true;

    async fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        let mut call = self.request.render(exchange)?;
        for name in &self.send {
            for value in exchange.request.headers.get_all(name) {
                call.headers.append(name.clone(), value.clone());
            }
        }
        let place = shown_url(&call.url);
        let asked = match &self.cache {
            None => self.request.send(call).await.map_err(Arc::new),
            Some((ttl, answers)) => self.ask_once(call, *ttl, answers).await,
        };
        let answer = asked.map_err(|error| failed(&place, &error))?;
        if !(200..=299).contains(&answer.status) {
            return Err(refusal(&answer, &place));
        }
        self.copy_headers(&answer.headers, &mut exchange.upstream.headers);
        Ok(())
    }
}

fn owner(policy: &policy::ExternalAuth, compiler: &Compiler<'_>) -> AnswerKey {
    let mut id = Sha256::new();
    // Types that only have texts and numbers can be written.
    let policy = serde_json::to_string(policy).unwrap_or_default();
    let object = format!("{}/{}", compiler.scope.as_str(), compiler.context.object);
    for part in [&object, &compiler.label, &policy] {
        id.update(part.len().to_be_bytes());
        id.update(part);
    }
    id.finalize().into()
}

/// The server's status; what it says besides is for the log's reader to look up there.
fn refusal(answer: &Answer, place: &str) -> Refusal {
    let status = match answer.status {
        300..=599 => answer.status,
        // These say nothing to a client, and 101 would say that the tunnel is open.
        _ => 502,
    };
    let message = "Access denied.";
    let mut refusal = Refusal::new(status, Reason::ExternalAuthRefused, Origin::Policy, message)
        .detail(format!("{place} answered {}", answer.status));
    for name in OF_REFUSALS {
        for value in answer.headers.get_all(&name) {
            refusal.headers.push((name.clone(), value.clone()));
        }
    }
    refusal
}

#[cfg(test)]
mod tests;

//! sendRequest: asks a server, and keeps its answer as a variable.
//!
//! A status is no failure, whatever it is; no answer is one, unless the policy says that it is not.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use sha2::{Digest, Sha256};
use tidegate_config::policy;
use tidegate_expr::Value;

use super::Services;
use super::action::{Action, Compile, Later};
use super::call::{Answer, AnswerKey, Answers, KeptAnswer, Request, Retry, answers, failed};
use super::compile::{Compiler, InvalidPolicy};
use super::expression::{Computed, keep};
use crate::exchange::Exchange;
use crate::http_client::{CallError, shown_url};
use crate::refusal::Refusal;

/// The policy, compiled.
#[derive(Debug)]
pub(super) struct SendRequest {
    variable: String,
    request: Request,
    ignore_error: bool,
    retry: Option<Retry>,
    cache: Option<Cache>,
}

#[derive(Debug)]
struct Cache {
    key: Computed,
    ttl: Duration,
    /// Identifies object and request: answers are not shared with others.
    owner: AnswerKey,
    answers: Arc<Answers>,
}

/// Why there is no answer to keep.
#[derive(Debug)]
pub(super) enum Miss {
    /// A fault of this handshake's own.
    Refused(Refusal),
    /// Where, and why.
    Failed(String, Arc<CallError>),
    /// An answer that is shared with the waiting handshakes but not cached.
    Passing(Arc<Answer>),
}

impl From<Refusal> for Miss {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl SendRequest {
    fn compile(
        policy: &policy::SendRequest,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        Self::compile_at(policy, "sendRequest", compiler)
    }

    /// `at` is the field of the request below its step.
    pub(super) fn compile_at(
        policy: &policy::SendRequest,
        at: &str,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let retry = policy.retry.as_ref();
        let retry = retry.map(|retry| Retry::compile(retry, &format!("{at}.retry"), compiler));
        let cache = policy.cache.as_ref().map(|cache| {
            let key = compiler.computed(&format!("{at}.cache.key"), &cache.key)?;
            Ok(Cache {
                key,
                ttl: cache.ttl.get(),
                owner: owner(policy, compiler),
                answers: answers(compiler),
            })
        });
        Ok(Self {
            variable: policy.variable.clone(),
            request: Request::compile(policy.outgoing(), at, compiler)?,
            ignore_error: policy.ignore_error,
            retry: retry.transpose()?,
            cache: cache.transpose()?,
        })
    }

    /// Name of the variable that gets the answer.
    pub(super) fn variable(&self) -> &str {
        &self.variable
    }

    /// May there be no answer?
    pub(super) fn ignores_errors(&self) -> bool {
        self.ignore_error
    }

    /// The answer. Several requests may share the exchange: it is locked for moments only.
    pub(super) async fn ask(&self, exchange: &Mutex<&mut Exchange>) -> Result<Arc<Answer>, Miss> {
        let asked = match &self.cache {
            None => self.ask_now(exchange).await,
            Some(cache) => self.ask_once(cache, exchange).await,
        };
        match asked {
            Err(Miss::Passing(answer)) => Ok(answer),
            other => other,
        }
    }

    /// The answer that is kept, or one for all who wait for it now.
    async fn ask_once(
        &self,
        cache: &Cache,
        exchange: &Mutex<&mut Exchange>,
    ) -> Result<Arc<Answer>, Miss> {
        let mut key = Sha256::new();
        key.update(cache.owner);
        key.update(cache.key.text(&mut held(exchange))?);
        let ours = async {
            let answer = self.ask_now(exchange).await?;
            match answer.status {
                200..=299 => Ok(KeptAnswer {
                    answer,
                    ttl: cache.ttl,
                }),
                _ => Err(Miss::Passing(answer)),
            }
        };
        let answers = &cache.answers;
        let asked = answers.try_get_with(key.finalize().into(), ours).await;
        match asked.map_err(Arc::try_unwrap) {
            Ok(kept) => Ok(kept.answer),
            Err(Ok(miss)) => Err(miss),
            Err(Err(shared)) => match &*shared {
                Miss::Passing(answer) => Ok(Arc::clone(answer)),
                Miss::Failed(place, error) => Err(Miss::Failed(place.clone(), Arc::clone(error))),
                // A failure of another handshake's own does not count for this one.
                Miss::Refused(_) => self.ask_now(exchange).await,
            },
        }
    }

    /// Asks, as often as the policy says.
    async fn ask_now(&self, exchange: &Mutex<&mut Exchange>) -> Result<Arc<Answer>, Miss> {
        let mut tries = 0;
        loop {
            let call = self.request.render(&mut held(exchange))?;
            let place = shown_url(&call.url);
            let asked = self.request.send(call).await;
            tries += 1;
            let retry = self.retry.as_ref().filter(|retry| tries <= retry.count);
            if let Some(retry) = retry {
                let answer = asked.as_deref().ok();
                let value = answer.map_or(Value::Null, |answer| answer.value.clone());
                let is_wanted = {
                    let mut exchange = held(exchange);
                    keep(&mut exchange, &self.variable, value)?;
                    retry.is_wanted(answer, &mut exchange)
                };
                if is_wanted? {
                    tokio::time::sleep(retry.pause(tries)).await;
                    continue;
                }
            }
            return asked.map_err(|error| Miss::Failed(place, Arc::new(error)));
        }
    }
}

impl Compile for policy::SendRequest {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        SendRequest::compile(self, compiler).map(Action::later)
    }
}

impl Later for SendRequest {
    const ASKS: bool = true;

    async fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        let asked = self.ask(&Mutex::new(&mut *exchange)).await;
        let value = match asked {
            Ok(answer) | Err(Miss::Passing(answer)) => answer.value.clone(),
            Err(Miss::Failed(..)) if self.ignore_error => Value::Null,
            Err(Miss::Failed(place, error)) => return Err(failed(&place, &error)),
            Err(Miss::Refused(refusal)) => return Err(refusal),
        };
        keep(exchange, &self.variable, value)
    }
}

fn held<'a, 'e>(exchange: &'a Mutex<&'e mut Exchange>) -> MutexGuard<'a, &'e mut Exchange> {
    exchange.lock()
}

fn owner(policy: &policy::SendRequest, compiler: &Compiler<'_>) -> AnswerKey {
    let mut id = Sha256::new();
    // Types that only have texts and numbers can be written.
    let request = serde_json::to_string(policy).unwrap_or_default();
    let object = format!("{}/{}", compiler.scope.as_str(), compiler.context.object);
    for part in [&object, &compiler.label, &request] {
        id.update(part.len().to_be_bytes());
        id.update(part);
    }
    id.finalize().into()
}

#[cfg(test)]
mod tests;

//! sendRequests: several requests at a time, and all their answers or the first one.

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use tidegate_config::policy::{self, WaitFor};
use tidegate_expr::Value;

use super::Services;
use super::action::{Action, Compile, Later};
use super::call::failed;
use super::compile::{Compiler, InvalidPolicy};
use super::expression::keep;
use super::send_request::{Miss, SendRequest};
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// The policy, compiled.
#[derive(Debug)]
struct SendRequests {
    requests: Vec<SendRequest>,
    wait_for: WaitFor,
}

impl SendRequests {
    fn compile(
        policy: &policy::SendRequests,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let mut requests: Vec<SendRequest> = Vec::with_capacity(policy.requests.len());
        for (i, request) in policy.requests.iter().enumerate() {
            let at = format!("sendRequests.requests[{i}]");
            let compiled = SendRequest::compile_at(request, &at, compiler)?;
            if requests
                .iter()
                .any(|other| other.variable() == compiled.variable())
            {
                let problem = "another request of this step already sets this variable";
                return Err(compiler.invalid(&format!("{at}.as"), problem));
            }
            requests.push(compiled);
        }
        Ok(Self {
            requests,
            wait_for: policy.wait_for,
        })
    }

    /// What each variable gets; nothing where no answer came, or none was waited for.
    async fn values(&self, exchange: &Mutex<&mut Exchange>) -> Result<Vec<Option<Value>>, Refusal> {
        let asking = self.requests.iter().enumerate();
        let asking = asking.map(async |(i, request)| (i, request.ask(exchange).await));
        let mut asking: FuturesUnordered<_> = asking.collect();
        let mut values = vec![None; self.requests.len()];
        let mut failure = None;
        // What still runs when this returns is dropped, and its request ends with it.
        while let Some((i, asked)) = asking.next().await {
            match asked {
                Ok(answer) => {
                    values[i] = Some(answer.value.clone());
                    if self.wait_for == WaitFor::Any {
                        return Ok(values);
                    }
                }
                Err(Miss::Refused(refusal)) => return Err(refusal),
                Err(_) if self.requests[i].ignores_errors() => {}
                Err(Miss::Passing(_)) => {}
                Err(Miss::Failed(place, error)) => {
                    let refusal = failed(&place, &error);
                    if self.wait_for == WaitFor::All {
                        return Err(refusal);
                    }
                    failure = Some(refusal);
                }
            }
        }
        failure.map_or(Ok(values), Err)
    }
}

impl Compile for policy::SendRequests {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        SendRequests::compile(self, compiler).map(Action::later)
    }
}

impl Later for SendRequests {
    const ASKS: bool = true;

    async fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        let shared = Mutex::new(exchange);
        let values = self.values(&shared).await?;
        let exchange = shared.into_inner();
        for (request, value) in self.requests.iter().zip(values) {
            keep(exchange, request.variable(), value.unwrap_or(Value::Null))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

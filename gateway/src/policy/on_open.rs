//! onOpen: messages of the policy that the backend gets before the client's.

use tidegate_config::policy;

use super::Services;
use super::action::{Action, Compile, Now};
use super::compile::{Compiler, InvalidPolicy};
use super::expression::Text;
use super::size::opening_messages_fit;
use crate::exchange::Exchange;
use crate::refusal::Refusal;
use tidegate_tunnel::frame::write_text;

/// The policy, compiled.
#[derive(Debug)]
struct OnOpen {
    send_text: Text,
}

impl OnOpen {
    fn compile(policy: &policy::OnOpen, compiler: &Compiler<'_>) -> Result<Self, InvalidPolicy> {
        Ok(Self {
            send_text: compiler.text("onOpen.sendText", &policy.send_text)?,
        })
    }
}

impl Compile for policy::OnOpen {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        OnOpen::compile(self, compiler).map(Action::now)
    }
}

impl Now for OnOpen {
    /// It goes where the client's messages go, in front of them: the relay counts it and holds it
    /// to the API's limits as if the client had sent it.
    fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        let text = self.send_text.render(exchange)?;
        write_text(
            &mut exchange.evaluation.opening_messages,
            &text,
            rand::random(),
        );
        exchange.note(text.into_owned());
        opening_messages_fit(exchange)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidegate_config::SecretData;

    use crate::policy::tests::{answer, exchange, pipeline, services};

    #[tokio::test]
    async fn messages_wait_in_their_order() {
        let services = services();
        let steps = json!({"outbound": [
            {"onOpen": {"sendText": "hello ${client.ip}"}},
            {"when": "response.status != 101", "onOpen": {"sendText": "never"}},
            {"onOpen": {"sendText": "again"}},
        ]});
        let pipeline = pipeline(steps, &SecretData::default(), &services);
        let mut exchange = exchange(&[]);
        pipeline
            .outbound(&mut exchange, &answer(101), &services)
            .await
            .unwrap();
        let mut rest = &exchange.evaluation.opening_messages[..];
        for expected in ["hello 192.0.2.7", "again"] {
            let (head, behind) = rest.split_at(6);
            assert_eq!(
                head[..2],
                [0x81, 0x80 | u8::try_from(expected.len()).unwrap()]
            );
            let (payload, next) = behind.split_at(expected.len());
            let plain: Vec<_> = payload
                .iter()
                .zip(head[2..].iter().cycle())
                .map(|(b, k)| b ^ k)
                .collect();
            assert_eq!(plain, expected.as_bytes());
            rest = next;
        }
        assert!(rest.is_empty());
    }
}

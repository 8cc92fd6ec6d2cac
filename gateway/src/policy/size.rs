//! How large policies may make what the backend and the client get.
//!
//! One text is bounded where it is rendered. Steps by the hundred, or one that appends, must not make
//! of many texts what no memory holds.

use super::expression::expression_failed;
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// Headers and URL of the backend's handshake: as much as the largest head that a client may send,
/// and as much again.
const MAX_UPSTREAM_BYTES: usize = 2 * 1024 * 1024;

/// Headers that policies add to the client's answer.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// Messages of onOpen: each tunnel holds them until the backend has taken them.
const MAX_GREETING_BYTES: usize = 1024 * 1024;

/// Is the backend's handshake still one that can be sent?
pub(super) fn upstream_fits(exchange: &Exchange) -> Result<(), Refusal> {
    fits(
        exchange.upstream.size(),
        MAX_UPSTREAM_BYTES,
        "the backend's handshake",
    )
}

/// Is what policies change in the client's answer still little enough?
pub(super) fn answer_fits(exchange: &Exchange) -> Result<(), Refusal> {
    fits(
        exchange.answer.size(),
        MAX_ANSWER_BYTES,
        "what policies add to the answer",
    )
}

/// Are the messages of onOpen still few and short enough?
pub(super) fn opening_messages_fit(exchange: &Exchange) -> Result<(), Refusal> {
    fits(
        exchange.evaluation.opening_messages.len(),
        MAX_GREETING_BYTES,
        "what onOpen says",
    )
}

fn fits(size: usize, most: usize, what: &str) -> Result<(), Refusal> {
    if size <= most {
        return Ok(());
    }
    Err(expression_failed(format!(
        "{what} has more than {most} bytes"
    )))
}

#[cfg(test)]
mod tests;

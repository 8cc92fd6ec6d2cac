//! Every outcome of asking a backend, and what it means for circuit breaker and ejection. Pure.
//!
//! Only the backend's own failures count against it: a client must not be able to eject a backend for others.
//! This is the only place that decides it; `docs/backends.md` has the same table.

#[cfg(test)]
mod tests;

/// How asking a backend ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DialOutcome {
    /// Lookup, TCP connection or the proxy's tunnel failed.
    NoConnection,
    NoTls,
    /// It closed, or sent no byte within `timeouts.backendHandshake`.
    NoAnswer,
    /// Its answer began and was not complete in time.
    AnswerBrokeOff,
    /// Its answer is not HTTP/1, or an invalid 101.
    BrokenAnswer,
    /// The head of its answer exceeds a limit: it may echo what the client sent.
    HeadTooLarge,
    /// A 101 with a subprotocol or an extension that the client did not offer.
    BadNegotiation,
    /// A status below 300 that is not 101: the client may have requested a page.
    NoHandshake,
    /// 300 to 499.
    Refused,
    /// 500 or above.
    ServerError,
    Accepted,
    /// The handshake's deadline passed before the backend had its whole timeout.
    OutOfTime,
    /// The client left before there was an answer.
    #[cfg_attr(
        not(test),
        expect(
            dead_code,
            reason = "what waits for the backend is dropped with the client"
        )
    )]
    ClientGone,
}

/// What an outcome counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Failure,
    /// Ends a row of failures.
    Success,
    /// As if the handshake had not happened: after a trial handshake, the next one is the trial.
    Nothing,
}

/// What follows from an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Consequence {
    pub(crate) circuit: Count,
    /// For passive ejection.
    pub(crate) ejection: Count,
    /// Does the handshake go to another member? Not if the backend may have acted on it.
    pub(crate) next_member: bool,
}

impl DialOutcome {
    /// In the order of the documentation.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 13] = [
        Self::NoConnection,
        Self::NoTls,
        Self::NoAnswer,
        Self::AnswerBrokeOff,
        Self::BrokenAnswer,
        Self::HeadTooLarge,
        Self::BadNegotiation,
        Self::NoHandshake,
        Self::Refused,
        Self::ServerError,
        Self::Accepted,
        Self::OutOfTime,
        Self::ClientGone,
    ];

    pub(crate) const fn consequence(self) -> Consequence {
        use Count::{Failure, Nothing, Success};
        let (circuit, ejection, next_member) = match self {
            Self::NoConnection | Self::NoTls | Self::NoAnswer => (Failure, Failure, true),
            Self::AnswerBrokeOff | Self::BrokenAnswer => (Failure, Failure, false),
            Self::HeadTooLarge | Self::BadNegotiation | Self::NoHandshake => {
                (Nothing, Success, false)
            }
            Self::ServerError => (Failure, Success, false),
            Self::Refused | Self::Accepted => (Success, Success, false),
            Self::OutOfTime | Self::ClientGone => (Nothing, Nothing, false),
        };
        Consequence {
            circuit,
            ejection,
            next_member,
        }
    }
}

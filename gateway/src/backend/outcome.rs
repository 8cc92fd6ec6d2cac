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
    /// 300 or above, and none of the following.
    Refused,
    /// A status that counts for the circuit.
    BadStatus,
    /// A status with which the member says that another one should be asked.
    FailoverStatus,
    /// Such a status that counts for the circuit, too.
    BadFailoverStatus,
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
    /// Does the handshake go to another member? Not if the backend may have acted on it, unless its status says
    /// that it has not.
    pub(crate) next_member: bool,
}

impl DialOutcome {
    /// In the order of the documentation.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 15] = [
        Self::NoConnection,
        Self::NoTls,
        Self::NoAnswer,
        Self::AnswerBrokeOff,
        Self::BrokenAnswer,
        Self::HeadTooLarge,
        Self::BadNegotiation,
        Self::NoHandshake,
        Self::Refused,
        Self::BadStatus,
        Self::FailoverStatus,
        Self::BadFailoverStatus,
        Self::Accepted,
        Self::OutOfTime,
        Self::ClientGone,
    ];

    /// The outcome of a refusal with a status that may count for the circuit, and may send the handshake on.
    pub(crate) const fn of_status(is_bad: bool, fails_over: bool) -> Self {
        match (is_bad, fails_over) {
            (false, false) => Self::Refused,
            (true, false) => Self::BadStatus,
            (false, true) => Self::FailoverStatus,
            (true, true) => Self::BadFailoverStatus,
        }
    }

    pub(crate) const fn consequence(self) -> Consequence {
        use Count::{Failure, Nothing, Success};
        let (circuit, ejection, next_member) = match self {
            Self::NoConnection | Self::NoTls | Self::NoAnswer => (Failure, Failure, true),
            Self::AnswerBrokeOff | Self::BrokenAnswer => (Failure, Failure, false),
            Self::HeadTooLarge | Self::BadNegotiation | Self::NoHandshake => {
                (Nothing, Success, false)
            }
            Self::BadStatus => (Failure, Success, false),
            Self::FailoverStatus => (Success, Failure, true),
            Self::BadFailoverStatus => (Failure, Failure, true),
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

//! Every way in which asking a backend ends, and what that says about the backend. Pure.
//!
//! Only what is the backend's own fault counts against it: what one client can bring about must not
//! keep others away. This is the only place that decides it; `docs/backends.md` has the same table.

#[cfg(test)]
mod tests;

/// How asking a backend ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DialOutcome {
    /// Its address, a TCP connection or the proxy's tunnel could not be had.
    NoConnection,
    NoTls,
    /// It hung up, or kept silent for `timeouts.backendHandshake`, before a byte came.
    NoAnswer,
    /// Its answer began and did not come to an end in time.
    AnswerBrokeOff,
    /// What it sent is not HTTP/1, or a 101 that proves nothing.
    BrokenAnswer,
    /// The head of its answer is above a limit: it may repeat what the client sent.
    HeadTooLarge,
    /// A 101 with a subprotocol or an extension that the client did not offer.
    BadNegotiation,
    /// A status below 300 that is not 101: the client may have asked for a page.
    NoHandshake,
    /// 300 to 499.
    Refused,
    /// 500 or above.
    ServerError,
    Accepted,
    /// Policies, or other members, had used up the time before it had its own.
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
    /// It ends a row of failures.
    Success,
    /// As if the handshake had not been: whoever tries after a pause makes room for the next.
    Nothing,
}

/// What follows from an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Consequence {
    pub(crate) circuit: Count,
    /// Passive ejection: is the member set aside?
    pub(crate) ejection: Count,
    /// Does the handshake go to another member? Not where the backend may have acted on it.
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

//! What an error of the API server means to the user. Pure.

use std::time::Duration;

use kube::core::Status;
use tidegate_config::error_chain;

/// Why the API server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It cannot be reached, or does not answer.
    #[error("the API server does not answer: {0}")]
    Away(String),
    /// It does not accept the credentials of the kubeconfig.
    #[error("the API server does not accept the credentials of the kubeconfig: {0}")]
    Unauthorized(String),
    /// The user may not do this.
    #[error("you may not {what}: {message}")]
    Forbidden {
        /// What was tried.
        what: String,
        /// The API server's words.
        message: String,
    },
    /// The kind is not installed.
    #[error(
        "failed to {what}: the cluster has no such kind; install Tidegate's CRDs, or see tidegate check"
    )]
    NoKind {
        /// What was tried.
        what: String,
    },
    /// The object does not exist.
    #[error("failed to {what}: {message}")]
    NotFound {
        /// What was tried.
        what: String,
        /// The API server's words.
        message: String,
    },
    /// Somebody else changed the object meanwhile.
    #[error("failed to {what}: somebody else changed it at the same time; try again")]
    Conflict {
        /// What was tried.
        what: String,
    },
    /// The object would not be valid, or a policy refuses it.
    #[error("failed to {what}: {message}")]
    Refused {
        /// What was tried.
        what: String,
        /// The API server's words.
        message: String,
    },
}

impl Trouble {
    /// No answer in time.
    pub(super) fn timeout(after: Duration) -> Self {
        Self::Away(format!("no answer within {} s", after.as_secs()))
    }

    /// The same about something that was tried, for example `list Gateways`.
    #[must_use]
    pub fn about(self, tried: &str) -> Self {
        let tried = tried.to_owned();
        match self {
            Self::Away(_) | Self::Unauthorized(_) => self,
            Self::Forbidden { message, .. } => Self::Forbidden {
                what: tried,
                message,
            },
            Self::NoKind { .. } => Self::NoKind { what: tried },
            Self::NotFound { message, .. } => Self::NotFound {
                what: tried,
                message,
            },
            Self::Conflict { .. } => Self::Conflict { what: tried },
            Self::Refused { message, .. } => Self::Refused {
                what: tried,
                message,
            },
        }
    }
}

impl From<kube::Error> for Trouble {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => of_status(*status),
            kube::Error::Auth(error) => Self::Unauthorized(error_chain(&error)),
            kube::Error::Service(_) | kube::Error::HyperError(_) => Self::Away(error_chain(&error)),
            other => Self::Refused {
                what: String::new(),
                message: error_chain(&other),
            },
        }
    }
}

fn of_status(status: Status) -> Trouble {
    let what = String::new();
    let message = status.message;
    match status.code {
        401 => Trouble::Unauthorized(message),
        403 => Trouble::Forbidden { what, message },
        // The path of a kind that is not installed names no object.
        404 if status.details.is_none_or(|details| details.name.is_empty()) => {
            Trouble::NoKind { what }
        }
        404 => Trouble::NotFound { what, message },
        409 => Trouble::Conflict { what },
        _ => Trouble::Refused { what, message },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_refusal_says_what_was_tried_and_why_not() {
        for (code, name, expected) in [
            (
                401,
                "",
                "the API server does not accept the credentials of the kubeconfig: m",
            ),
            (403, "", "you may not list Gateways: m"),
            (
                404,
                "",
                "failed to list Gateways: the cluster has no such kind; install Tidegate's CRDs, or see \
                 tidegate check",
            ),
            (404, "edge", "failed to list Gateways: m"),
            (
                409,
                "edge",
                "failed to list Gateways: somebody else changed it at the same time; try again",
            ),
            (422, "edge", "failed to list Gateways: m"),
            (500, "", "failed to list Gateways: m"),
        ] {
            let status: Status = serde_json::from_value(json!({
                "code": code, "message": "m", "details": {"name": name},
            }))
            .unwrap();
            let trouble = Trouble::from(kube::Error::Api(status.boxed()));
            assert_eq!(
                trouble.about("list Gateways").to_string(),
                expected,
                "{code}"
            );
        }
    }
}

//! The policy basicAuth.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Expression, ExpressionKind, SecretKeyRef};

/// Requires a user name and password (RFC 7617).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BasicAuth {
    /// The users, as `htpasswd` writes them: bcrypt or `{SHA}` hashes.
    pub users_secret_ref: SecretKeyRef,
    /// What the client is asked to log in to. Default: the API's name. Template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub realm: Option<String>,
    /// Remove the Authorization header before the backend sees the request. Default: true.
    #[serde(default = "yes")]
    pub strip: bool,
    /// Variable that keeps the user's name: `vars.NAME`. Default: user.
    #[serde(default = "user", rename = "as")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub variable: String,
}

impl BasicAuth {
    pub(crate) fn expressions(&self) -> Vec<Expression<'_>> {
        let realm = self.realm.iter();
        realm
            .map(|text| Expression::new("basicAuth.realm", ExpressionKind::Template, text))
            .collect()
    }
}

fn yes() -> bool {
    true
}

fn user() -> String {
    "user".to_owned()
}

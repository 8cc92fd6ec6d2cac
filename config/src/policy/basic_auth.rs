//! The policy basicAuth.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expression::HasExpressions;
use crate::{Expression, ExpressionKind, SecretKeyRef};

/// Requires a user name and password (RFC 7617). Others get 401.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BasicAuth {
    /// Users and hashes of their passwords, as `htpasswd` writes them: bcrypt or `{SHA}`.
    pub users_secret_ref: SecretKeyRef,
    /// Realm that the client is asked to log in to, as a template. Default: the API's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub realm: Option<String>,
    /// Whether the Authorization header is removed from the request that the backend gets. Default:
    /// true.
    #[serde(default = "yes")]
    pub strip: bool,
    /// Name of the variable that gets the user's name, to be read as `vars.NAME`. Default: user.
    #[serde(default = "user", rename = "as")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub variable: String,
}

impl HasExpressions for BasicAuth {
    fn expressions(&self) -> Vec<Expression<'_>> {
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

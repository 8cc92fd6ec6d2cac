//! Signatures of AWS, made with the temporary keys of a role.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SubjectToken;
use crate::Duration;

/// Signs each handshake with AWS Signature Version 4, with temporary keys that AWS STS issues for a token of the
/// service account of the gateway's pods (AssumeRoleWithWebIdentity).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AwsSigV4 {
    /// Service that the backend is, as AWS calls it in signatures: `execute-api` for API Gateway.
    #[schemars(
        length(min = 1, max = 64),
        regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub service: String,
    /// Region of the backend.
    #[schemars(
        length(min = 1, max = 64),
        regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub region: String,
    /// Role whose keys sign. Its trust policy must name the cluster's issuer and the service account.
    #[schemars(
        length(min = 20, max = 2048),
        regex(pattern = r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$")
    )]
    pub role_arn: String,
    /// Name of the session, which AWS shows in its logs. Default: tidegate.
    #[serde(default = "tidegate")]
    #[schemars(length(min = 2, max = 64), regex(pattern = "^[A-Za-z0-9+=,.@_-]+$"))]
    pub session_name: String,
    /// How long the keys are valid, 15m to 12h, at most as long as the role allows. Default: 1h.
    #[serde(default = "an_hour")]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) >= duration('15m') && duration(self) <= duration('12h')",
        "message": "sessionDuration must be between 15m and 12h",
    }]))]
    pub session_duration: Duration,
    /// `http://` or `https://` URL of AWS STS. Default: the one of the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 8, max = 2048),
        regex(pattern = r"^https?://[^/?#\s]+[^#\s]*$")
    )]
    pub sts_url: Option<String>,
    /// Token for which STS issues the keys.
    pub web_identity_token: SubjectToken,
}

impl AwsSigV4 {
    /// Where the keys come from.
    pub fn sts_url(&self) -> String {
        let region = &self.region;
        let domain = match region.starts_with("cn-") {
            true => "amazonaws.com.cn",
            false => "amazonaws.com",
        };
        let url = self.sts_url.clone();
        url.unwrap_or_else(|| format!("https://sts.{region}.{domain}/"))
    }
}

fn tidegate() -> String {
    "tidegate".to_owned()
}

fn an_hour() -> Duration {
    Duration::from_secs(3600)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_come_from_the_region_unless_another_place_is_named() {
        for (region, url, wanted) in [
            ("eu-west-1", None, "https://sts.eu-west-1.amazonaws.com/"),
            (
                "cn-north-1",
                None,
                "https://sts.cn-north-1.amazonaws.com.cn/",
            ),
            (
                "eu-west-1",
                Some("https://sts.example.com/"),
                "https://sts.example.com/",
            ),
        ] {
            let signing: AwsSigV4 = serde_json::from_value(json!({
                "service": "execute-api", "region": region, "stsUrl": url,
                "roleArn": "arn:aws:iam::123456789012:role/edge",
                "webIdentityToken": {"serviceAccountToken": {"audience": "sts.amazonaws.com"}},
            }))
            .unwrap();
            assert_eq!(signing.sts_url(), wanted);
        }
    }
}

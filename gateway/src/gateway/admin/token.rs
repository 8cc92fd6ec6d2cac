//! The token that the admin server requires: one line of a file that comes from the operator's Secret or from
//! `tidegate run`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};

/// Shortest token in characters: a shorter one could be guessed. The operator's have 43.
const MIN_TOKEN_CHARACTERS: usize = 16;

/// Longest file in bytes: a longer one is not a token.
const MAX_FILE_BYTES: u64 = 4096;

/// The file with the token.
pub(super) struct Token(Option<PathBuf>);

/// Why a request is not answered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unauthorized {
    #[error(
        "this gateway has no token, so it refuses this request: start it with --admin-token-file FILE"
    )]
    NoToken,
    /// The file's name is only logged.
    #[error(
        "this gateway cannot read its token, so it refuses this request; its log says why. In a cluster \
         the operator creates the token: Secret GATEWAY-admin, key token"
    )]
    Unreadable,
    #[error(
        "the gateway's token is missing or wrong: tidegate explain finds it; otherwise send \
         \"Authorization: Bearer TOKEN\". In a cluster it is in the Secret GATEWAY-admin, key token; \
         with tidegate run in the file admin-token of its state directory"
    )]
    Wrong,
}

impl Token {
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        Self(file)
    }

    /// Checks that the headers have the token. The file is read each time, because the token may change.
    ///
    /// # Errors
    /// [`Unauthorized`]: there is no token, or the headers do not have it.
    pub(super) async fn check(&self, headers: &HeaderMap) -> Result<(), Unauthorized> {
        let path = self.0.clone().ok_or(Unauthorized::NoToken)?;
        let reading = tokio::task::spawn_blocking(move || (read(&path), path));
        let token = match reading.await {
            Ok((Ok(token), _)) => token,
            Ok((Err(why), path)) => {
                tracing::warn!(file = %path.display(), why, "the admin token cannot be used");
                return Err(Unauthorized::Unreadable);
            }
            Err(_) => return Err(Unauthorized::Unreadable),
        };
        let shown = shown(headers).ok_or(Unauthorized::Wrong)?;
        // Digests have the same length whatever was sent, so the comparison takes constant time.
        let [shown, token] = [shown, token.as_bytes()].map(Sha256::digest);
        verify_slices_are_equal(&shown, &token).map_err(|_| Unauthorized::Wrong)
    }
}

fn read(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let read = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| error.to_string())?;
    let token = text.trim();
    let is_plain = token.bytes().all(|byte| byte.is_ascii_graphic());
    if (text.len() as u64) > MAX_FILE_BYTES || token.len() < MIN_TOKEN_CHARACTERS || !is_plain {
        return Err(format!(
            "it is not one line of {MIN_TOKEN_CHARACTERS} to {MAX_FILE_BYTES} characters without spaces"
        ));
    }
    Ok(token.to_owned())
}

/// RFC 6750 §2.1; the scheme's case does not matter (RFC 9110 §11.1).
fn shown(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const TOKEN: &str = "a-token-of-the-tests";

    fn with(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        headers
    }

    #[tokio::test]
    async fn the_token_is_shown_as_a_bearers_and_read_anew() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
        let token = Token::new(Some(file.clone()));
        for (values, right) in [
            (&["Bearer a-token-of-the-tests"][..], true),
            (&["bearer  a-token-of-the-tests "], true),
            (&["Bearer a-token-of-the-test"], false),
            (&["Bearer a-token-of-the-testss"], false),
            (&["Bearer "], false),
            (&["Bearer"], false),
            (&["Basic a-token-of-the-tests"], false),
            (&["a-token-of-the-tests"], false),
            (&["Bearer a-token-of-the-tests", "Bearer x"], false),
            (&[], false),
        ] {
            let expected = if right {
                Ok(())
            } else {
                Err(Unauthorized::Wrong)
            };
            assert_eq!(token.check(&with(values)).await, expected, "{values:?}");
        }
        std::fs::write(&file, "another-token-of-the-tests").unwrap();
        let new = with(&["Bearer another-token-of-the-tests"]);
        assert_eq!(token.check(&new).await, Ok(()));
        let old = with(&["Bearer a-token-of-the-tests"]);
        assert_eq!(token.check(&old).await, Err(Unauthorized::Wrong));
    }

    #[tokio::test]
    async fn without_a_usable_token_nobody_is_told() {
        let nothing = Token::new(None);
        let shown = with(&["Bearer a-token-of-the-tests"]);
        assert_eq!(nothing.check(&shown).await, Err(Unauthorized::NoToken));
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        let token = Token::new(Some(file.clone()));
        assert_eq!(token.check(&shown).await, Err(Unauthorized::Unreadable));
        let long = "x".repeat(5000);
        for text in ["", "\n", "short", "two words of a token", &long] {
            std::fs::write(&file, text).unwrap();
            let text = text.trim();
            let shown = format!("Bearer {text}");
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_str(&shown).unwrap());
            assert_eq!(
                token.check(&headers).await,
                Err(Unauthorized::Unreadable),
                "{text}"
            );
        }
    }
}

//! Generates subscription keys and writes them to their Secret. Client required.

use tidegate_api::Subscription;
use tidegate_plan::KeyRequest;
use tidegate_plan::generated_keys::{KeyOrigin, origin};

use super::TaskError;
use crate::keys;
use crate::write::Writer;

/// Creates the Secret, or renews keys in it.
///
/// # Errors
///
/// When the Secret could not be read or written, or no key could be generated.
pub(super) async fn generate(
    writer: &Writer,
    request: &KeyRequest,
    subscription: &Subscription,
) -> Result<(), TaskError> {
    let key = &request.secret;
    let written = if request.exists {
        let Some(mut secret) = writer.read_key_secret(key).await? else {
            // Deleted in between: the next pass asks for a new one.
            return Ok(());
        };
        if origin(&secret, subscription) != KeyOrigin::Generated {
            return Ok(());
        }
        keys::fill(&mut secret, request)?;
        // With the resource version that was read: a change in between is a conflict.
        writer.replace_key_secret(key, &secret).await
    } else {
        let secret = keys::new_secret(request, subscription)?;
        writer.create_key_secret(key, &secret).await
    };
    match written {
        // Somebody else wrote it first; the watch delivers what is there now.
        Err(error) if error.is_conflict() => Ok(()),
        Err(error) if error.is_terminating() => Ok(()),
        outcome => Ok(outcome?),
    }
}

//! What is different every time.

use aws_lc_rs::rand;
use cel::Value;

use super::{Call, Overload};
use crate::error::Fault;
use crate::types::Type;
use crate::value::text;

/// Longest random text: 1,024 bytes as hex. Keys and nonces are 64 bytes at most.
const MAX_RANDOM_BYTES: usize = 1024;

/// The system's generator is asked each time.
const STEPS_PER_CALL: u64 = 50;

pub(super) const OVERLOADS: &[Overload] = &[
    Overload::global("uuid", &[], Type::Text, uuid).impure(),
    Overload::global("random", &[Type::Int], Type::Text, random).impure(),
];

fn uuid(call: &mut Call<'_>) -> Result<Value, Fault> {
    call.budget.spend(STEPS_PER_CALL)?;
    Ok(text(uuid::Uuid::new_v4().to_string()))
}

/// So many random bytes, as hex.
fn random(call: &mut Call<'_>) -> Result<Value, Fault> {
    let bytes = usize::try_from(call.int(0)?)
        .ok()
        .filter(|n| *n <= MAX_RANDOM_BYTES);
    let Some(bytes) = bytes else {
        return Err(Fault::new(format!(
            "random gives 0 to {MAX_RANDOM_BYTES} bytes"
        )));
    };
    call.budget.spend(STEPS_PER_CALL)?;
    call.budget.spend_bytes(bytes)?;
    let mut buffer = vec![0; bytes];
    if rand::fill(&mut buffer).is_err() {
        return Err(Fault::new("the system gave no random bytes"));
    }
    Ok(text(hex::encode(buffer)))
}

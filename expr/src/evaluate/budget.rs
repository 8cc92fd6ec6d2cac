//! What one evaluation may cost. Steps and bytes are counted as they are spent, not estimated, so that no
//! input and no expression can take longer or grow bigger than this.

use cel::Value;

use crate::error::Fault;

/// Steps of one evaluation: some milliseconds of CPU time in the worst case, on the path of a handshake.
/// The expressions of the examples take fewer than 100.
pub(crate) const MAX_STEPS: u64 = 100_000;

/// Steps to fold one constant call at compile time.
pub(crate) const MAX_FOLD_STEPS: u64 = 10_000;

/// Longest text or bytes that an operation may give: four times a large header block, as much as a large
/// answer of a request.
pub(crate) const MAX_TEXT_BYTES: usize = 1024 * 1024;

/// Bytes that are handled in about the time of one step.
const BYTES_PER_STEP: usize = 32;

const TOO_MANY_STEPS: &str = "the expression takes too many steps";
const TOO_LONG: &str = "a text or list grows too big";

pub(crate) struct Budget {
    left: u64,
}

impl Budget {
    pub(crate) fn new(steps: u64) -> Self {
        Self { left: steps }
    }

    pub(crate) fn spend(&mut self, steps: u64) -> Result<(), Fault> {
        match self.left.checked_sub(steps) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Fault::Cost(TOO_MANY_STEPS))
            }
        }
    }

    /// Pays for reading or copying so many bytes.
    pub(crate) fn spend_bytes(&mut self, bytes: usize) -> Result<(), Fault> {
        self.spend(steps_of(bytes))
    }

    /// Pays for a new text or bytes of this length, before it is made.
    pub(crate) fn spend_text(&mut self, bytes: usize) -> Result<(), Fault> {
        if bytes > MAX_TEXT_BYTES {
            return Err(Fault::Cost(TOO_LONG));
        }
        self.spend_bytes(bytes)
    }

    /// Pays for walking over whole values, so many times.
    pub(crate) fn spend_values(&mut self, values: &[Value], times: u64) -> Result<(), Fault> {
        let mut weight = 0;
        for value in values {
            weigh(value, self.left, &mut weight);
        }
        self.spend(weight.saturating_mul(times))
    }
}

fn steps_of(bytes: usize) -> u64 {
    (bytes / BYTES_PER_STEP) as u64
}

/// Adds a value's weight in steps; stops walking when the cap is passed, so that weighing is paid for too.
fn weigh(value: &Value, cap: u64, weight: &mut u64) {
    *weight += 1;
    match value {
        Value::String(s) => *weight += steps_of(s.len()),
        Value::Bytes(b) => *weight += steps_of(b.len()),
        Value::List(items) => {
            for item in items.iter() {
                if *weight > cap {
                    return;
                }
                weigh(item, cap, weight);
            }
        }
        Value::Map(map) => {
            for item in map.map.values() {
                if *weight > cap {
                    return;
                }
                weigh(item, cap, weight);
            }
        }
        _ => {}
    }
}

/// The weight of a value, up to a cap.
pub(crate) fn weight(value: &Value, cap: u64) -> u64 {
    let mut sum = 0;
    weigh(value, cap, &mut sum);
    sum
}

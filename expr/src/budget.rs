//! What one evaluation may cost. Steps and bytes are counted as they are spent, not estimated, so that no
//! input and no expression can take longer or grow bigger than this.

use cel::Value;
use cel::objects::{Key, OptionalValue};

use crate::error::Fault;
use crate::value::as_optional;

/// Steps of one evaluation: some milliseconds of CPU time in the worst case, on the path of a handshake.
/// The expressions of the examples take fewer than 100.
pub(crate) const MAX_STEPS: u64 = 100_000;

/// Steps to fold one constant call at compile time.
pub(crate) const MAX_FOLD_STEPS: u64 = 10_000;

/// Longest text or bytes that an operation may give: four times a large header block, as much as a large
/// answer of a request.
pub(crate) const MAX_TEXT_BYTES: usize = 1024 * 1024;

/// Bytes that are handled in about the time of one step.
pub(crate) const BYTES_PER_STEP: usize = 32;

/// Deepest value: printing, comparing and dropping one recurse. Answers of requests have 64 levels.
pub(crate) const MAX_VALUE_DEPTH: usize = 128;

const TOO_MANY_STEPS: &str = "the expression takes too many steps";
const TOO_LONG: &str = "a text or list is too long";
pub(crate) const TOO_DEEP: &str = "a value is nested deeper than 128 levels";

pub(crate) struct Budget {
    left: u64,
}

impl Budget {
    pub(crate) fn new(steps: u64) -> Self {
        Self { left: steps }
    }

    /// Steps that may still be spent.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn left(&self) -> u64 {
        self.left
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
        let mut scale = Scale::up_to(self.left);
        for value in values {
            scale.weigh(value, 0);
        }
        if scale.is_too_deep {
            return Err(Fault::Cost(TOO_DEEP));
        }
        self.spend(scale.weight.saturating_mul(times))
    }
}

fn steps_of(bytes: usize) -> u64 {
    (bytes / BYTES_PER_STEP) as u64
}

/// Weighs values in steps. Parts that a value has several times count each time: a list of itself, twice, and so
/// on takes no memory until somebody walks over it.
struct Scale {
    cap: u64,
    weight: u64,
    is_too_deep: bool,
}

impl Scale {
    /// Stops walking when the cap is passed, so that weighing is paid for too.
    fn up_to(cap: u64) -> Self {
        Self {
            cap,
            weight: 0,
            is_too_deep: false,
        }
    }

    fn weigh(&mut self, value: &Value, depth: usize) {
        self.weight += 1;
        match value {
            Value::String(s) => self.weight += steps_of(s.len()),
            Value::Bytes(b) => self.weight += steps_of(b.len()),
            Value::List(items) => self.weigh_all(items.iter(), depth),
            Value::Map(map) => {
                // Keys of requests' answers are as long as their servers like.
                let keys = map.map.keys().map(|key| match key {
                    Key::String(text) => steps_of(text.len()),
                    _ => 0,
                });
                self.weight += keys.sum::<u64>();
                self.weigh_all(map.map.values(), depth);
            }
            other => {
                if let Some(inner) = as_optional(other).and_then(OptionalValue::value) {
                    self.weigh_all(std::iter::once(inner), depth);
                }
            }
        }
    }

    fn weigh_all<'v>(&mut self, values: impl Iterator<Item = &'v Value>, depth: usize) {
        if depth == MAX_VALUE_DEPTH {
            self.is_too_deep = true;
            return;
        }
        for value in values {
            if self.weight > self.cap || self.is_too_deep {
                return;
            }
            self.weigh(value, depth + 1);
        }
    }
}

/// The weight of a value, up to a cap; beyond it for one that is nested too deep.
pub(crate) fn weight(value: &Value, cap: u64) -> u64 {
    let mut scale = Scale::up_to(cap);
    scale.weigh(value, 0);
    match scale.is_too_deep {
        true => u64::MAX,
        false => scale.weight,
    }
}

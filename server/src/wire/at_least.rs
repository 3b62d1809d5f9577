//! Settings that would break the server if they were zero: read with a least value, which a smaller one is told.
//!
//! For fields of settings: `#[serde(deserialize_with = "at_least::number::<1, _>")]`, and with milliseconds
//! `#[serde(serialize_with = "duration::serialize", deserialize_with = "at_least::millis::<1, _>")]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use super::duration;

/// Deserialize a number that is at least `LEAST`.
pub(crate) fn number<'de, const LEAST: usize, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let number = usize::deserialize(deserializer)?;
    if number < LEAST { Err(de::Error::custom(format!("must be at least {LEAST}"))) } else { Ok(number) }
}

/// Deserialize a duration of at least `LEAST` milliseconds from text.
pub(crate) fn millis<'de, const LEAST: u64, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let (value, least) = (duration::deserialize(deserializer)?, Duration::from_millis(LEAST));
    if value < least {
        return Err(de::Error::custom(format!("must be at least {}", duration::format(least))));
    }
    Ok(value)
}

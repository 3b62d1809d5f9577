//! A length of time as a person writes it in a manifest: `300ms`, `5s`, `1m30s`, `1.5h`.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::schema;

/// Units from the longest to the shortest, in nanoseconds.
const UNITS: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// What the API server checks before a server ever sees the text.
const PATTERN: &str = r"^(0|([0-9]+(\.[0-9]+)?(h|m|s|ms|us|ns))+)$";

/// The longest text; whatever fits a game is shorter, and it bounds what rules about durations cost.
const LONGEST: usize = 32;

/// A duration that is written as numbers with units, one after another: `5s`, `1m30s`, `1.5h`. `0` needs no unit.
///
/// ```
/// use std::time::Duration;
/// let linger: cereus_crds::DurationText = "1m30s".parse()?;
/// assert_eq!(linger.get(), Duration::from_secs(90));
/// # Ok::<(), cereus_crds::DurationError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DurationText(Duration);

impl DurationText {
    /// Wrap a duration, to be written as text.
    pub const fn new(duration: Duration) -> Self {
        Self(duration)
    }

    /// The duration itself.
    pub const fn get(self) -> Duration {
        self.0
    }
}

/// The text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a duration such as 300ms, 5s, 1m30s or 1.5h")]
pub struct DurationError {
    text: String,
}

impl FromStr for DurationText {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let error = || DurationError { text: text.to_owned() };
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        if text.is_empty() {
            return Err(error());
        }
        let mut rest = text;
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(error)?;
            let (number, tail) = rest.split_at(end);
            let end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(end);
            let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
            let nanos = scaled(number, *scale).ok_or_else(error)?;
            total = total.checked_add(nanos).ok_or_else(error)?;
            rest = tail;
        }
        Ok(Self(Duration::from_nanos(total)))
    }
}

/// `number` (digits, perhaps a point and digits) times `scale`, exact; None when it is no number or too large.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(scale)?;
    let mut part = 0;
    let mut place = scale;
    for digit in fraction.bytes() {
        place /= 10;
        part += u64::from(digit - b'0') * place;
    }
    whole.checked_add(part)
}

impl fmt::Display for DurationText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut nanos = self.0.as_nanos();
        if nanos == 0 {
            return formatter.write_str("0s");
        }
        for (unit, scale) in UNITS {
            let scale = u128::from(scale);
            if nanos >= scale {
                write!(formatter, "{}{unit}", nanos / scale)?;
                nanos %= scale;
            }
        }
        Ok(())
    }
}

impl Serialize for DurationText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DurationText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for DurationText {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema::text("a duration such as 300ms, 5s, 1m30s or 1.5h", PATTERN, LONGEST)
    }
}

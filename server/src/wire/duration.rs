//! Durations as a person writes them in a settings file: `"500ms"`, `"1.5s"`, `"10m"`.
//!
//! For fields of settings: `#[serde(with = "crate::wire::duration")] #[schemars(with = "String")]`; an optional one takes
//! `#[serde(default, with = "crate::wire::duration::optional")] #[schemars(with = "Option<String>")]`.

use std::{fmt, time::Duration};

use serde::{Deserializer, Serializer, de};

/// What a duration looks like; ends the message about a wrong one.
const EXPECTED: &str = "a duration such as \"500ms\", \"1.5s\" or \"10m\"";

/// What is wrong with the text of a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {EXPECTED}")]
pub(crate) struct DurationError {
    text: String,
}

/// Read one duration: a number (a fraction is allowed) with a unit `ns`, `us`, `ms`, `s`, `m`, `h` or `d`, or several of
/// them in a row (`"1m30s"`). A bare `0` needs no unit.
pub(crate) fn parse(text: &str) -> Result<Duration, DurationError> {
    let error = || DurationError { text: text.to_owned() };
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if let Ok(duration) = humantime::parse_duration(text) {
        return Ok(duration);
    }
    // A fraction: one number, one unit.
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(error)?;
    let (number, unit) = text.split_at(split);
    let unit = match unit.trim_start() {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" | "sec" => 1.0,
        "m" | "min" => 60.0,
        "h" | "hr" => 3_600.0,
        "d" | "day" => 86_400.0,
        _ => return Err(error()),
    };
    let number: f64 = number.parse().map_err(|_| error())?;
    Duration::try_from_secs_f64(number * unit).map_err(|_| error())
}

/// Write a duration the way [`parse`] reads it.
pub(crate) fn format(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace(' ', "")
}

/// Serialize as text.
pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

/// Deserialize from text.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_any(Text)
}

struct Text;

impl de::Visitor<'_> for Text {
    type Value = Duration;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        parse(text).map_err(E::custom)
    }

    /// Zero means the same in every unit; any other number has lost its unit.
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Duration, E> {
        match number {
            0 => Ok(Duration::ZERO),
            other => Err(E::invalid_value(de::Unexpected::Unsigned(other), &self)),
        }
    }
}

/// The same for `Option<Duration>`; absent and null are `None`.
pub(crate) mod optional {
    use std::{fmt, time::Duration};

    use serde::{Deserializer, Serializer, de};

    /// Serialize as text or null.
    #[allow(clippy::ref_option, reason = "serde gives the field by reference")]
    pub(crate) fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Deserialize from text or null.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        deserializer.deserialize_option(Optional)
    }

    struct Optional;

    impl<'de> de::Visitor<'de> for Optional {
        type Value = Option<Duration>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str(super::EXPECTED)
        }

        fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            super::deserialize(deserializer).map(Some)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Example {
        #[serde(with = "crate::wire::duration")]
        linger: Duration,
        #[serde(default, with = "crate::wire::duration::optional")]
        spread: Option<Duration>,
    }

    #[test]
    fn reads_what_people_write() {
        let table = [
            ("10s", Duration::from_secs(10)),
            ("1.5s", Duration::from_millis(1500)),
            ("0.25 s", Duration::from_millis(250)),
            ("500ms", Duration::from_millis(500)),
            ("10m", Duration::from_mins(10)),
            ("1m30s", Duration::from_secs(90)),
            ("1m 30s", Duration::from_secs(90)),
            ("2h", Duration::from_hours(2)),
            ("0", Duration::ZERO),
            ("0s", Duration::ZERO),
        ];
        for (text, expected) in table {
            assert_eq!(super::parse(text), Ok(expected), "{text}");
            assert_eq!(super::parse(&super::format(expected)), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_has_no_meaning() {
        for text in ["", "10", "ten seconds", "-1s", "1.5", "s", "1.2.3s", "1e400s", "NaNs"] {
            let error = super::parse(text).unwrap_err();
            assert!(error.to_string().contains("a duration such as"), "{text}: {error}");
        }
    }

    #[test]
    fn fields_of_settings_round_trip() {
        let example: Example = serde_json::from_str(r#"{"linger":"1.5s"}"#).unwrap();
        assert_eq!(example, Example { linger: Duration::from_millis(1500), spread: None });
        let example: Example = serde_json::from_str(r#"{"linger":0,"spread":"1m"}"#).unwrap();
        assert_eq!(example, Example { linger: Duration::ZERO, spread: Some(Duration::from_mins(1)) });
        assert_eq!(serde_json::to_string(&example).unwrap(), r#"{"linger":"0s","spread":"1m"}"#);
        let error = serde_json::from_str::<Example>(r#"{"linger":10}"#).unwrap_err().to_string();
        assert!(error.contains("integer `10`, expected a duration such as"), "{error}");
    }
}

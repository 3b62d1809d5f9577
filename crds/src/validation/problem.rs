//! What may be wrong in a manifest, said so that it can be put right.

use std::fmt;

use serde_json::Value;

use super::Path;

/// The longest text of a value that is shown.
const LONGEST_VALUE: usize = 80;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// Where.
    pub path: Path,
    /// What stands there; none when something is missing, or unknown altogether.
    pub value: Option<Value>,
    /// What would be right.
    pub message: String,
}

impl Problem {
    /// Say that something is wrong.
    pub fn new(path: Path, value: Option<&Value>, message: String) -> Self {
        Self { path, value: value.cloned(), message }
    }

    /// The value on one line, shortened; none when there is none, or it is an object or a list.
    pub fn shown_value(&self) -> Option<String> {
        let value = self.value.as_ref().filter(|value| !value.is_object() && !value.is_array())?;
        let text = value.to_string();
        if text.chars().count() <= LONGEST_VALUE {
            return Some(text);
        }
        Some(text.chars().take(LONGEST_VALUE).chain(['…']).collect())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.path.segments().is_empty() { "" } else { ": " };
        match self.shown_value() {
            Some(value) => write!(out, "{} = {value}: {}", self.path, self.message),
            None => write!(out, "{}{separator}{}", self.path, self.message),
        }
    }
}

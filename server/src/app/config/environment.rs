//! Variables of the environment: `CEREUS__DRAIN__LINGER=5s` is `drain.linger`.

use std::ffi::OsString;

const PREFIX: &str = "CEREUS__";
const SEPARATOR: &str = "__";

/// One variable that sets something.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    /// In lower case; the schema knows how they are spelled.
    pub(super) segments: Vec<String>,
    pub(super) value: OsString,
}

/// The variables that are ours. Whole sections come before keys in them, so that a key wins over its section.
pub(super) fn select(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<Variable> {
    let ours = variables.into_iter().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let segments = name.strip_prefix(PREFIX)?.split(SEPARATOR).map(str::to_lowercase).collect();
        Some(Variable { name, segments, value })
    });
    let mut ours: Vec<_> = ours.collect();
    ours.sort_by_key(|variable| (variable.segments.len(), variable.name.clone()));
    ours
}

/// The variable that sets the value at a path.
pub(super) fn name(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', SEPARATOR).to_uppercase())
}

//! Variables of the environment: `CEREUS__DRAIN__LINGER=5s` is `drain.linger`.

use std::ffi::OsString;

use super::problem::Problem;

const PREFIX: &str = "CEREUS__";
const SEPARATOR: &str = "__";

/// One variable that sets something.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    /// In lower case; the schema knows how they are spelled.
    pub(super) segments: Vec<String>,
    pub(super) value: String,
}

/// The variables that are ours. Whole sections come before keys in them, so that a key wins over its section.
pub(super) fn select(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<Result<Variable, Problem>> {
    let ours = variables.into_iter().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let segments: Vec<String> = name.strip_prefix(PREFIX)?.split(SEPARATOR).map(str::to_lowercase).collect();
        Some(match value.into_string() {
            Ok(value) => Ok(Variable { name, segments, value }),
            Err(_) => Err(Problem::NotText { name }),
        })
    });
    let mut ours: Vec<_> = ours.collect();
    ours.sort_by_key(|variable| match variable {
        Ok(variable) => (variable.segments.len(), variable.name.clone()),
        Err(problem) => (0, problem.to_string()),
    });
    ours
}

/// The variable that sets the value at a path.
pub(super) fn name(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', SEPARATOR).to_uppercase())
}

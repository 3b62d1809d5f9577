//! What a check found, for people and for programs.

use std::fmt;

use serde::Serialize;

use super::input::Source;

/// Everything that was found.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// The ServerTypes, right or wrong.
    pub(super) checked: Vec<Checked>,
    /// What was not looked at.
    pub(super) passed_over: Vec<PassedOver>,
    /// What is wrong.
    pub(super) problems: Vec<Problem>,
}

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Place {
    pub(super) file: String,
    /// Counted from one; none when it is not known.
    pub(super) line: Option<usize>,
}

/// One ServerType.
#[derive(Debug, Serialize)]
pub(super) struct Checked {
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

/// Something that is none.
#[derive(Debug, Serialize)]
pub(super) struct PassedOver {
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) object: String,
}

/// One thing that is wrong.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    #[serde(flatten)]
    pub(super) place: Place,
    /// Empty when it is the whole that is wrong.
    pub(super) path: String,
    /// None when something is missing or unknown.
    pub(super) value: Option<String>,
    /// What would be right.
    pub(super) message: String,
}

impl Report {
    /// In the order of the files, and of lines in them.
    pub(super) fn sort(&mut self, sources: &[Source]) {
        let file = |place: &Place| sources.iter().position(|source| source.name == place.file);
        self.problems.sort_by_key(|problem| (file(&problem.place), problem.place.line));
        self.passed_over.sort_by_key(|passed| (file(&passed.place), passed.place.line));
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(out, "{}:{line}", self.file),
            None => out.write_str(&self.file),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, path, value, message } = self;
        match value {
            _ if path.is_empty() => write!(out, "{place}: {message}"),
            Some(value) => write!(out, "{place}: {path} = {value}: {message}"),
            None => write!(out, "{place}: {path}: {message}"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for PassedOver { place, object } in &self.passed_over {
            writeln!(out, "{place}: passed over: {object}")?;
        }
        for problem in &self.problems {
            writeln!(out, "{problem}")?;
        }
        let count =
            |number: usize, one: &str| if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") };
        writeln!(out, "{}, {}", count(self.checked.len(), "ServerType"), count(self.problems.len(), "problem"))
    }
}

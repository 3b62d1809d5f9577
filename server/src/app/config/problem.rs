//! What may be wrong in a configuration, said so that it can be put right without looking anything up.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{environment, layers::Origin};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// A key that nothing reads.
    Unknown {
        /// Where it stands.
        origin: Option<Origin>,
        /// The key, from the root.
        path: String,
        /// The key that was probably meant, from the root.
        nearest: Option<String>,
        /// The keys that exist in its place.
        known: Vec<String>,
    },
    /// A key that must be there is not.
    Missing {
        /// The key, from the root.
        path: String,
        /// What it is for.
        meaning: Option<String>,
    },
    /// A value that does not fit its key.
    Wrong {
        /// Where it stands; none: it is a default or missing.
        origin: Option<Origin>,
        /// The key, from the root.
        path: String,
        /// The value as it stands there; none when it is secret or missing.
        value: Option<String>,
        /// What is wrong and what is right.
        message: String,
        /// What the key is for.
        meaning: Option<String>,
    },
    /// A variable that is not text.
    NotText {
        /// Its name.
        name: String,
    },
    /// A section of the game has the name of one that is there already.
    Taken {
        /// The name.
        name: String,
    },
    /// A flag that takes `section.key=value` and was given something else.
    NoAssignment {
        /// The flag.
        flag: String,
        /// What it was given.
        text: String,
    },
}

/// One problem, for a program that asked whether a configuration is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The key, from the root; empty when it is the whole that is wrong.
    pub(crate) path: String,
    /// The variable or flag that it stands in; none when it stands in the file, or nowhere.
    pub(crate) origin: Option<String>,
    /// The value as it stands there; none when it is secret or missing.
    pub(crate) value: Option<String>,
    /// What would be right.
    pub(crate) message: String,
}

impl Report {
    /// About the whole of a file.
    pub(crate) fn of_all(message: String) -> Self {
        Self { path: String::new(), origin: None, value: None, message }
    }
}

impl Problem {
    /// The same in parts.
    pub(crate) fn report(&self) -> Report {
        let outside = |origin: &Option<Origin>| match origin {
            Some(Origin::File(_)) | None => None,
            Some(origin) => Some(origin.to_string()),
        };
        match self {
            Self::Unknown { origin, path, nearest, known } => Report {
                path: path.clone(),
                origin: outside(origin),
                value: None,
                message: format!("unknown key{}", Suggestion { origin, nearest, known }),
            },
            Self::Missing { path, meaning } => Report {
                path: path.clone(),
                origin: None,
                value: None,
                message: format!("is not set{}", Meaning(meaning.as_deref())),
            },
            Self::Wrong { origin, path, value, message, meaning } => Report {
                path: path.clone(),
                origin: outside(origin),
                value: value.clone(),
                message: format!("{message}{}", Meaning(meaning.as_deref())),
            },
            Self::NotText { .. } | Self::Taken { .. } | Self::NoAssignment { .. } => Report::of_all(self.to_string()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { origin, path, nearest, known } => {
                if let Some(origin) = origin {
                    write!(out, "{origin}: ")?;
                }
                write!(out, "unknown key {path}{}", Suggestion { origin, nearest, known })
            }
            Self::Missing { path, meaning } => {
                write!(out, "{path} is not set{}", Meaning(meaning.as_deref()))?;
                // An item of a list has no variable of its own.
                if path.contains('[') {
                    Ok(())
                } else {
                    write!(out, "; set it in the file, as {}, or with --set {path}=…", environment::name(path))
                }
            }
            Self::Wrong { origin, path, value, message, meaning } => {
                if let Some(origin) = origin {
                    write!(out, "{origin}: ")?;
                }
                write!(out, "{path}")?;
                if let Some(value) = value {
                    write!(out, " = {value}")?;
                }
                write!(out, ": {message}{}", Meaning(meaning.as_deref()))
            }
            Self::NotText { name } => write!(out, "{name}: the value is not UTF-8 text"),
            Self::Taken { name } => write!(out, "the game's section {name} needs another name: there is one already"),
            Self::NoAssignment { flag, text } => write!(out, "{flag} {text}: write section.key=value"),
        }
    }
}

/// What a key is for, in parentheses.
struct Meaning<'a>(Option<&'a str>);

impl fmt::Display for Meaning<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |meaning| write!(out, " ({meaning})"))
    }
}

/// What may have been meant by a key that nothing reads.
struct Suggestion<'a> {
    origin: &'a Option<Origin>,
    nearest: &'a Option<String>,
    known: &'a [String],
}

impl fmt::Display for Suggestion<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.nearest, self.origin) {
            (Some(nearest), Some(Origin::Environment(_))) => {
                write!(out, "; the nearest is {}", environment::name(nearest))
            }
            (Some(nearest), _) => write!(out, "; the nearest is {nearest}"),
            (None, _) if self.known.is_empty() => Ok(()),
            (None, _) => write!(out, "; there are {}", self.known.join(", ")),
        }
    }
}

/// All problems, one a line.
pub(super) fn list(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

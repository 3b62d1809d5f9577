//! Errors of user code, as the caller and as the log see them.

use std::error::Error as _;

use crate::wire::{BoxError, Error, codes};

/// The error of a hook, which without a code is an internal one.
pub(super) fn of_hook<E: Into<BoxError> + 'static>(error: E) -> Error {
    Error::find(error).unwrap_or_else(|error| Error::new(codes::INTERNAL, error.to_string()).caused_by(error))
}

/// The error and its causes in one line, for the log.
pub(super) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // An error without a code was made from its cause and has its text; another repeats its code.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

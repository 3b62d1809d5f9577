use std::{error::Error as StdError, io};

use anyhow::Context as _;

use super::*;
use crate::handler::failure::{chain, of_hook};

fn full() -> Error {
    Error::new("ROOM-7", "the room is full").with("room", "lobby")
}

#[derive(Debug, thiserror::Error)]
enum JoinError {
    #[error("cannot join")]
    Refused(#[source] Error),
    #[error("cannot join")]
    Deeper(#[source] Box<JoinError>),
    #[error(transparent)]
    Transparent(#[from] Error),
    #[error("cannot join")]
    Anyhow(#[source] anyhow::Error),
    #[error("cannot join")]
    Shared(#[source] Arc<Error>),
    #[error("cannot join")]
    Boxed(#[source] Box<Error>),
    #[error("cannot join")]
    Plain,
}

#[test]
fn an_application_error_keeps_code_message_and_metadata_whatever_wraps_it() {
    let boxed: Box<dyn StdError + Send + Sync> = Box::new(full());
    let wrapped: Vec<(&str, Error)> = vec![
        ("itself", Error::from_any(full())),
        ("a box", Error::from_any(boxed)),
        ("a source", Error::from_any(JoinError::Refused(full()))),
        ("two levels", Error::from_any(JoinError::Deeper(Box::new(JoinError::Refused(full()))))),
        ("a transparent variant", Error::from_any(JoinError::Transparent(full()))),
        ("a shared source", Error::from_any(JoinError::Shared(Arc::new(full())))),
        ("a boxed source", Error::from_any(JoinError::Boxed(Box::new(full())))),
        ("an IO error", Error::from_any(io::Error::other(full()))),
        ("an IO error of an enum", Error::from_any(io::Error::other(JoinError::Refused(full())))),
        ("anyhow", Error::from_any(anyhow::Error::new(full()))),
        ("anyhow with contexts", Error::from_any(anyhow::Error::new(full()).context("inner").context("outer"))),
        ("anyhow as a context", Error::from_any(Err::<(), _>(JoinError::Plain).context(full()).unwrap_err())),
        (
            "anyhow under a context",
            Error::from_any(Err::<(), _>(JoinError::Plain).context(full()).context("outer").unwrap_err()),
        ),
        ("anyhow of an enum", Error::from_any(anyhow::Error::new(JoinError::Refused(full())).context("outer"))),
        ("anyhow of an IO error", Error::from_any(anyhow::Error::new(io::Error::other(full())))),
        ("an enum of anyhow", Error::from_any(JoinError::Anyhow(anyhow::Error::new(full())))),
        ("a hook's", of_hook(JoinError::Refused(full()))),
    ];
    for (name, error) in wrapped {
        assert_eq!(error, full(), "through {name}");
    }
}

#[test]
fn an_error_without_a_code_is_unknown_and_that_of_a_hook_internal() {
    let check = |error: Error, code: &str, message: &str| {
        assert_eq!((error.code(), error.message()), (code, message));
    };
    check(Error::from_any("no such room"), "PIT-000", "no such room");
    check(Error::from_any(String::from("no such room")), "PIT-000", "no such room");
    check(Error::from_any(JoinError::Plain), "PIT-000", "cannot join");
    check(Error::from_any(anyhow::anyhow!("inner").context("outer")), "PIT-000", "outer");
    check(of_hook(JoinError::Plain), "PIT-500", "cannot join");
    check(of_hook("refused"), "PIT-500", "refused");
}

#[test]
fn the_log_gets_every_cause_once() {
    let error = Error::from_any(anyhow::anyhow!("connection refused").context("the store is away"));
    assert_eq!(chain(&error), "PIT-000: the store is away: connection refused");
    let error = Error::from_any(JoinError::Refused(full()));
    assert_eq!(chain(&error), "ROOM-7: the room is full: ROOM-7, room lobby: cannot join");
}

//! How other commands reach a running `cereus dev`: a Unix socket that only its user can open.
//!
//! A client writes one [`Request`] as a line of JSON and reads [`Answer`]s, one a line, until the end. What is asked is done
//! by [`super::game`]; here it is only passed on.

mod ask;
mod place;
mod protocol;
mod serve;

#[cfg(test)]
mod tests;

pub(crate) use self::{
    ask::{Chosen, ask},
    protocol::{Answer, Request},
};
pub(super) use self::{
    place::Place,
    serve::{Desk, serve},
};

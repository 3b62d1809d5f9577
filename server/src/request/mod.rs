//! What user code sees of a message: its [`Context`], the [`App`] it runs in, and [`FromContext`], by which an argument of
//! a handler takes what it needs from the context.
//!
//! It promises that extracting does no IO and never waits, and that what a handler does not ask for costs nothing: the
//! cancellation token is made when it is first asked for. Running handlers is the business of `handler`; an upper module
//! offers itself to user code by an extractor and by its own `impl App` beside its code.

mod app;
mod background;
mod context;
mod extract;
#[cfg(test)]
mod tests;

pub(crate) use self::background::{Afterwards, Background};
pub use self::{
    app::{App, AppBuilder},
    context::{Context, Kind, Metadata},
    extract::{Cancelled, Deadline, FromContext, State},
};

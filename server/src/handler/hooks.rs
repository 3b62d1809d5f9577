use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};

use super::failure;
use crate::{
    request::Context,
    wire::{BoxError, Error},
};

/// An async function that runs before a handler: it may refuse the message by an error, or replace its argument.
///
/// Implemented for `async fn(&mut Context) -> Result<(), E>`. An error without a code of its own is answered as PIT-500.
///
/// ```
/// use cereus::{Context, Error, Service};
///
/// async fn signed_in(context: &mut Context) -> Result<(), Error> {
///     match context.session.as_ref().and_then(|session| session.uid()) {
///         Some(_) => Ok(()),
///         None => Err(Error::new("AUTH-1", "sign in first")),
///     }
/// }
///
/// let room = Service::new().before(signed_in);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a before-hook",
    label = "this is not a before-hook",
    note = "a before-hook is an `async fn(context: &mut cereus::Context) -> Result<(), E>` whose future is `Send`"
)]
pub trait BeforeHook<'a>: Send + Sync {
    /// Look at the message, and at its argument as the hooks before left it.
    fn before(&self, context: &'a mut Context) -> BoxFuture<'a, Result<(), Error>>;
}

impl<'a, Function, Work, E> BeforeHook<'a> for Function
where
    Function: Fn(&'a mut Context) -> Work + Send + Sync,
    Work: Future<Output = Result<(), E>> + Send + 'a,
    E: Into<BoxError> + 'static,
{
    fn before(&self, context: &'a mut Context) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self(context).map(|passed| passed.map_err(failure::of_hook)))
    }
}

/// An async function that runs after a handler, and may replace what came of it: the bytes of the answer or the error.
///
/// Implemented for `async fn(&Context, &mut Result<Bytes, Error>)`. It sees refused messages too, but none whose handler
/// panicked or was dropped.
///
/// ```
/// use bytes::Bytes;
/// use cereus::{Context, Error, Service};
///
/// async fn hide_details(_: &Context, result: &mut Result<Bytes, Error>) {
///     if result.is_err() {
///         *result = Err(Error::new("GAME-1", "that did not work"));
///     }
/// }
///
/// let room = Service::new().after(hide_details);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an after-hook",
    label = "this is not an after-hook",
    note = "an after-hook is an `async fn(context: &cereus::Context, result: &mut Result<Bytes, cereus::Error>)` whose \
            future is `Send`"
)]
pub trait AfterHook<'a>: Send + Sync {
    /// Look at what came of the message, as the hooks before left it.
    fn after(&self, context: &'a Context, result: &'a mut Result<Bytes, Error>) -> BoxFuture<'a, ()>;
}

impl<'a, Function, Work> AfterHook<'a> for Function
where
    Function: Fn(&'a Context, &'a mut Result<Bytes, Error>) -> Work + Send + Sync,
    Work: Future<Output = ()> + Send + 'a,
{
    fn after(&self, context: &'a Context, result: &'a mut Result<Bytes, Error>) -> BoxFuture<'a, ()> {
        Box::pin(self(context, result))
    }
}

type Before = Arc<dyn for<'a> BeforeHook<'a>>;
type After = Arc<dyn for<'a> AfterHook<'a>>;

/// The hooks of a service or of the whole application, in the order they run.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    before: Vec<Before>,
    after: Vec<After>,
}

impl Hooks {
    pub(crate) fn push_before<F>(&mut self, hook: F)
    where
        F: for<'a> BeforeHook<'a> + 'static,
    {
        self.before.push(Arc::new(hook));
    }

    pub(crate) fn push_after<F>(&mut self, hook: F)
    where
        F: for<'a> AfterHook<'a> + 'static,
    {
        self.after.push(Arc::new(hook));
    }

    /// These around those of `inner`: first before the handler, last after it.
    pub(super) fn around(&self, inner: &Self) -> Self {
        Self {
            before: self.before.iter().chain(&inner.before).cloned().collect(),
            after: inner.after.iter().chain(&self.after).cloned().collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }

    pub(super) async fn run_before(&self, context: &mut Context) -> Result<(), Error> {
        for hook in &self.before {
            hook.before(context).await?;
        }
        Ok(())
    }

    pub(super) async fn run_after(&self, context: &Context, result: &mut Result<Bytes, Error>) {
        for hook in &self.after {
            hook.after(context, result).await;
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hooks").field("before", &self.before.len()).field("after", &self.after.len()).finish()
    }
}

use std::{any::type_name, ops::Deref, sync::Arc, time::Duration};

use bytes::Bytes;
use schemars::Schema;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{App, Context};
use crate::{
    session::{CloseReason, Session},
    wire::{Error, codes},
};

/// What an argument of a handler must be able to do: take its value from the message.
///
/// Extracting is synchronous, does no IO and happens in the order of the arguments. A game may implement it for types of
/// its own:
///
/// ```
/// use cereus::{Context, Error, FromContext};
///
/// /// The room that the player is in.
/// struct Room(String);
///
/// impl FromContext for Room {
///     fn from_context(context: &mut Context) -> Result<Self, Error> {
///         let session = context.session.as_ref().ok_or_else(|| Error::new("ROOM-1", "not a client"))?;
///         let room = session.get("room")?.ok_or_else(|| Error::new("ROOM-2", "you are in no room"))?;
///         Ok(Self(room))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a handler",
    label = "this is not an extractor",
    note = "arguments are of types that implement `cereus::FromContext`: `Json<T>`, `Proto<T>`, `Payload<T>`, \
            `Encoded<T>`, `Bytes`, `Session`, `Option<Session>`, `State<T>`, `App`, `Context`, `Deadline`, `Cancelled`, `CloseReason`",
    note = "to decode a payload of type `{Self}`, take `Json<{Self}>`"
)]
pub trait FromContext: Sized + Send {
    /// Take the value from the message.
    ///
    /// # Errors
    /// The message cannot give such a value. The error is the answer that the caller gets.
    fn from_context(context: &mut Context) -> Result<Self, Error>;

    /// The JSON Schema of the argument that a caller has to send, if this reads it.
    fn argument_schema() -> Option<Schema> {
        None
    }
}

/// All arguments of a handler, in their order.
macro_rules! implement_tuple {
    ($($argument:ident),*) => {
        impl<$($argument: FromContext),*> FromContext for ($($argument,)*) {
            #[allow(clippy::unused_unit, unused_variables, reason = "the tuple without arguments needs no context")]
            fn from_context(context: &mut Context) -> Result<Self, Error> {
                Ok(($($argument::from_context(context)?,)*))
            }

            fn argument_schema() -> Option<Schema> {
                None$(.or_else($argument::argument_schema))*
            }
        }
    };
}

implement_tuple!();
implement_tuple!(A1);
implement_tuple!(A1, A2);
implement_tuple!(A1, A2, A3);
implement_tuple!(A1, A2, A3, A4);
implement_tuple!(A1, A2, A3, A4, A5);
implement_tuple!(A1, A2, A3, A4, A5, A6);
implement_tuple!(A1, A2, A3, A4, A5, A6, A7);
implement_tuple!(A1, A2, A3, A4, A5, A6, A7, A8);

impl FromContext for Context {
    fn from_context(context: &mut Context) -> Result<Self, Error> {
        Ok(context.clone())
    }
}

impl FromContext for App {
    fn from_context(context: &mut Context) -> Result<Self, Error> {
        Ok(context.app.clone())
    }
}

impl FromContext for Bytes {
    fn from_context(context: &mut Context) -> Result<Self, Error> {
        Ok(context.body().clone())
    }
}

impl FromContext for Session {
    fn from_context(context: &mut Context) -> Result<Self, Error> {
        let missing = || Error::new(codes::INTERNAL, "the handler needs a session, and a call from a server has none");
        context.session.clone().ok_or_else(missing)
    }
}

impl FromContext for Option<Session> {
    fn from_context(context: &mut Context) -> Result<Self, Error> {
        Ok(context.session.clone())
    }
}

impl FromContext for CloseReason {
    fn from_context(context: &mut Context) -> Result<Self, Error> {
        context.close_reason().ok_or_else(|| Error::new(codes::INTERNAL, "the session has not been closed"))
    }
}

/// A value that handlers share: it was given to the application before it started.
#[derive(Debug)]
pub struct State<T>(pub Arc<T>);

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Send + Sync + 'static> FromContext for State<T> {
    fn from_context(context: &mut Context) -> Result<Self, Error> {
        let missing = || Error::new(codes::INTERNAL, format!("no state of type `{}` was registered", type_name::<T>()));
        context.app.get().map(Self).ok_or_else(missing)
    }
}

/// When the caller stops waiting for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(pub Instant);

impl Deadline {
    /// How much time is left; zero when it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

impl FromContext for Deadline {
    fn from_context(context: &mut Context) -> Result<Self, Error> {
        Ok(Self(context.deadline))
    }
}

/// Fires at the deadline, so that a handler can clean up before it is dropped: `cancelled.0.cancelled().await`.
#[derive(Debug, Clone)]
pub struct Cancelled(pub CancellationToken);

impl FromContext for Cancelled {
    fn from_context(context: &mut Context) -> Result<Self, Error> {
        Ok(Self(context.cancellation().clone()))
    }
}

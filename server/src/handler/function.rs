use std::any::type_name;

use super::marks::Marks;

/// An async function of up to eight arguments that runs when a message for its route comes in.
///
/// Every argument implements [`FromContext`](crate::request::FromContext), the result implements
/// [`IntoReply`](super::IntoReply), and the future is `Send`:
///
/// ```
/// use cereus::{Error, Json, Service};
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Hello { name: String }
///
/// #[derive(serde::Serialize, schemars::JsonSchema)]
/// struct Greeting { text: String }
///
/// async fn hello(Json(hello): Json<Hello>) -> Result<Json<Greeting>, Error> {
///     if hello.name.is_empty() {
///         return Err(Error::new("ROOM-1", "who are you?"));
///     }
///     Ok(Json(Greeting { text: format!("hello {}", hello.name) }))
/// }
///
/// let room = Service::new().request("hello", hello);
/// ```
///
/// A function with another signature does not compile, and the message names the argument or the result that does not fit.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be registered as a handler",
    label = "this is not a handler",
    note = "a handler is an `async fn` of up to 8 arguments; every argument implements `cereus::FromContext` (such as \
            `Json<T>`, `Session`, `State<T>` or `Context`) and the result implements `cereus::IntoReply` (such as \
            `Json<T>`, `Bytes`, `()`, or a `Result` of one of these)"
)]
pub trait Handler<Arguments>: Send + Sync + 'static {
    /// The work on one message.
    type Future: Future;

    /// Begin the work.
    fn begin(&self, arguments: Arguments) -> Self::Future;

    /// What the handler was marked with when it was registered.
    fn marks(&self) -> Marks {
        Marks::default()
    }

    /// Where the function stands in the source, for messages about wrong registrations.
    fn path(&self) -> &'static str {
        type_name::<Self>()
    }
}

// That arguments are extractors and the result is a reply is asked for where a handler is registered, not here: then the
// compiler finds the one implementation with the right number of arguments, and names the argument that does not fit.
macro_rules! implement_handler {
    ($($argument:ident),*) => {
        impl<Function, Work, $($argument,)*> Handler<($($argument,)*)> for Function
        where
            Function: Fn($($argument),*) -> Work + Send + Sync + 'static,
            Work: Future,
        {
            type Future = Work;

            #[allow(non_snake_case, reason = "an argument is named as its type, the macro has no other name for it")]
            fn begin(&self, ($($argument,)*): ($($argument,)*)) -> Work {
                self($($argument),*)
            }
        }
    };
}

implement_handler!();
implement_handler!(A1);
implement_handler!(A1, A2);
implement_handler!(A1, A2, A3);
implement_handler!(A1, A2, A3, A4);
implement_handler!(A1, A2, A3, A4, A5);
implement_handler!(A1, A2, A3, A4, A5, A6);
implement_handler!(A1, A2, A3, A4, A5, A6, A7);
implement_handler!(A1, A2, A3, A4, A5, A6, A7, A8);

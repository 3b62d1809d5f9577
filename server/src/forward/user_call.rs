//! User RPC: game code on one server calls a remote handler of another.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::answer::result_of;
use crate::handler::IntoReply;
use crate::request::{App, Context, FromContext, Kind};
use crate::router::Router;
use crate::rpc::{Link, Outcome, Waiter, proto};
use crate::wire::{Error, Route, Text, codes};

/// What user calls need of the worker they are made on; [`App`] finds it among its extensions.
#[derive(Debug)]
pub(crate) struct UserCalls {
    router: Arc<Router>,
    request_timeout: Duration,
}

impl UserCalls {
    /// Calls over the links of `router`'s worker, each for `request_timeout` at most.
    pub(crate) fn new(router: Arc<Router>, request_timeout: Duration) -> Self {
        Self { router, request_timeout }
    }
}

/// One call on its way.
struct Call<'a> {
    route: &'a str,
    deadline: Instant,
}

impl App {
    /// Calls the remote handler that `route` (`type.service.method`) names, on a server of that type chosen by its
    /// routing policy, and waits for its answer: no longer than the request that is being handled may take.
    ///
    /// ```no_run
    /// # async fn example(app: cereus::App) -> Result<(), cereus::Error> {
    /// use cereus::Json;
    /// let Json(profile): Json<serde_json::Value> = app.rpc("profile.profile.load", Json("ada")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// PIT-400 for a route that is not of three parts, PIT-000 for the server's own type, PIT-404 `route not found`,
    /// PIT-408 when no answer came in time (metadata `route`, `server`), PIT-500 when there is no server of that type, or
    /// when the reply is no `R`, PIT-502 when the link was lost after sending, PIT-503 when nobody took it, and whatever the
    /// handler answers.
    ///
    /// Cancel safety: dropping the future tells the other server that the answer is not wanted; the handler may have run.
    pub async fn rpc<A: IntoReply, R: FromContext>(&self, route: &str, argument: A) -> Result<R, Error> {
        let parsed = Route::parse(route).map_err(|error| Error::new(codes::BAD_REQUEST, error.to_string()))?;
        let Some(server_type) = parsed.server_type else {
            let text = format!("`{route}` names no server type: a remote call needs `type.service.method`");
            return Err(Error::new(codes::BAD_REQUEST, text));
        };
        if server_type == &**self.server_type() {
            return Err(Error::new(
                codes::UNKNOWN,
                "you are making a rpc that may be processed locally, either specify a different server type or specify \
                 a server id",
            ));
        }
        let calls = self.user_calls()?;
        let server_type = calls.router.server_type(server_type)?;
        let call = self.prepare(&calls, route);
        let body = self.argument(argument)?;
        let mut tried_before: Option<Arc<Link>> = None;
        loop {
            let link = calls.router.choose_any(&server_type, route, &body)?;
            match call.send(&link, body.clone()).await {
                // Certainly not executed: another server may take it, once.
                Err(Undone::NotExecuted) if tried_before.is_none() && call.deadline > Instant::now() => {
                    tried_before = Some(link);
                }
                result => return self.reply(result, &call, &link),
            }
        }
    }

    /// Calls the remote handler that `route` names on the server with the id `server`, which may be of any type.
    ///
    /// # Errors
    /// As [`App::rpc`]; PIT-500 when no such server is known.
    pub async fn rpc_to<A: IntoReply, R: FromContext>(
        &self,
        server: &str,
        route: &str,
        argument: A,
    ) -> Result<R, Error> {
        Route::parse(route).map_err(|error| Error::new(codes::BAD_REQUEST, error.to_string()))?;
        let calls = self.user_calls()?;
        let call = self.prepare(&calls, route);
        let body = self.argument(argument)?;
        let link = calls.router.link_to(server)?;
        let result = call.send(&link, body).await;
        self.reply(result, &call, &link)
    }

    fn user_calls(&self) -> Result<Arc<UserCalls>, Error> {
        self.get::<UserCalls>().ok_or_else(|| {
            Error::new(codes::INTERNAL, "this handle makes no remote calls: use the one that a handler gets")
        })
    }

    fn prepare<'a>(&self, calls: &UserCalls, route: &'a str) -> Call<'a> {
        let latest = Instant::now() + calls.request_timeout;
        Call { route, deadline: self.deadline().map_or(latest, |deadline| deadline.min(latest)) }
    }

    fn argument<A: IntoReply>(&self, argument: A) -> Result<Bytes, Error> {
        Ok(argument.into_reply(self.serializer())?.unwrap_or_default())
    }

    fn reply<R: FromContext>(&self, result: Result<Bytes, Undone>, call: &Call<'_>, link: &Link) -> Result<R, Error> {
        let body = result.map_err(|undone| undone.into_error(call, link))?;
        // A reply is decoded as an argument is: by the type that the caller asks for.
        let mut context = Context::new(self, Kind::Remote, Text::copied(call.route), 0, call.deadline).with_body(body);
        R::from_context(&mut context).map_err(|error| {
            // It may be passed on to the client, who is not to blame.
            let text = format!("the reply of `{}` was not understood", call.route);
            call.name(Error::new(codes::INTERNAL, text).caused_by(error), link)
        })
    }
}

/// Why a call has no result.
enum Undone {
    Answered(Error),
    NotExecuted,
    Lost,
    TimedOut,
}

impl Undone {
    fn into_error(self, call: &Call<'_>, link: &Link) -> Error {
        let error = match self {
            Self::Answered(error) => return error,
            Self::NotExecuted => {
                Error::new(codes::NOT_EXECUTED, "the server did not take the call; it was not executed")
            }
            Self::Lost => {
                Error::new(codes::LINK_LOST, "the link was lost after the call was sent: its outcome is unknown")
            }
            Self::TimedOut => Error::new(codes::RPC_TIMEOUT, "the call was not answered in time"),
        };
        call.name(error, link)
    }
}

impl Call<'_> {
    /// Adds to an error what was called.
    fn name(&self, error: Error, link: &Link) -> Error {
        error.with("route", self.route).with("server", &**link.server())
    }

    async fn send(&self, link: &Arc<Link>, body: Bytes) -> Result<Bytes, Undone> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let request = proto::Request {
            kind: proto::RequestKind::User.into(),
            route: Bytes::copy_from_slice(self.route.as_bytes()),
            body,
            timeout_micros: u64::try_from(left.as_micros()).unwrap_or(u64::MAX),
            ..Default::default()
        };
        let (waiter, outcome) = Waiter::new();
        let id = link.call(request, waiter, 0).map_err(|_| Undone::NotExecuted)?;
        let unwanted = Unwanted { link, id: Some(id) };
        let outcome = tokio::time::timeout_at(self.deadline, outcome).await.map_err(|_| Undone::TimedOut)?;
        unwanted.forget();
        match outcome {
            Ok(Outcome::Answered(answer)) => result_of(answer).map_err(|error| {
                // The timer of a unary call may come before the one above.
                let is_late = error.code() == codes::DEADLINE && Instant::now() >= self.deadline;
                if is_late { Undone::TimedOut } else { Undone::Answered(error) }
            }),
            Ok(Outcome::NotExecuted(_)) => Err(Undone::NotExecuted),
            Ok(Outcome::Lost) | Err(_) => Err(Undone::Lost),
        }
    }
}

/// Tells the peer, when dropped, that nobody waits for the answer any more.
struct Unwanted<'a> {
    link: &'a Arc<Link>,
    id: Option<u64>,
}

impl Unwanted<'_> {
    fn forget(mut self) {
        self.id = None;
    }
}

impl Drop for Unwanted<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.link.cancel(id);
        }
    }
}

//! The service `trial`: handlers that behave well and badly, for tests of what a server promises.
//!
//! Bodies are texts, whatever the serializer: the handlers take and give bytes.

/// Request. Body `MILLISECONDS [REST]`: sleeps so long, then gives the body back.
pub const SLEEP: &str = "trial.sleep";
/// [`SLEEP`], registered `concurrent`.
pub const SLEEP_CONCURRENT: &str = "trial.sleepconcurrent";
/// [`SLEEP`], after pinning the session to the server.
pub const PIN: &str = "trial.pin";
/// Request. Body `COUNT`: pushes the numbers from 0 on [`PUSHED`], one each, then answers `done`.
pub const PUSH: &str = "trial.push";
/// Notify. Body `COUNT`: as [`PUSH`], without the answer.
pub const PUSH_NOTIFY: &str = "trial.pushnotify";
/// Request. Body `COUNT`: waits, answers `done`, then pushes as [`PUSH`].
pub const PUSH_AFTER: &str = "trial.pushafter";
/// The route of pushes of [`PUSH`].
pub const PUSHED: &str = "trial.pushed";
/// Request. Body `KEY=TEXT`: sets that value in the session, saves it, answers `ok`.
pub const SET: &str = "trial.set";
/// Request. Body `KEY`: the text that the session has there, or nothing.
pub const GET: &str = "trial.get";
/// Request: the name (`--type`) and the server id of the server that runs it, as `TYPE ID`. Body nothing, or `MILLISECONDS`:
/// sleeps so long before.
pub const SERVER: &str = "trial.server";
/// Request. Body `BYTES`: an answer of that size, one letter again and again.
pub const LARGE: &str = "trial.large";
/// As [`LARGE`], of bytes that compression makes no shorter.
pub const NOISE: &str = "trial.noise";
/// Request. Body `BYTES`: takes so much memory and keeps it for good, then answers `done`.
pub const KEEP: &str = "trial.keep";
/// Request: panics.
pub const PANIC: &str = "trial.panic";
/// Request. Body `MILLISECONDS`: computes so long without letting others run, then answers `done`.
pub const COMPUTE: &str = "trial.compute";
/// Request: never answers.
pub const NEVER: &str = "trial.never";

/// The whole route of one of these on servers of `server_type`.
pub fn route(server_type: &str, method: &str) -> String {
    format!("{server_type}.{method}")
}

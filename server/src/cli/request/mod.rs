//! `cereus request`: send one message and print what comes back.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the command line prints its result")]

#[cfg(test)]
mod tests;

use std::{
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Args;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{
    bench::time,
    client::{Connection, Endpoint, Options, Transport, decode_error},
};
use crate::wire::{
    Error, MAX_BODY, Message, MessageKind, Outbound, PacketKind, Serializer, decode_message, encode_notify,
    encode_request,
};

/// The id of the one request.
const ID: u64 = 1;
/// A server answers within its own request timeout, 10 s unless configured: the client waits a little longer.
const ANSWERING: Duration = Duration::from_secs(12);
/// How long pushes are waited for after a message that has no answer.
const LISTENING: Duration = Duration::from_secs(1);

/// Arguments of `cereus request`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RequestArguments {
    /// The frontend's listener: `HOST:PORT`, or `ws://HOST:PORT` for WebSocket.
    #[arg(value_name = "ADDR")]
    address: String,
    /// What is requested: `type.service.method`.
    route: String,
    /// The message's body, sent as it is written here.
    #[arg(default_value = "")]
    body: String,
    /// Speak WebSocket instead of plain TCP.
    #[arg(long)]
    ws: bool,
    /// How long to wait for the answer; with --notify, for pushes. [default: 12s, 1s with --notify]
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout: Option<Duration>,
    /// Send a message that has no answer, then print the pushes that come until the timeout.
    #[arg(long)]
    notify: bool,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Route and body of each push, in the order of their arrival.
    pub(super) pushes: Vec<(String, Bytes)>,
    /// Nothing for a notify.
    pub(super) answer: Option<Result<Bytes, Error>>,
}

/// Send the message and print what comes back: pushes and the answer on the standard output, an error answer on the
/// standard error with a failure as exit code.
///
/// A server that writes bodies by `own`, a serializer of the game's, gets and gives what is JSON here.
pub(crate) fn run(arguments: &RequestArguments, own: Option<&Serializer>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(exchange(arguments, own))?;
    let mut output = std::io::stdout().lock();
    let pretty = output.is_terminal();
    for (route, body) in &outcome.pushes {
        write!(output, "push {route} ")?;
        write_body(&mut output, body, pretty)?;
    }
    match outcome.answer {
        None => Ok(ExitCode::SUCCESS),
        Some(Ok(body)) => {
            if let Some(server) = server(&body).filter(|_| pretty) {
                writeln!(output, "answered by {server}")?;
            }
            write_body(&mut output, &body, pretty)?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Err(error)) => {
            output.flush()?;
            eprintln!("{}: {}", error.code(), error.message());
            for (key, value) in error.metadata() {
                eprintln!("  {key}: {value}");
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Connect, send, and wait.
pub(super) async fn exchange(arguments: &RequestArguments, own: Option<&Serializer>) -> anyhow::Result<Outcome> {
    let timeout = arguments.timeout.unwrap_or(if arguments.notify { LISTENING } else { ANSWERING });
    let deadline = Instant::now() + timeout;
    let transport = if arguments.ws { Transport::WebSocket } else { Transport::Tcp };
    let endpoint = Endpoint::resolve(&arguments.address, transport).await?;
    let options = Options { timeout, ..Options::default() };
    let (mut connection, answer) = Connection::open(&endpoint, &options).await?;
    let style = Outbound::default();
    let own = own.filter(|own| own.name() == &*answer.serializer);
    let (route, body) = (&*arguments.route, to_send(&arguments.body, own)?);
    if arguments.notify {
        encode_notify(route, &body, &answer.dictionary, style, connection.outgoing())?;
    } else {
        encode_request(ID, route, &body, &answer.dictionary, style, connection.outgoing())?;
    }
    connection.flush().await.context("the message could not be sent")?;

    let mut outcome = Outcome { pushes: Vec::new(), answer: None };
    loop {
        let Ok(packet) = timeout_at(deadline, connection.next()).await else {
            if arguments.notify {
                return Ok(outcome);
            }
            bail!("no answer from {} within {timeout:?}", endpoint.name());
        };
        let body = match packet? {
            Some((PacketKind::Data, body)) => body,
            Some((PacketKind::Kick, reason)) => {
                bail!("the server kicked the client: {}", String::from_utf8_lossy(&reason))
            }
            Some((kind, _)) => bail!("the server sent a packet of kind {kind:?} after the handshake"),
            None => bail!("the server closed the connection without an answer"),
        };
        let Message { kind, id, route, body, error } = decode_message(body, &answer.dictionary, MAX_BODY)?;
        match kind {
            MessageKind::Push => outcome.pushes.push((route.to_string(), to_show(body, own))),
            MessageKind::Response if id == ID => {
                let result = if error {
                    let own = own.and_then(|own| own.decode_error(&body).ok());
                    Err(own.unwrap_or_else(|| decode_error(&body, &answer.serializer)))
                } else {
                    Ok(to_show(body, own))
                };
                outcome.answer = Some(result);
                return Ok(outcome);
            }
            _ => {}
        }
    }
}

/// The body as the server reads it: as it was typed, unless that is JSON for the game's own serializer.
fn to_send(typed: &str, own: Option<&Serializer>) -> anyhow::Result<Bytes> {
    match own.filter(|_| !typed.is_empty()) {
        Some(own) => {
            let value: Value = serde_json::from_str(typed)
                .with_context(|| format!("the body must be JSON: the server reads {}, made of that", own.name()))?;
            Ok(own.encode(&value)?)
        }
        None => Ok(Bytes::copy_from_slice(typed.as_bytes())),
    }
}

/// The body as a person reads it. What the serializer cannot read is shown as it came.
fn to_show(body: Bytes, own: Option<&Serializer>) -> Bytes {
    let value = own.and_then(|own| own.decode::<Value>(&body).ok());
    value.map_or(body, |value| Bytes::from(value.to_string()))
}

/// The server that answered, if the answer tells: a text `server` in a JSON object.
pub(super) fn server(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    Some(value.get("server")?.as_str()?.to_owned())
}

/// `body` and a line's end: JSON with line breaks when people read it, all else as it came.
pub(super) fn write_body(output: &mut impl std::io::Write, body: &[u8], pretty: bool) -> anyhow::Result<()> {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) if pretty => serde_json::to_writer_pretty(&mut *output, &value)?,
        _ => output.write_all(body)?,
    }
    output.write_all(b"\n")?;
    Ok(())
}

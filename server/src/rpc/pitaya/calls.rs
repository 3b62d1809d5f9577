//! One connection of a link to a server that takes unary calls.

use std::future::{pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{AbortHandle, Abortable, BoxFuture};
use futures_util::stream::FuturesUnordered;
use rustc_hash::FxHashMap;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::channels::{Client, client_on, endpoint};
use super::outgoing;
use crate::rpc::config::{CLOSE_TIMEOUT, CONNECT_TIMEOUT};
use crate::rpc::connector::{BoxedConnector, BoxedIo, connected, dial};
use crate::rpc::link::Common;
use crate::rpc::proto::{self, frame::Kind};
use crate::rpc::{Error, Families, Identity, Link};
use crate::topology::Server;
use crate::wire::{self, codes};

/// So many calls are made at a time on one link. The others wait in its queue, where it is known that they were not
/// executed when the connection is lost.
const AT_ONCE: usize = 1024;

/// A link to `server`, not yet connected. Nobody introduces himself there: it is who the topology says it is.
pub(in crate::rpc) fn link(server: &Server, common: Arc<Common>) -> Arc<Link> {
    let peer = Identity {
        server_id: server.id.clone(),
        incarnation: 0,
        server_type: server.server_type.clone(),
        serializer: common.identity.serializer.clone(),
    };
    Link::unary(peer, server.address, common)
}

/// One connection; returns why it ended. Calls that were begun and not answered are then lost, those in the queue not.
pub(in crate::rpc) async fn attempt(
    link: &Arc<Link>,
    connector: BoxedConnector,
    families: &Families,
    up: &mut bool,
) -> Error {
    let ended = CancellationToken::new();
    let connected = tokio::select! {
        biased;
        () = link.stopped().cancelled() => return Error::Ended,
        connected = connect(link, connector, ended.clone().drop_guard()) => connected,
    };
    let client = match connected {
        Ok(client) => client,
        Err(error) => return error,
    };
    let Some(peer) = link.peer() else { return Error::Ended };
    let epoch = link.outbound().lock().begin_calls();
    link.open((*peer).clone(), 1);
    *up = true;
    families.links.up(link);
    let mut calling = pin!(call_all(link, &client, epoch, &ended));
    let closing = async {
        link.stopped().cancelled().await;
        sleep(CLOSE_TIMEOUT).await;
    };
    tokio::select! {
        biased;
        () = &mut calling => {}
        () = ended.cancelled() => {}
        () = closing => {}
    }
    Error::Ended
}

/// Makes a call of each request in the queue; ends when the link takes no more and all are answered.
async fn call_all(link: &Arc<Link>, client: &Client, epoch: u64, ended: &CancellationToken) {
    let mut calls: FuturesUnordered<BoxFuture<'static, proto::Response>> = FuturesUnordered::new();
    let mut running: FxHashMap<u64, AbortHandle> = FxHashMap::default();
    let mut finished = false;
    while !finished || !calls.is_empty() {
        // An answer may be the news of a lost connection: what follows it in the queue is not given to that any more.
        let waits = finished || calls.len() >= AT_ONCE || ended.is_cancelled();
        let next = async {
            if waits {
                pending::<()>().await;
            }
            poll_fn(|context| link.outbound().lock().poll(epoch, context)).await
        };
        let next = pin!(next);
        tokio::select! {
            biased;
            Some(response) = calls.next() => {
                running.remove(&response.id);
                link.answer(response);
            }
            turn = next => match turn {
                Some(()) => match take(link, epoch) {
                    Some(Kind::Request(request)) => {
                        let (handle, registration) = AbortHandle::new_pair();
                        running.insert(request.id, handle);
                        let id = request.id;
                        let call = Abortable::new(call(link.clone(), client.clone(), request), registration);
                        calls.push(Box::pin(async move { call.await.unwrap_or_else(|_| cancelled(id)) }));
                    }
                    Some(Kind::Cancel(cancel)) => {
                        if let Some(call) = running.get(&cancel.id) {
                            call.abort();
                        }
                    }
                    // Such a peer has no word for anything else.
                    _ => {}
                },
                None => finished = true,
            },
        }
    }
}

/// The next frame of the queue.
fn take(link: &Link, epoch: u64) -> Option<Kind> {
    let (frame, unblocked) = link.outbound().lock().take(epoch, link.common().config.outbound)?;
    if unblocked {
        link.unblock();
    }
    Some(frame)
}

/// One call, given up when the time of its request is over.
async fn call(link: Arc<Link>, mut client: Client, request: proto::Request) -> proto::Response {
    let time = Duration::from_micros(request.timeout_micros);
    let mut message = tonic::Request::new(outgoing::request(&request, time, &link.common().identity));
    message.set_timeout(time);
    let Ok(answer) = timeout(time, client.call(message)).await else {
        let error = wire::Error::new(codes::DEADLINE, "the deadline passed before an answer");
        return proto::Response::error(request.id, &error);
    };
    proto::Response { id: request.id, outcome: outgoing::outcome(answer.map(tonic::Response::into_inner)) }
}

/// The end of a call that its caller wants no more.
fn cancelled(id: u64) -> proto::Response {
    proto::Response::error(id, &wire::Error::new(codes::CLIENT_CLOSED, "the call was given up by its caller"))
}

/// A connection; `end` is dropped with it.
async fn connect(link: &Arc<Link>, connector: BoxedConnector, end: DropGuard) -> Result<Client, Error> {
    let address = link.address().ok_or(Error::Ended)?;
    let channel = async {
        let io = dial(connector, address, link.common().certificates.as_deref(), link.promised_type()).await?;
        // The link makes the next connection, with its own pauses.
        let once = connected(Watched { io, _end: end });
        endpoint(address)?.connect_with_connector(once).await.map_err(Error::Connect)
    };
    Ok(client_on(timeout(CONNECT_TIMEOUT, channel).await.map_err(|_| Error::Timeout)??))
}

/// A connection whose end somebody watches.
struct Watched {
    io: BoxedIo,
    _end: DropGuard,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

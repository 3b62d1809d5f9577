//! What a link receives, handed to those it is for.

use std::{pin::pin, sync::Arc};

use futures_util::future::{Either, select};
use tokio::{
    task::yield_now,
    time::{Instant, sleep},
};
use tonic::Streaming;

use super::{
    Error, Families, Link,
    config::CLOSE_TIMEOUT,
    proto::{self, frame::Kind},
};

/// After so many frames the worker's other tasks have their turn, of which some write what the frames brought for clients:
/// less than a client's queue holds.
const FRAMES: usize = 192;

/// Hands over the frames of one batch, in their order. Never waits.
pub(super) fn deliver(link: &Arc<Link>, families: &Families, batch: Vec<proto::Frame>) {
    link.common().counts.received(batch.len());
    // All frames of a batch came in at once: one reading of the clock is enough, and responses need none.
    let mut now = None;
    for frame in batch {
        let Some(kind) = frame.kind else { continue };
        match (kind, link.is_opened()) {
            (Kind::Response(response), _) => link.answer(response),
            (Kind::Request(request), false) => {
                families.requests.request(link, request, *now.get_or_insert_with(Instant::now));
            }
            (Kind::Cancel(cancel), false) => families.requests.cancel(link, cancel.id),
            (Kind::Closed(closed), false) => families.requests.closed(link, closed),
            (Kind::Push(push), true) => families.sessions.push(link, push),
            (Kind::Kick(kick), true) => families.sessions.kick(link, kick),
            (Kind::Bind(bind), true) => families.sessions.bind(link, bind),
            (Kind::SessionSave(save), true) => families.sessions.save(link, save),
            (Kind::Pin(pin), true) => families.sessions.pin(link, pin),
            (Kind::Unpin(unpin), true) => families.sessions.unpin(link, unpin),
            (Kind::Subscribe(subscribe), true) => families.channels.subscribe(link, subscribe),
            (Kind::Unsubscribe(unsubscribe), true) => families.channels.unsubscribe(link, unsubscribe),
            (Kind::Interest(interest), true) => families.channels.interest(link, interest),
            (Kind::Publish(publish), _) => families.channels.publish(link, publish),
            (Kind::Members(members), _) => families.channels.members(link, members),
            (Kind::Draining(_), _) => peer_drains(link, families),
            (Kind::Drained(_), _) => {
                // The work before it begins first: who waits for the end of a drain, on another thread, counts it then.
                families.requests.batch_done(link);
                link.set_drained();
                families.links.drained(link);
            }
            // A second greeting, or a frame that makes no sense in this direction.
            _ => {}
        }
    }
    families.requests.batch_done(link);
}

/// The peer is going away: what is queued already still goes there, then it is told that this was all.
pub(super) fn peer_drains(link: &Arc<Link>, families: &Families) {
    link.drain();
    families.links.draining(link);
    link.send(proto::Drained {}.into());
}

/// Reads until the stream ends; once the link is stopped, at most `CLOSE_TIMEOUT` longer.
pub(super) async fn read(link: &Arc<Link>, stream: &mut Streaming<proto::Batch>, families: &Families) -> Error {
    let closing = async {
        link.stopped().cancelled().await;
        sleep(CLOSE_TIMEOUT).await;
    };
    let reading = async {
        let mut since_turn = 0;
        loop {
            match stream.message().await {
                Ok(Some(batch)) => {
                    since_turn += batch.frames.len();
                    deliver(link, families, batch.frames);
                    if since_turn >= FRAMES {
                        since_turn = 0;
                        yield_now().await;
                    }
                }
                Ok(None) => return Error::Ended,
                Err(status) => return status.into(),
            }
        }
    };
    match select(pin!(reading), pin!(closing)).await {
        Either::Left((error, _)) => error,
        Either::Right(((), _)) => Error::Ended,
    }
}

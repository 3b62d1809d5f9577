//! What links bring about channels, and what sessions of this server ask for.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;

use super::channels::{Channels, gone};
use super::outlet::Outlet;
use super::publish::Listed;
use crate::rpc::{self, Link, proto};
use crate::session::{BoxFuture, Entry, Pool, SessionId, Subscription, Subscriptions};
use crate::wire::{Error, SharedPush, Text, codes};

/// The frames about channels, on the links of all workers.
pub(crate) struct Frames {
    channels: Arc<Channels>,
    pool: Arc<Pool>,
}

impl Frames {
    /// For the sessions in `pool`.
    pub(crate) fn new(channels: Arc<Channels>, pool: Arc<Pool>) -> Self {
        Self { channels, pool }
    }

    fn outlet(&self, link: &Link) -> Option<&Outlet> {
        self.channels.workers.get(link.worker())?.outlet.get()
    }

    fn join(&self, subscribe: &proto::Subscribe) -> Result<u64, Error> {
        let channel = text(&subscribe.channel, "the name of a channel")?;
        let session = SessionId::try_from(subscribe.session).map_err(|_| gone())?;
        let entry = self.pool.get(session).ok_or_else(gone)?;
        // Copies: what is kept must not keep the frame alive that it came in.
        let mut subscription = Subscription::new().info(Bytes::copy_from_slice(&subscribe.info));
        if let Some(proto::Farewell { route, body }) = &subscribe.farewell {
            subscription = subscription.farewell(text(route, "a route")?, Bytes::copy_from_slice(body));
        }
        self.channels.join(&entry, &Text::copied(channel), subscription)
    }

    fn deliver(&self, publish: proto::Publish) -> Result<(), Error> {
        let channel = text(&publish.channel, "the name of a channel")?;
        let route = Text::try_from(publish.route)
            .map_err(|error| Error::new(codes::BAD_REQUEST, "a route is UTF-8").caused_by(error))?;
        self.channels.counts.received.fetch_add(1, Relaxed);
        let except = SessionId::try_from(publish.except).ok();
        self.channels.deliver(channel, SharedPush::new(route, publish.body), except);
        Ok(())
    }
}

fn text<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str, Error> {
    str::from_utf8(bytes).map_err(|error| Error::new(codes::BAD_REQUEST, format!("{what} is UTF-8")).caused_by(error))
}

impl rpc::Channels for Frames {
    fn up(&self, link: &Arc<Link>) {
        if link.lacks_channels() {
            return;
        }
        if link.is_opened() {
            if let Some(outlet) = self.outlet(link) {
                outlet.up(link);
            }
        } else {
            self.channels.callers.up(link);
            let mut interest = self.channels.interest.lock();
            interest.up(self.channels.publisher(link));
            self.channels.tell(&interest);
        }
    }

    fn down(&self, link: &Arc<Link>) {
        if link.is_opened() {
            if let Some(outlet) = self.outlet(link) {
                outlet.down(link);
            }
        } else {
            self.channels.callers.down(link);
            for outlet in self.channels.workers.iter().filter_map(|worker| worker.outlet.get()) {
                outlet.lose(link);
            }
            let mut interest = self.channels.interest.lock();
            interest.down(&self.channels.publisher(link));
            self.channels.tell(&interest);
        }
    }

    fn subscribe(&self, link: &Arc<Link>, subscribe: proto::Subscribe) {
        let id = subscribe.id;
        match self.join(&subscribe) {
            Ok(since) if self.channels.is_settled(since) => link.send(proto::Response::done(id).into()),
            Ok(since) => {
                // Bounded by the backend's handlers that wait for it.
                let Some(spawner) = self.channels.parts.spawners.get(link.worker()) else { return };
                let (settled, link) = (self.channels.clone().settled(since), link.clone());
                spawner.spawn(async move {
                    settled.await;
                    link.send(proto::Response::done(id).into());
                });
            }
            Err(error) => link.send(proto::Response::error(id, &error).into()),
        }
    }

    fn unsubscribe(&self, _link: &Arc<Link>, unsubscribe: proto::Unsubscribe) {
        if let (Ok(session), Ok(channel)) =
            (SessionId::try_from(unsubscribe.session), str::from_utf8(&unsubscribe.channel))
        {
            self.channels.leave(session, channel);
        }
    }

    fn interest(&self, link: &Arc<Link>, interest: proto::Interest) {
        if let Some(outlet) = self.outlet(link) {
            outlet.apply(link, &interest);
        }
        // Behind the change: what is published from now on follows it.
        link.send(proto::Response::done(interest.id).into());
    }

    fn publish(&self, link: &Arc<Link>, publish: proto::Publish) {
        let id = publish.id;
        let delivered = self.deliver(publish);
        if let Err(error) = &delivered {
            tracing::warn!(peer = %link.server(), %error, "a published message dropped");
        }
        if id != 0 {
            // Behind the delivery: whoever publishes once this has come is behind the message at all members here.
            let confirmed = match delivered {
                Ok(()) => proto::Response::done(id),
                Err(error) => proto::Response::error(id, &error),
            };
            link.send(confirmed.into());
        }
    }

    fn members(&self, link: &Arc<Link>, members: proto::Members) {
        let list = match str::from_utf8(&members.channel) {
            Ok(channel) => self.channels.list(channel),
            Err(_) => Vec::new(),
        };
        let member = |Listed { session, uid, info }: Listed| proto::Member {
            session: session.get(),
            uid: uid.map(Text::into_bytes).unwrap_or_default(),
            info,
        };
        let list = proto::MemberList { members: list.into_iter().map(member).collect() };
        link.send(proto::Response::members(members.id, list).into());
    }
}

impl Subscriptions for Frames {
    fn subscribe(
        &self,
        entry: &Arc<Entry>,
        channel: Text,
        subscription: Subscription,
    ) -> BoxFuture<'static, Result<(), Error>> {
        let channels = self.channels.clone();
        match channels.join(entry, &channel, subscription) {
            Ok(since) if !channels.is_settled(since) => Box::pin(async move {
                channels.settled(since).await;
                Ok(())
            }),
            joined => Box::pin(ready(joined.map(drop))),
        }
    }

    fn unsubscribe(&self, session: SessionId, channel: &str) {
        self.channels.leave(session, channel);
    }
}

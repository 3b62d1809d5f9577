//! Publishing, and asking for members: what goes to other servers.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};

use super::api::{Member, Members, Published};
use super::channels::{Channels, check_name, until};
use super::config::ANSWER;
use super::outlet::{Outlet, Target, Way};
use crate::rpc::{Link, Outcome, Question, Waiter, proto};
use crate::session::{Frontend, PushError, Session, SessionId};
use crate::wire::{Error, MAX_BODY, SharedPush, Text};

/// What surrounds route and payload in a packet at most, and in a frame beside the channel.
const AROUND: usize = 64;

/// What is published.
pub(super) struct Message<'a> {
    pub(super) channel: &'a str,
    pub(super) route: &'a str,
    pub(super) body: Bytes,
    /// The member that does not get it.
    pub(super) except: Option<&'a Session>,
}

impl Channels {
    /// Sends a message to all members, wherever they are; in the order of the calls with the same `home`, the worker
    /// whose links are used.
    pub(super) fn publish(self: &Arc<Self>, home: usize, message: Message<'_>) -> Result<Published, Error> {
        self.publish_by(home, message, |link, publish| link.try_send(publish.into()).is_ok())
    }

    /// As [`Channels::publish`]; `send` puts the message on a link, or says that it cannot.
    pub(super) fn publish_by(
        self: &Arc<Self>,
        home: usize,
        message: Message<'_>,
        mut send: impl FnMut(&Arc<Link>, proto::Publish) -> bool,
    ) -> Result<Published, Error> {
        let Message { channel, route, body, except } = message;
        check_name(channel)?;
        let size = route.len() + body.len() + AROUND;
        if route.len() > 255 || size > MAX_BODY || size + channel.len() > self.parts.max_frame {
            return Err(PushError::TooLarge.into());
        }
        // Sessions are told apart by their id at their frontend.
        let except = except.map(|session| (session.frontend().id, session.id()));
        let except_at = |server: &str| except.as_ref().filter(|(id, _)| **id == *server).map(|(_, session)| *session);
        self.counts.published.fetch_add(1, Relaxed);
        let route = Text::copied(route);
        let name = Bytes::copy_from_slice(channel.as_bytes());
        let mut published = Published::default();
        if let Some((targets, outlet)) = self.targets(home) {
            for target in &*targets {
                match outlet.way(target, channel) {
                    Way::Link(link) => {
                        let publish = proto::Publish {
                            channel: name.clone(),
                            route: route.as_shared().clone(),
                            body: body.clone(),
                            id: 0,
                            except: except_at(target.id()).map_or(0, SessionId::get),
                        };
                        if send(&link, publish) {
                            published.queued += 1;
                        } else {
                            published.not_queued.push(target.id().clone());
                        }
                    }
                    Way::NotInterested => published.not_interested += 1,
                    Way::NotConcerned => {}
                }
            }
        }
        let (push, own) = (SharedPush::new(route, body), except_at(&self.parts.identity.server_id));
        published.queued += usize::from(self.deliver(channel, push, own));
        self.counts.not_queued.fetch_add(published.not_queued.len() as u64, Relaxed);
        Ok(published)
    }

    /// Opens the links that something will go out on when there may be no time left to open them.
    pub(super) fn open_ways(&self, home: usize, channel: &str) {
        if let Some((targets, outlet)) = self.targets(home) {
            for target in &*targets {
                outlet.way(target, channel);
            }
        }
    }

    /// Who is in the channel, of the sessions of this process.
    pub(super) fn list(&self, channel: &str) -> Vec<Listed> {
        let mut list = Vec::new();
        for worker in &self.workers {
            let shard = worker.shard.lock();
            let members = shard.members(channel).into_iter().flatten();
            list.extend(members.map(|(session, entry)| Listed {
                session: *session,
                uid: entry.record.uid(),
                info: shard.info(*session, channel),
            }));
        }
        list
    }

    /// Who is in the channel, anywhere.
    pub(super) async fn members(
        &self,
        home: usize,
        channel: &str,
        deadline: Option<Instant>,
    ) -> Result<Members, Error> {
        check_name(channel)?;
        let until = until(deadline, ANSWER);
        let identity = &self.parts.identity;
        let own = Frontend { id: identity.server_id.clone(), server_type: identity.server_type.clone() };
        let mut members = Members::default();
        members.add(&own, self.list(channel));
        let mut questions = Vec::new();
        if let Some((targets, outlet)) = self.targets(home) {
            for target in &*targets {
                if let Way::Link(link) = outlet.way(target, channel) {
                    let frontend = Frontend { id: target.id().clone(), server_type: target.server_type() };
                    questions.push(async move { (frontend, ask(&link, channel, until).await) });
                }
            }
        }
        for (frontend, answer) in join_all(questions).await {
            match answer {
                Some(list) => members.add(&frontend, list.members.into_iter().filter_map(known)),
                None => members.unreached.push(frontend.id),
            }
        }
        Ok(members)
    }

    /// The servers that may hold sessions, and the way to them of worker `home`.
    fn targets(&self, home: usize) -> Option<(Arc<[Target]>, &Outlet)> {
        let outlet = self.workers.get(home)?.outlet.get()?;
        let snapshot = self.parts.topology.current();
        Some((outlet.targets(&snapshot, &self.callers, &self.parts.identity.server_id), outlet))
    }
}

/// A member, as the server that holds its session tells of it.
pub(super) struct Listed {
    pub(super) session: SessionId,
    pub(super) uid: Option<Text>,
    pub(super) info: Bytes,
}

impl Members {
    fn add(&mut self, frontend: &Frontend, members: impl IntoIterator<Item = Listed>) {
        let member = |Listed { session, uid, info }| Member { session, uid, info, frontend: frontend.clone() };
        self.members.extend(members.into_iter().map(member));
    }
}

/// Asks the other end of `link` who is in the channel.
async fn ask(link: &Link, channel: &str, until: Instant) -> Option<proto::MemberList> {
    let (waiter, answer) = Waiter::new();
    let channel = Bytes::copy_from_slice(channel.as_bytes());
    link.ask(Question::Members(proto::Members { id: 0, channel }), waiter, 0);
    match timeout_at(until, answer).await.ok()?.ok()? {
        Outcome::Answered(Some(proto::response::Outcome::Members(list))) => Some(list),
        _ => None,
    }
}

/// A member that another server told of.
fn known(member: proto::Member) -> Option<Listed> {
    let session = SessionId::try_from(member.session).ok()?;
    let uid = Text::try_from(member.uid).ok()?;
    Some(Listed { session, uid: (!uid.is_empty()).then_some(uid), info: member.info })
}

//! Publishing, and asking for members: what goes to other servers.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};

use super::api::{Member, Members, Published};
use super::channels::{Channels, check_name, until};
use super::config::ANSWER;
use super::outlet::{Outlet, Way};
use crate::rpc::{Outcome, Question, Waiter, proto};
use crate::session::{Frontend, PushError, SessionId};
use crate::topology::{Server, ServerId};
use crate::wire::{Error, MAX_BODY, SharedPush, Text};

/// What surrounds route and payload in a packet at most, and in a frame beside the channel.
const AROUND: usize = 64;

impl Channels {
    /// Sends a message to all members, wherever they are; in the order of the calls with the same `home`, the worker
    /// whose links are used.
    pub(super) fn publish(
        self: &Arc<Self>,
        home: usize,
        channel: &str,
        route: &str,
        body: Bytes,
    ) -> Result<Published, Error> {
        check_name(channel)?;
        let size = route.len() + body.len() + AROUND;
        if route.len() > 255 || size > MAX_BODY || size + channel.len() > self.parts.max_frame {
            return Err(PushError::TooLarge.into());
        }
        self.counts.published.fetch_add(1, Relaxed);
        let route = Text::copied(route);
        let name = Bytes::copy_from_slice(channel.as_bytes());
        let mut published = Published::default();
        for (server, outlet) in
            self.targets(home).iter().flat_map(|(servers, outlet)| servers.iter().map(move |server| (server, outlet)))
        {
            match outlet.way(server, channel) {
                Way::Link(link) => {
                    let (channel, route, body) = (name.clone(), route.as_shared().clone(), body.clone());
                    match link.try_send(proto::Publish { channel, route, body }.into()) {
                        Ok(()) => published.queued += 1,
                        Err(_) => published.not_queued.push(server.id.clone()),
                    }
                }
                Way::NotInterested => published.not_interested += 1,
                Way::NotConcerned => {}
            }
        }
        published.queued += usize::from(self.deliver(channel, SharedPush::new(route, body)));
        self.counts.not_queued.fetch_add(published.not_queued.len() as u64, Relaxed);
        Ok(published)
    }

    /// Who is in the channel, of the sessions of this process.
    pub(super) fn list(&self, channel: &str) -> Vec<(SessionId, Option<Text>)> {
        let mut list = Vec::new();
        for worker in &self.workers {
            let shard = worker.shard.lock();
            let members = shard.members(channel).into_iter().flatten();
            list.extend(members.map(|(session, entry)| (*session, entry.record.uid())));
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
        let own = self.frontend(&self.parts.identity.server_id, &self.parts.identity.server_type);
        let mut members = Members::default();
        members.add(&own, self.list(channel));
        let questions = {
            let targets = self.targets(home);
            let asked = targets.iter().flat_map(|(servers, outlet)| {
                servers.iter().filter_map(|server| match outlet.way(server, channel) {
                    Way::Link(link) => Some((server.clone(), link)),
                    Way::NotInterested | Way::NotConcerned => None,
                })
            });
            let asked: Vec<_> = asked.collect();
            asked.into_iter().map(|(server, link)| async move {
                let (waiter, answer) = Waiter::new();
                let channel = Bytes::copy_from_slice(channel.as_bytes());
                link.ask(Question::Members(proto::Members { id: 0, channel }), waiter, 0);
                let answer = timeout_at(until, answer).await;
                (server, answer.ok().and_then(Result::ok))
            })
        };
        for (server, answer) in join_all(questions).await {
            match answer {
                Some(Outcome::Answered(Some(proto::response::Outcome::Members(list)))) => {
                    members.add(
                        &self.frontend(&server.id, &server.server_type),
                        list.members.into_iter().filter_map(known),
                    );
                }
                _ => members.unreached.push(server.id.clone()),
            }
        }
        Ok(members)
    }

    #[allow(clippy::unused_self, reason = "it reads like the others")]
    fn frontend(&self, id: &ServerId, server_type: &ServerId) -> Frontend {
        Frontend { id: id.clone(), server_type: server_type.clone() }
    }

    /// The servers that may hold sessions, and the way to them of worker `home`.
    fn targets(&self, home: usize) -> Option<(Arc<[Arc<Server>]>, &Outlet)> {
        let outlet = self.workers.get(home)?.outlet.get()?;
        Some((outlet.targets(&self.parts.topology.current(), &self.parts.identity.server_id), outlet))
    }
}

impl Members {
    fn add(&mut self, frontend: &Frontend, members: impl IntoIterator<Item = (SessionId, Option<Text>)>) {
        let members = members.into_iter();
        self.members.extend(members.map(|(session, uid)| Member { session, uid, frontend: frontend.clone() }));
    }
}

/// A member that another server told of.
fn known(member: proto::Member) -> Option<(SessionId, Option<Text>)> {
    let session = SessionId::try_from(member.session).ok()?;
    let uid = Text::try_from(member.uid).ok()?;
    Some((session, (!uid.is_empty()).then_some(uid)))
}

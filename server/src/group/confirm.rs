//! Publishing that waits until the message is where nothing can overtake it: publisher confirms.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::channels::{Channels, until};
use super::config::ANSWER;
use super::publish::Message;
use crate::rpc::{Link, Outcome, Question, Waiter};
use crate::topology::ServerId;
use crate::wire::{Error, codes};

impl Channels {
    /// Publishes, and waits until every frontend that it was sent to has put the message into the queues of its workers.
    /// Gives how many there are, this server among them when it holds members.
    pub(super) async fn publish_confirmed(
        self: &Arc<Self>,
        home: usize,
        message: Message<'_>,
        deadline: Option<Instant>,
    ) -> Result<usize, Error> {
        let until = until(deadline, ANSWER);
        let mut questions = Vec::new();
        let published = self.publish_by(home, message, |link, publish| {
            let (waiter, answer) = Waiter::new();
            let is_sent = link.try_ask(Question::Publish(publish), waiter, 0).is_ok();
            if is_sent {
                questions.push(confirmation(link.clone(), answer, until));
            }
            is_sent
        })?;
        // What is left is this server, whose members have it already.
        let mut confirmed = published.queued - questions.len();
        let mut unconfirmed = Vec::new();
        for (link, confirmation) in join_all(questions).await {
            match confirmation {
                Confirmation::Confirmed => confirmed += 1,
                Confirmation::NotConcerned => {}
                Confirmation::Unknown => unconfirmed.push(link.server().clone()),
            }
        }
        conclude(confirmed, &unconfirmed, &published.not_queued)
    }
}

/// What one frontend made of a message.
enum Confirmation {
    Confirmed,
    /// It knows no channels, as turned out when the link came up.
    NotConcerned,
    /// The link was lost, or it did not answer in time.
    Unknown,
}

async fn confirmation(
    link: Arc<Link>,
    answer: oneshot::Receiver<Outcome>,
    until: Instant,
) -> (Arc<Link>, Confirmation) {
    let confirmation = match timeout_at(until, answer).await {
        Ok(Ok(Outcome::Answered(None))) => Confirmation::Confirmed,
        _ if link.lacks_channels() => Confirmation::NotConcerned,
        _ => Confirmation::Unknown,
    };
    (link, confirmation)
}

/// All have it, nobody has it, or it is not known who has.
fn conclude(confirmed: usize, unconfirmed: &[ServerId], not_queued: &[ServerId]) -> Result<usize, Error> {
    if unconfirmed.is_empty() && not_queued.is_empty() {
        return Ok(confirmed);
    }
    let error = if confirmed == 0 && unconfirmed.is_empty() {
        Error::new(codes::NOT_EXECUTED, "the message could not be queued for any frontend that may have members")
    } else {
        Error::new(codes::LINK_LOST, "not all frontends that may have members confirmed the message")
    };
    let named = |error: Error, key: &str, servers: &[ServerId]| {
        if servers.is_empty() { error } else { error.with(key, servers.join(", ")) }
    };
    Err(named(named(error, "unconfirmed", unconfirmed), "not_queued", not_queued))
}

//! Channels: names that sessions subscribe to, and that any server publishes to.
//!
//! A membership is kept by the frontend that holds the session, in the part of the worker that does ([`shard`]); it ends
//! with the session and with nothing else. Handlers subscribe sessions through their other end ([`Entity`]): at once
//! where the session is held, by a `Subscribe` from a backend. `App::publish` hands a message to the members of this
//! process and sends one `Publish` to each other server that may hold members ([`publish`]).
//!
//! # Who talks to whom
//!
//! The server that publishes is the one that calls, so it opens the link, on the first message (`rpc` keeps it then). On
//! such a link `Publish` and `Members` go from the opener to the acceptor, which answers the one when it has an id and
//! always the other; `Interest` comes back the other way, and is acknowledged by an empty `Response`. The links that
//! frontends open to backends carry `Subscribe` and `Unsubscribe` only. A backend that no frontend has talked to yet
//! reaches frontends like any other: by the topology. Servers of a type whose ServerType says that it is no frontend are
//! left out; where there is no ServerType nobody knows, and a server that holds no sessions says so with an empty
//! interest. A frontend that has talked to a backend which has not heard of it yet is not in that backend's topology;
//! until it is, it is sent everything on the link that it opened itself, and when it is, until it has answered a question
//! there: so nothing overtakes what went that way ([`callers`]).
//!
//! Frames are told apart by the version in the greeting: a peer of the release before is neither sent them nor waited
//! for, and holds no members. While a link is opened its peer's version is unknown; what it would then not know it skips.
//!
//! # Interest
//!
//! The publishing end keeps a [`filter`] for each link, the holding end the state of each accepted link ([`interest`]):
//!
//! * When a link comes up the filter is open: everything is published. The holder at once tells all channels that it has
//!   members of, in pieces, the last of which says that this is all; from then on the filter holds back the rest.
//! * Later changes are announced as they come, one announcement at a time on each link; what changes meanwhile goes with
//!   the next. Each is acknowledged by the publisher *after* it was put into the filter.
//! * `subscribe` makes the session a member, announces the channel unless it is, and returns when every publisher that was
//!   told that all is told has acknowledged that. A publisher that has not been told so sends everything, and is not
//!   waited for. Nor is one that does not answer for a second: it is told to send everything, is not waited for any more,
//!   and when it has answered that, it is told all anew.
//! * A channel without members stays announced for a minute.
//! * Above 100 000 channels all publishers are told to send everything; below nine tenths of that they are told all anew.
//!
//! # Races, and why they are none
//!
//! * *A publish while a session subscribes.* The publish began before the subscription had ended, so either order is
//!   right. One that begins later finds the filter changed, since the acknowledgement came after the change.
//! * *A second member while the first one's announcement is on its way.* It waits for the same change: a channel
//!   remembers the number of the change that made it wanted, and each link how far it has acknowledged.
//! * *A link is opened or comes back while a session subscribes.* Membership and announcements change under one lock, in
//!   which a new link gets its state too: either it is told the channel with all others, or the channel is announced to
//!   it. A link that is lost is waited for no longer; its filter goes with it.
//! * *Another process in the place of a server.* Filter and state belong to one connection, and nothing else is known of
//!   the peer.
//! * *The last member leaves and another comes within the minute.* The withdrawal that was due is taken back under the
//!   lock. If it was made already, the new announcement follows it on the same link.
//! * *Too many channels.* A subscription that makes them too many, or finds them so, waits until the publishers that hold
//!   back have heard that they must not.
//! * *A frontend drains.* Messages for members are no new work: they are sent as long as the topology lists the server as
//!   ready or serving, or as the link lives; subscriptions of sessions that it still holds are taken.
//! * *A confirmed message is on its way while its link is lost.* It may have been delivered: PIT-502. A link that is down
//!   when it is published loses nothing: the message was not queued.
//! * *A server that knows no channels is sent a confirmed message while its link is opened.* It skips the frame and never
//!   answers; when the time for that is over, its version is known, and it is not counted.
//! * *The publisher holds sessions itself.* Its own members are handed the message in the same call.
//! * *A session ends while it subscribes.* Its end is registered after it was listed, and runs at once if it came before.
//!
//! # Order
//!
//! What handlers of one session publish keeps its order for each member: those handlers run one at a time, and although
//! a lane may run on different workers, it always publishes over the links of the same one (`App::in_lane`). On the way
//! there is one queue for each worker that holds members ([`delivery`]): a message crosses to a worker once, whatever the
//! number of members there, is encoded once for each way in which clients read, and is copied to their queues. When the
//! queue is full, whoever brings a message hands out what waits, in its order.
//!
//! Messages of different servers have no order, unless one waits for the other: `App::publish_confirmed` returns when
//! every frontend that the message was sent to has answered ([`confirm`]). A `Publish` with an id is answered by an empty
//! `Response` behind having been put into the queues of all workers with members there, so what any server publishes once
//! that has come is behind it in each of those queues. Confirmed and plain messages of one lane go through the same queues
//! and keep their order.
//!
//! A lost link loses what was on it; nothing is sent twice. [`Published`] says which frontends a message was not queued
//! for; a confirmed one fails with PIT-503 when it was queued for none of those that may have members, and with PIT-502
//! when some may have it and others not.
//!
//! # Farewells
//!
//! A session may subscribe with a farewell: what its frontend publishes when the membership ends, by `Unsubscribe` or with
//! the session, whichever is first. The end is decided under the lock of the shard, so there is one farewell for each
//! membership, and the one who left does not get it. No backend has a part in it: it is said when the server that
//! subscribed the session is long gone. The links for it are opened when the session subscribes, so that a frontend which
//! drains says the farewells of those whom it sends away. One that dies says none, and a link that is full or lost loses it.
//!
//! [`Entity`]: crate::session::Entity

mod api;

mod channels;
mod confirm;
mod publish;

mod frames;

mod callers;
mod filter;
mod interest;
mod outlet;

mod delivery;
mod shard;
mod workers;

mod config;
mod counts;

#[cfg(test)]
mod tests;

pub(crate) use api::Home;
pub use api::{Member, Members, Published};
pub(crate) use channels::{Channels, ChannelsParts};
pub(crate) use config::Config;
pub(crate) use frames::Frames;

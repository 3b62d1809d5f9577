//! How much servers have to do, as they say themselves.

use std::{collections::BTreeMap, net::SocketAddr};

use serde::Deserialize;
use tokio::task::JoinSet;

use super::probe;

/// How much one server has to do. The order is that of what would be lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Load {
    /// Clients that are connected to it.
    pub(super) sessions: u64,
    /// Sessions that it holds on to.
    pins: u64,
    /// Sessions with work queued or running.
    lanes: u64,
}

/// Ask all at once. Who does not answer within a second is not in the result.
pub(super) async fn take(servers: impl IntoIterator<Item = (String, SocketAddr)>) -> BTreeMap<String, Load> {
    let mut asked = JoinSet::new();
    for (name, admin) in servers {
        asked.spawn(async move { Some((name, probe::status::<Load>(admin).await?)) });
    }
    let mut loads = BTreeMap::new();
    while let Some(answer) = asked.join_next().await {
        loads.extend(answer.ok().flatten());
    }
    loads
}

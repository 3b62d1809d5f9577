//! The game as it changes, for pages that show it.

use std::{collections::BTreeMap, convert::Infallible, pin::Pin, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::StatusCode,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, stream};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::sleep,
};

use super::{
    super::{control::Desk, status::GameStatus},
    answers::Shared,
};

/// How often the servers are asked for their sessions, while somebody follows.
const PERIOD: Duration = Duration::from_secs(2);

/// One who follows the game.
struct Follower {
    desk: Desk,
    status: watch::Receiver<Arc<GameStatus>>,
    /// By server, of those that said it the last time.
    sessions: BTreeMap<String, u64>,
    census: Pin<Box<dyn Future<Output = BTreeMap<String, u64>> + Send>>,
    told: Option<GameStatus>,
    _permit: OwnedSemaphorePermit,
}

/// What runs now, and again after each change.
pub(super) async fn follow(
    State(shared): State<Shared>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, (StatusCode, &'static str)> {
    let Ok(permit) = shared.followers.try_acquire_owned() else {
        return Err((StatusCode::SERVICE_UNAVAILABLE, "too many follow the game\n"));
    };
    let mut status = shared.desk.status.clone();
    status.mark_changed();
    let census = Box::pin(take(shared.desk.clone()));
    let (desk, sessions) = (shared.desk, BTreeMap::new());
    let follower = Follower { desk, status, sessions, census, told: None, _permit: permit };
    let events = stream::unfold(follower, async |mut follower| {
        let status = follower.next().await?;
        // A status is numbers and texts.
        let event = Event::default().json_data(&status).ok()?;
        Some((Ok(event), follower))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

impl Follower {
    /// The next status that is not the last. None when the game is over.
    async fn next(&mut self) -> Option<GameStatus> {
        loop {
            tokio::select! {
                biased;
                changed = self.status.changed() => changed.ok()?,
                sessions = &mut self.census => {
                    self.sessions = sessions;
                    let desk = self.desk.clone();
                    self.census = Box::pin(async move {
                        sleep(PERIOD).await;
                        take(desk).await
                    });
                }
            }
            let mut status = GameStatus::clone(&self.status.borrow_and_update());
            for server in status.servers.iter_mut().filter(|server| server.pid.is_some()) {
                server.sessions = self.sessions.get(&server.name).copied();
            }
            if self.told.as_ref() != Some(&status) {
                self.told = Some(status.clone());
                return Some(status);
            }
        }
    }
}

async fn take(desk: Desk) -> BTreeMap<String, u64> {
    desk.get().await.servers.into_iter().filter_map(|server| Some((server.name, server.sessions?))).collect()
}

//! A lane at work: its jobs one at a time.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::execute::Execution;
use crate::wire::Error;

/// After so many jobs the worker's other tasks have their turn.
const TURNS: usize = 64;

/// Where jobs come from and their answers go.
pub(crate) trait LaneJobs: Unpin {
    /// Who gets the answer of a handler.
    type Caller: Unpin;

    /// Begins the next job; `now` is the present. `None` when there is none, which ends the lane.
    fn begin_next(&mut self, now: Instant) -> Option<Turn<Self::Caller>>;

    /// A handler has ended.
    fn answer(&mut self, caller: Self::Caller, result: Result<Bytes, Error>);
}

/// A job that has begun.
pub(crate) enum Turn<C> {
    /// A handler, and who gets its answer.
    Handler(Execution, C),
    /// Anything else.
    Work(BoxFuture<'static, ()>),
}

/// Does the jobs of a lane until there is none. Written by hand because an async function would keep what it is given
/// twice, and one of these is made for every burst of messages.
#[must_use = "a lane runs while this is polled"]
pub(crate) struct LaneTask<J: LaneJobs> {
    jobs: J,
    turn: Option<Turn<J::Caller>>,
}

impl<J: LaneJobs> LaneTask<J> {
    /// The task that does `jobs`.
    pub(crate) fn new(jobs: J) -> Self {
        Self { jobs, turn: None }
    }
}

impl<J: LaneJobs> Future for LaneTask<J> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        let Self { jobs, turn } = self.get_mut();
        let mut now = None;
        for _ in 0..TURNS {
            match turn {
                Some(Turn::Handler(execution, _)) => {
                    let ended = ready!(Pin::new(execution).poll(task));
                    now = Some(ended.at);
                    if let Some(Turn::Handler(_, caller)) = turn.take() {
                        jobs.answer(caller, ended.result);
                    }
                }
                Some(Turn::Work(work)) => {
                    ready!(work.as_mut().poll(task));
                    now = None;
                }
                None => {}
            }
            *turn = jobs.begin_next(*now.get_or_insert_with(Instant::now));
            if turn.is_none() {
                return Poll::Ready(());
            }
        }
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

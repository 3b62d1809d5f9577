use std::{
    num::NonZeroUsize,
    sync::mpsc,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{Background, Ticks, Workers, WorkersError};

const PATIENCE: Duration = Duration::from_secs(10);

fn start(count: usize) -> Workers {
    Workers::start(NonZeroUsize::new(count).unwrap()).unwrap()
}

#[tokio::test]
async fn tasks_run_on_the_thread_of_their_worker_and_are_counted() {
    let workers = start(2);
    assert_eq!((workers.len(), workers.tasks()), (2, 0));
    let mut ends = Vec::new();
    for (index, spawner) in workers.spawners().enumerate() {
        assert_eq!(spawner.worker(), index);
        let (end, ended) = oneshot::channel::<()>();
        let name = spawner.spawn(async { std::thread::current().name().map(str::to_owned) }).await.unwrap();
        assert_eq!(name, Some(format!("cereus-worker-{index}")));
        spawner.spawn(ended);
        ends.push(end);
    }
    assert_eq!(workers.tasks(), 2);
    assert!(workers.spawner(2).is_none());
    drop(ends);
    let trackers: Vec<_> = workers.spawners().map(|spawner| spawner.tracker().clone()).collect();
    assert!(workers.stop(PATIENCE).await.is_empty());
    assert!(trackers.iter().all(tokio_util::task::TaskTracker::is_empty));
}

#[tokio::test]
async fn stopping_lets_a_task_finish_within_its_grace() {
    let workers = start(1);
    let (go, gone) = oneshot::channel::<()>();
    let task = workers.spawner(0).unwrap().spawn(async { gone.await.is_ok() });
    let (stuck, finished, ()) = tokio::join!(workers.stop(PATIENCE), task, async { go.send(()).unwrap() });
    assert!(stuck.is_empty());
    assert!(finished.unwrap());
}

#[tokio::test]
async fn stopping_drops_a_task_that_does_not_finish() {
    let workers = start(1);
    let task = workers.spawner(0).unwrap().spawn(std::future::pending::<()>());
    assert!(workers.stop(Duration::ZERO).await.is_empty());
    assert!(task.await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn a_worker_that_computes_for_ever_is_named_and_left_behind() {
    let workers = start(2);
    let (release, blocked) = mpsc::channel::<()>();
    let (started, running) = oneshot::channel();
    workers.spawner(1).unwrap().spawn(async move {
        started.send(()).unwrap();
        let _ = blocked.recv();
    });
    running.await.unwrap();
    assert_eq!(workers.stop(Duration::ZERO).await, ["cereus-worker-1"]);
    drop(release);
}

#[test]
fn too_many_workers_are_refused() {
    let error = Workers::start(NonZeroUsize::new(257).unwrap()).unwrap_err();
    assert!(matches!(error, WorkersError::TooMany(257)), "{error}");
}

#[test]
fn a_silent_worker_is_found() {
    let start = Instant::now();
    let ticks = Ticks::starting(3, start);
    let at = |seconds| start + Duration::from_secs(seconds);
    let limit = Duration::from_secs(10);
    assert!(ticks.silent(at(9), limit).is_empty());
    ticks.record(0, at(8));
    ticks.record(2, at(12));
    let silent: Vec<usize> = ticks.silent(at(12), limit).into_iter().map(|(worker, _)| worker).collect();
    assert_eq!(silent, [1]);
    let silent: Vec<usize> = ticks.silent(at(30), limit).into_iter().map(|(worker, _)| worker).collect();
    assert_eq!(silent, [0, 1, 2]);
}

#[test]
fn the_background_runtime_finishes_its_tasks() {
    let background = Background::start().unwrap();
    let (go, gone) = oneshot::channel::<()>();
    let task = background.spawner().spawn(async { gone.await.is_ok() });
    assert_eq!(background.spawner().tasks(), 1);
    go.send(()).unwrap();
    assert!(background.block_on(task).unwrap());
    background.stop(PATIENCE);
}

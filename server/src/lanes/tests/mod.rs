//! Lanes one at a time, against a model, and under threads.

mod model;
mod stress;

use std::sync::Arc;

use super::placement::{HANDOVER_MARGIN, place};
use super::{Busy, LaneRun, Lanes, LocalLane, Placement, Pushed};

/// A lane's state is its first job.
type Table = Lanes<u8, Arc<u32>, u32>;

fn push(lanes: &Table, key: u8, job: u32) -> Option<LaneRun<u8, Arc<u32>, u32>> {
    match lanes.push(key, job, |job| Arc::new(*job)) {
        Pushed::Start(run) => Some(run),
        Pushed::Queued => None,
    }
}

#[test]
fn jobs_of_one_key_come_in_order_and_then_the_lane_is_gone() {
    let lanes = Table::new();
    let mut run = push(&lanes, 1, 10).unwrap();
    assert!(push(&lanes, 1, 11).is_none());
    assert!(push(&lanes, 1, 12).is_none());
    assert_eq!((lanes.len(), lanes.jobs()), (1, 2));
    assert_eq!([run.next(), run.next(), run.next(), run.next()], [Some(10), Some(11), Some(12), None]);
    assert!(lanes.is_empty());
    // An ended run does not touch a later lane of the same key.
    let mut later = push(&lanes, 1, 13).unwrap();
    assert_eq!(run.next(), None);
    drop(run);
    assert_eq!([later.next(), later.next()], [Some(13), None]);
}

#[test]
fn keys_do_not_wait_for_each_other() {
    let lanes = Table::new();
    let mut runs: Vec<_> = (0..200).map(|key| push(&lanes, key, u32::from(key)).unwrap()).collect();
    assert_eq!(lanes.len(), 200);
    for (key, run) in runs.iter_mut().enumerate() {
        assert_eq!(run.next(), u32::try_from(key).ok());
        assert_eq!(run.next(), None);
    }
    assert!(lanes.is_empty());
}

#[test]
fn state_is_made_once_of_the_first_job() {
    let lanes = Table::new();
    let run = push(&lanes, 1, 10).unwrap();
    push(&lanes, 1, 11);
    assert_eq!(**run.state(), 10);
    assert!(Arc::ptr_eq(run.state(), &lanes.state(&1).unwrap()));
    assert!(lanes.state(&2).is_none());
}

#[test]
fn a_held_lane_keeps_its_state_without_work() {
    let lanes = Table::new();
    assert!(!lanes.hold(&1), "there is nothing to hold");
    let mut run = push(&lanes, 1, 10).unwrap();
    assert!(lanes.hold(&1) && lanes.hold(&1));
    assert_eq!([run.next(), run.next()], [Some(10), None]);
    assert_eq!((lanes.len(), lanes.held()), (1, 1));

    let state = lanes.state(&1).unwrap();
    let mut again = push(&lanes, 1, 11).unwrap();
    assert!(Arc::ptr_eq(&state, again.state()));
    lanes.release(&1);
    assert_eq!([again.next(), again.next()], [Some(11), None]);
    assert_eq!(lanes.len(), 1, "one hold is left");
    lanes.release(&1);
    assert!(lanes.is_empty());
    lanes.release(&1);
}

#[test]
fn releasing_all_ends_a_lane_of_a_closed_session_but_not_its_work() {
    let lanes = Table::new();
    let mut run = push(&lanes, 1, 10).unwrap();
    assert!(lanes.hold(&1) && lanes.hold(&1));
    lanes.release_all(&1);
    assert_eq!(lanes.len(), 1);
    let concurrent = run.hold().unwrap();
    assert_eq!([run.next(), run.next()], [Some(10), None]);
    assert_eq!(lanes.len(), 1, "its concurrent job still runs");
    drop(concurrent);
    assert!(lanes.is_empty());
    assert!(run.hold().is_none(), "the run is over");
}

#[test]
fn a_dropped_run_drops_its_jobs_and_frees_the_lane() {
    let lanes = Lanes::<u8, (), Arc<()>>::new();
    let job = Arc::new(());
    let push = |held: &Arc<()>| lanes.push(1, Arc::clone(held), |_| ());
    let Pushed::Start(run) = push(&job) else { panic!("nobody runs it yet") };
    assert!(matches!(push(&job), Pushed::Queued));
    assert_eq!(Arc::strong_count(&job), 3);
    drop(run);
    assert_eq!(Arc::strong_count(&job), 1);
    assert!(lanes.is_empty());
    assert!(matches!(push(&job), Pushed::Start(_)));
}

#[test]
fn a_local_lane_starts_again_after_it_ran_empty() {
    let lane = Arc::new(LocalLane::new());
    for round in 0..3 {
        let Pushed::Start(mut run) = lane.push(round) else { panic!("nobody runs it yet") };
        assert!(matches!(lane.push(round + 10), Pushed::Queued));
        assert_eq!((lane.len(), lane.is_running()), (1, true));
        assert_eq!([run.next(), run.next(), run.next(), run.next()], [Some(round), Some(round + 10), None, None]);
        assert!(lane.is_empty() && !lane.is_running());
    }
    let Pushed::Start(run) = lane.push(1) else { panic!("nobody runs it yet") };
    assert!(matches!(lane.push(2), Pushed::Queued));
    drop(run);
    assert!(lane.is_empty() && !lane.is_running());
}

#[test]
fn a_lane_leaves_home_only_for_a_much_less_busy_worker() {
    let margin = HANDOVER_MARGIN;
    for (home, counts, expected) in [
        (0, vec![0, 0], 0),
        (0, vec![margin - 1, 0], 0),
        (0, vec![margin, 0], 1),
        (1, vec![0, margin], 0),
        (1, vec![margin, 2 * margin, margin - 1], 2),
        (2, vec![5, 5, margin + 5], 0),
        (0, vec![10 * margin], 0),
        (0, vec![], 0),
        (7, vec![0, 0], 7),
    ] {
        assert_eq!(place(home, counts.iter().copied()), expected, "home {home}, {counts:?}");
    }
}

#[test]
fn placement_counts_lanes_until_they_end() {
    let placement = Placement::new(2);
    let mut busy: Vec<Busy> = (0..HANDOVER_MARGIN).map(|_| placement.started(placement.choose(0))).collect();
    assert_eq!((placement.lanes(0), placement.lanes(1)), (HANDOVER_MARGIN, 0));
    assert_eq!(placement.choose(0), 1);
    assert_eq!(placement.choose(1), 1);
    busy.pop();
    assert_eq!(placement.choose(0), 0);
    drop(busy);
    assert_eq!(placement.lanes(0), 0);
    // A worker that is none is harmless.
    drop(placement.started(9));
    assert_eq!(placement.lanes(9), 0);
}

//! Any sequence of operations, against a model that is obviously right.

use std::collections::{HashMap, VecDeque};

use proptest::prelude::*;

use super::super::run::Hold;
use super::super::{LaneRun, Lanes, Pushed};

const KEYS: u8 = 4;

#[derive(Clone, Debug)]
enum Step {
    Push(u8),
    Next(usize),
    GiveUp(usize),
    Hold(u8),
    Release(u8),
    ReleaseAll(u8),
    Guard(usize),
    Unguard(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..KEYS).prop_map(Step::Push),
        8 => any::<usize>().prop_map(Step::Next),
        1 => any::<usize>().prop_map(Step::GiveUp),
        1 => (0..KEYS).prop_map(Step::Hold),
        1 => (0..KEYS).prop_map(Step::Release),
        1 => (0..KEYS).prop_map(Step::ReleaseAll),
        1 => any::<usize>().prop_map(Step::Guard),
        1 => any::<usize>().prop_map(Step::Unguard),
    ]
}

/// A lane as it should be. `waiting` holds the job that a fresh run begins with as well.
#[derive(Default)]
struct Lane {
    waiting: VecDeque<u32>,
    running: bool,
    holds: u32,
    guards: u32,
}

type Run = LaneRun<u8, (), u32>;

#[derive(Default)]
struct World {
    lanes: Lanes<u8, (), u32>,
    model: HashMap<u8, Lane>,
    runs: Vec<Run>,
    guards: Vec<(u8, Hold<u8, (), u32>)>,
    pushed: u32,
}

impl World {
    fn push(&mut self, key: u8) {
        self.pushed += 1;
        let lane = self.model.entry(key).or_default();
        lane.waiting.push_back(self.pushed);
        match self.lanes.push(key, self.pushed, |_| ()) {
            Pushed::Start(run) => {
                assert!(!lane.running, "two run key {key}");
                lane.running = true;
                self.runs.push(run);
            }
            Pushed::Queued => assert!(lane.running, "nobody runs key {key}"),
        }
    }

    fn next(&mut self, index: usize) {
        let key = *self.runs[index].key();
        let lane = self.model.get_mut(&key).unwrap();
        let job = self.runs[index].next();
        assert_eq!(job, lane.waiting.pop_front());
        if job.is_none() {
            lane.running = false;
            drop(self.runs.swap_remove(index));
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Push(key) => self.push(key),
            Step::Next(pick) if !self.runs.is_empty() => self.next(pick % self.runs.len()),
            Step::GiveUp(pick) if !self.runs.is_empty() => {
                let run = self.runs.swap_remove(pick % self.runs.len());
                let lane = self.model.get_mut(run.key()).unwrap();
                lane.waiting.clear();
                lane.running = false;
            }
            Step::Hold(key) => {
                let lane = self.model.get_mut(&key);
                assert_eq!(self.lanes.hold(&key), lane.is_some());
                if let Some(lane) = lane {
                    lane.holds += 1;
                }
            }
            Step::Release(key) => {
                self.lanes.release(&key);
                self.model.entry(key).and_modify(|lane| lane.holds = lane.holds.saturating_sub(1));
            }
            Step::ReleaseAll(key) => {
                self.lanes.release_all(&key);
                self.model.entry(key).and_modify(|lane| lane.holds = 0);
            }
            Step::Guard(pick) if !self.runs.is_empty() => {
                let run = &self.runs[pick % self.runs.len()];
                self.guards.push((*run.key(), run.hold().unwrap()));
                self.model.get_mut(run.key()).unwrap().guards += 1;
            }
            Step::Unguard(pick) if !self.guards.is_empty() => {
                let (key, _guard) = self.guards.swap_remove(pick % self.guards.len());
                self.model.get_mut(&key).unwrap().guards -= 1;
            }
            Step::Next(_) | Step::GiveUp(_) | Step::Guard(_) | Step::Unguard(_) => {}
        }
        self.model.retain(|_, lane| lane.running || lane.holds > 0 || lane.guards > 0);
    }

    fn check(&self) {
        assert_eq!(self.lanes.len(), self.model.len());
        assert_eq!(self.lanes.held(), self.model.values().filter(|lane| lane.holds > 0).count());
        for key in 0..KEYS {
            assert_eq!(self.lanes.state(&key).is_some(), self.model.contains_key(&key));
        }
    }

    fn finish(mut self) {
        while !self.runs.is_empty() {
            self.next(0);
        }
        assert_eq!(self.lanes.jobs(), 0);
        self.guards.clear();
        (0..KEYS).for_each(|key| self.lanes.release_all(&key));
        assert!(self.lanes.is_empty());
    }
}

proptest! {
    #[test]
    fn lanes_behave_as_their_model(steps in proptest::collection::vec(step(), 0..200)) {
        let mut world = World::default();
        for step in &steps {
            world.take(step);
            world.check();
        }
        world.finish();
    }
}

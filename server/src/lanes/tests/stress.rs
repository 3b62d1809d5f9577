//! Real threads push into the same lanes and hand runs to each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;

use super::super::{LaneRun, Lanes, LocalLane, LocalRun, Pushed};

const THREADS: usize = 4;
const KEYS: usize = 6;
const JOBS: usize = 20_000;

#[derive(Clone, Copy)]
struct Job {
    thread: usize,
    number: usize,
}

/// What must hold of one key while its jobs run.
#[derive(Default)]
struct Observer {
    busy: AtomicBool,
    /// The next number expected from each thread.
    expected: [AtomicUsize; THREADS],
}

impl Observer {
    fn run(&self, job: Job) {
        assert!(!self.busy.swap(true, Ordering::AcqRel), "two jobs of a key at once");
        let expected = self.expected[job.thread].load(Ordering::Relaxed);
        assert!(job.number >= expected, "job {} of thread {} again or late", job.number, job.thread);
        self.expected[job.thread].store(job.number + 1, Ordering::Relaxed);
        std::hint::spin_loop();
        self.busy.store(false, Ordering::Release);
    }
}

type Table = Lanes<usize, Arc<Observer>, Job>;

fn work(run: &mut LaneRun<usize, Arc<Observer>, Job>, ran: &AtomicUsize) {
    while let Some(job) = run.next() {
        let concurrent = run.hold();
        run.state().run(job);
        ran.fetch_add(1, Ordering::Relaxed);
        drop(concurrent);
    }
}

#[test]
fn threads_run_each_job_once_in_order_and_leave_no_lane() {
    let lanes = Table::new();
    let observers: Vec<Arc<Observer>> = (0..KEYS).map(|_| Arc::default()).collect();
    let pile = Mutex::new(Vec::new());
    let ran = AtomicUsize::new(0);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (lanes, observers, pile, ran) = (&lanes, &observers, &pile, &ran);
            scope.spawn(move || {
                for number in 0..JOBS {
                    let key = (number / 3 + thread) % KEYS;
                    let open = |_: &Job| Arc::clone(&observers[key]);
                    if let Pushed::Start(mut run) = lanes.push(key, Job { thread, number }, open) {
                        if number % 2 == 0 { work(&mut run, ran) } else { pile.lock().push(run) }
                    }
                    if number % 5 == 0 {
                        let handed = pile.lock().pop();
                        if let Some(mut run) = handed {
                            work(&mut run, ran);
                        }
                    }
                    if number % 7 == 0 && lanes.hold(&key) {
                        lanes.release(&key);
                    }
                }
            });
        }
    });
    for mut run in pile.into_inner() {
        work(&mut run, &ran);
    }
    assert_eq!(ran.into_inner(), THREADS * JOBS);
    assert!(lanes.is_empty());
}

#[test]
fn threads_share_a_local_lane() {
    let lane = Arc::new(LocalLane::new());
    let (observer, ran) = (Observer::default(), AtomicUsize::new(0));
    let work = |mut run: LocalRun<Job>| {
        while let Some(job) = run.next() {
            observer.run(job);
            ran.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (lane, work) = (&lane, &work);
            scope.spawn(move || {
                for number in 0..JOBS {
                    if let Pushed::Start(run) = lane.push(Job { thread, number }) {
                        work(run);
                    }
                }
            });
        }
    });
    assert_eq!(ran.into_inner(), THREADS * JOBS);
    assert!(lane.is_empty() && !lane.is_running());
}

//! The end of a session.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;

fn add_one(count: &AtomicUsize) {
    count.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn callbacks_run_once_in_order_with_the_first_reason() {
    let record = record();
    let seen = Arc::new(Mutex::new(Vec::new()));
    for number in 0..3 {
        let seen = Arc::clone(&seen);
        record.on_close(Box::new(move |reason| seen.lock().push((number, reason))));
    }
    assert_eq!(record.closed(), None);
    assert!(record.close(CloseReason::Kicked));
    assert!(!record.close(CloseReason::ClientClosed));
    assert_eq!(record.closed(), Some(CloseReason::Kicked));
    let late = Arc::clone(&seen);
    record.on_close(Box::new(move |reason| late.lock().push((3, reason))));
    assert_eq!(*seen.lock(), (0..4).map(|number| (number, CloseReason::Kicked)).collect::<Vec<_>>());
}

#[test]
fn a_callback_may_use_its_session() {
    let record = record();
    let inside = Arc::clone(&record);
    record.on_close(Box::new(move |reason| {
        assert_eq!(inside.closed(), Some(reason));
        inside.set("left", &true).unwrap();
        assert!(!inside.close(CloseReason::Internal));
    }));
    record.close(CloseReason::ClientClosed);
    assert_eq!(data(&record), json!({"left": true}));
    assert_eq!(Arc::strong_count(&record), 1, "a closed record frees its callbacks");
}

#[test]
fn a_callback_that_panics_does_not_keep_the_others_from_running() {
    let record = record();
    let ran = Arc::new(AtomicUsize::new(0));
    record.on_close(Box::new(|_| panic!("on purpose")));
    let count = Arc::clone(&ran);
    record.on_close(Box::new(move |_| add_one(&count)));
    assert!(record.close(CloseReason::ClientClosed));
    assert_eq!(ran.load(Ordering::Relaxed), 1);
}

#[test]
fn each_callback_runs_once_however_many_close_and_register() {
    for _ in 0..200 {
        let (record, ran, first) = (record(), Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let ran = Arc::clone(&ran);
                    record.on_close(Box::new(move |_| add_one(&ran)));
                });
                scope.spawn(|| first.fetch_add(usize::from(record.close(CloseReason::Draining)), Ordering::Relaxed));
            }
        });
        assert_eq!((ran.load(Ordering::Relaxed), first.into_inner()), (2, 1));
    }
}

#[test]
fn handlers_register_callbacks_on_frontends_only() {
    let (record, _, _, session) = world();
    let ran = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ran);
    session.on_close(move |_| add_one(&count)).unwrap();
    record.close(CloseReason::ClientClosed);
    assert_eq!(ran.load(Ordering::Relaxed), 1);

    let (_, _, _, session) = with_end(LocalEnd { frontend: false, ..LocalEnd::new(super::record()) });
    assert!(session.on_close(|_| ()).unwrap_err().message().contains("on_disconnect"));
}

//! A backend, against a caller whose part the test plays.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::remote::{Back, Front};
use crate::forward::testing::{Journal, note, quiet, request, spawner, text, wait};
use crate::handler::{Service, concurrent};
use crate::lanes::{HANDOVER_MARGIN, Spawner};
use crate::request::{Cancelled, Context, State};
use crate::rpc::{Requests as _, proto};
use crate::session::CloseReason;
use crate::wire::Error;

async fn told(State(journal): State<Journal>, body: Bytes) {
    journal.note(format!("told {}", text(&body)));
}

async fn ended(State(journal): State<Journal>, reason: CloseReason) {
    journal.note(format!("closed {}", reason.as_str()));
}

async fn until_cancelled(State(journal): State<Journal>, Cancelled(token): Cancelled) -> Result<Bytes, Error> {
    token.cancelled().await;
    journal.note("cancelled");
    Err(Error::new("PIT-499", "cancelled"))
}

async fn who(context: Context) -> String {
    format!("{} {}", context.kind, context.route.as_str())
}

fn service() -> Service {
    Service::new()
        .request("wait", wait)
        .request("concurrent", concurrent(wait))
        .request("note", note)
        .request("who", who)
        .notify("told", told)
        .remote("call", note)
        .remote("cancelled", until_cancelled)
        .on_disconnect(ended)
}

async fn start() -> (Back, Front, Arc<Journal>) {
    let journal = Journal::new();
    let back = Back::start(service(), &journal);
    let front = Front::start(&back).await;
    (back, front, journal)
}

/// Everything that a request leaves behind while it runs is gone.
fn assert_nothing_left(back: &Back) {
    assert_eq!(back.links.list().len(), 1);
    assert_eq!(back.links.accepted().admitted().load(Ordering::Relaxed), 0);
    assert!(back.lanes.is_empty());
    assert_eq!(back.placement.lanes(0), 0);
    assert_eq!((back.pins.len(), back.work.tasks()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_sessions_messages_run_one_at_a_time_and_other_sessions_beside_them() {
    let (back, front, journal) = start().await;
    for (session, body) in [(256, "a"), (256, "b"), (512, "c")] {
        front.call(request(session, "wait", body));
    }
    quiet().await;
    assert_eq!(journal.lines(), ["begin a", "begin c"]);
    assert_eq!((back.links.accepted().admitted().load(Ordering::Relaxed), back.placement.lanes(0)), (3, 2));
    for _ in 0..3 {
        journal.go();
        quiet().await;
    }
    assert_eq!(journal.lines(), ["begin a", "begin c", "end a", "begin b", "end c", "end b"]);
    assert_eq!(front.ends(), ["0 a", "2 c", "1 b"]);
    assert_nothing_left(&back);
}

#[tokio::test(start_paused = true)]
async fn a_concurrent_handler_begins_in_its_turn_and_holds_nobody_up() {
    let (back, front, journal) = start().await;
    for (method, body) in [("concurrent", "a"), ("note", "b"), ("concurrent", "c"), ("note", "d")] {
        front.call(request(256, method, body));
    }
    quiet().await;
    assert_eq!(journal.lines(), ["begin a", "b", "begin c", "d"]);
    assert_eq!(back.lanes.len(), 1, "the session stays while handlers run");
    journal.go();
    journal.go();
    quiet().await;
    assert_eq!(front.ends(), ["1 b", "3 d", "0 a", "2 c"]);
    assert_nothing_left(&back);
}

#[tokio::test(start_paused = true)]
async fn a_notify_is_acknowledged_with_nothing_and_is_no_failure() {
    let (back, front, journal) = start().await;
    for method in ["told", "note", "nothing"] {
        let mut notify = request(256, method, "x");
        notify.kind = proto::RequestKind::Notify.into();
        front.call(notify);
    }
    quiet().await;
    assert_eq!(front.ends(), ["0 ", "1 ", "2 "]);
    assert_eq!(journal.lines(), ["told x", "x"]);
    assert_eq!((back.registry.counts().failed, back.incoming.refused()), (0, 1));
    assert_nothing_left(&back);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_run_is_answered_with_its_reason() {
    let (back, front, _journal) = start().await;
    let call = |change: fn(&mut proto::Request)| {
        let mut request = request(256, "note", "x");
        change(&mut request);
        front.call(request);
    };
    call(|request| request.route = "room.test.nothing".into());
    call(|request| request.route = "nothing".into());
    call(|request| request.route = "room.test.told".into());
    call(|request| request.route = Bytes::from_static(b"\xff"));
    call(|request| request.session = None);
    call(|request| request.session.as_mut().unwrap().id = -1);
    call(|request| request.session.as_mut().unwrap().uid = Bytes::from_static(b"\xff"));
    call(|request| request.timeout_micros = 0);
    call(|request| request.timeout_micros = u64::MAX);
    call(|request| {
        request.kind = proto::RequestKind::User.into();
        request.route = "room.test.nothing".into();
    });
    quiet().await;
    let mut seen = front.ends();
    seen.sort();
    assert_eq!(
        seen,
        [
            "0 PIT-404",
            "1 PIT-400",
            "2 PIT-400",
            "3 PIT-400",
            "4 PIT-400",
            "5 PIT-400",
            "6 PIT-400",
            "7 PIT-504",
            "8 x",
            "9 PIT-404",
        ]
    );
    assert_nothing_left(&back);
}

#[tokio::test(start_paused = true)]
async fn a_full_link_refuses_until_an_answer_makes_room() {
    let (back, front, journal) = start().await;
    for number in 0..10 {
        front.call(request(256, "wait", number.to_string()));
    }
    quiet().await;
    assert_eq!(front.ends(), ["8 not executed", "9 not executed"]);
    journal.go();
    quiet().await;
    front.call(request(256, "wait", "10"));
    quiet().await;
    assert_eq!(front.ends(), ["0 0"], "the last one was taken");
    (0..8).for_each(|_| journal.go());
    quiet().await;
    assert_eq!(front.ends().len(), 8);
    assert_nothing_left(&back);
}

#[tokio::test(start_paused = true)]
async fn a_drained_link_takes_pinned_messages_only() {
    let (back, front, journal) = start().await;
    back.links.drain(Duration::from_mins(1));
    quiet().await;
    assert!(back.links.accepted().is_drained(), "the caller answers by itself");
    front.call(request(256, "note", "a"));
    front.call(proto::Request { pinned: true, ..request(256, "note", "b") });
    let user = proto::Request { kind: proto::RequestKind::User.into(), ..request(256, "call", "c") };
    front.call(user);
    quiet().await;
    assert_eq!(front.ends(), ["0 not executed", "2 not executed", "1 b"]);
    assert_eq!(journal.lines(), ["b"]);
    assert_nothing_left(&back);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_runs_last_and_once() {
    let (back, front, journal) = start().await;
    for body in ["a", "b"] {
        front.call(request(256, "wait", body));
    }
    let session = request(256, "", "").session;
    front.link.send(proto::Closed { session, reason: CloseReason::HeartbeatTimeout.number() }.into());
    quiet().await;
    journal.go();
    journal.go();
    quiet().await;
    let reason = CloseReason::HeartbeatTimeout.as_str();
    assert_eq!(journal.lines(), ["begin a", "end a", "begin b", "end b", &format!("closed {reason}")]);
    assert_eq!(front.ends(), ["0 a", "1 b"]);
    assert_nothing_left(&back);
}

#[tokio::test(start_paused = true)]
async fn a_user_call_that_is_cancelled_is_told_and_leaves_nothing() {
    let (back, front, journal) = start().await;
    let user = |method| proto::Request { kind: proto::RequestKind::User.into(), ..request(256, method, "x") };
    let id = front.call(user("cancelled"));
    front.call(user("call"));
    quiet().await;
    assert_eq!(back.incoming.cancellable(), 1);
    front.link.cancel(id);
    quiet().await;
    assert_eq!(
        (journal.lines(), front.ends()),
        (vec!["x".into(), "cancelled".into()], vec!["1 x".into(), "0 PIT-499".into()])
    );
    assert_eq!(back.incoming.cancellable(), 0);
    assert_nothing_left(&back);
}

#[tokio::test(start_paused = true)]
async fn lanes_count_for_their_worker_from_when_they_are_handed_over() {
    let (journal, workers) = (Journal::new(), [spawner(), spawner()]);
    let back = Back::start_on(&workers, 1000, service(), &journal);
    let front = Front::start(&back).await;
    let link = back.links.accepted();
    // No lane has run when the next batch is read.
    for batch in 0..4 {
        for number in 0..HANDOVER_MARGIN {
            let session = 256 * i64::try_from(1 + batch * HANDOVER_MARGIN + number).unwrap();
            back.incoming.request(&link, request(session, "wait", "x"), Instant::now());
        }
        back.incoming.batch_done(&link);
    }
    // The first batch stays at home, half of the second goes; while it is on its way no other may follow.
    assert_eq!((back.placement.lanes(0), back.placement.lanes(1)), (224, 32));
    assert_eq!(back.incoming.moving(), 1);
    quiet().await;
    assert_eq!(back.incoming.moving(), 0);
    assert_eq!((workers[0].tasks(), workers[1].tasks()), (224, 32));
    (0..4 * HANDOVER_MARGIN).for_each(|_| journal.go());
    quiet().await;
    assert_eq!((back.placement.lanes(0), back.placement.lanes(1), front.ends().len()), (0, 0, 0));
    assert_nothing_left(&back);
}

#[tokio::test(start_paused = true)]
async fn lanes_that_are_dropped_answer_what_waits_in_them() {
    let worker = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let journal = Journal::new();
    let back = Back::start_on(&[Spawner::new(0, worker.handle().clone())], 8, service(), &journal);
    let front = Front::start(&back).await;
    for body in ["a", "b", "c"] {
        front.call(request(256, "note", body));
    }
    front.call(proto::Request { kind: proto::RequestKind::User.into(), ..request(256, "call", "d") });
    quiet().await;
    assert_eq!((back.lanes.len(), back.incoming.cancellable(), front.ends()), (1, 1, vec![]));
    // A worker that is stopped drops its tasks.
    worker.shutdown_background();
    quiet().await;
    let mut seen = front.ends();
    seen.sort();
    assert_eq!(seen, ["0 PIT-500", "1 PIT-500", "2 PIT-500", "3 PIT-500"]);
    assert_eq!(journal.lines(), [""; 0]);
    assert_eq!(back.incoming.cancellable(), 0);
    assert_nothing_left(&back);
}

#[tokio::test(start_paused = true)]
async fn a_lane_goes_on_behind_its_handler_on_a_new_link_of_the_same_process() {
    let (back, front, journal) = start().await;
    front.call(request(256, "wait", "a"));
    quiet().await;
    back.network.cut();
    quiet().await;
    assert_eq!(front.ends(), ["0 lost"]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    front.call(request(256, "note", "b"));
    quiet().await;
    assert_eq!(journal.lines(), ["begin a"]);
    journal.go();
    quiet().await;
    assert_eq!(journal.lines(), ["begin a", "end a", "b"]);
    assert_eq!(front.ends(), ["1 b"]);
    assert_nothing_left(&back);
}

#[tokio::test(start_paused = true)]
async fn a_queued_message_whose_time_is_over_is_answered_unrun() {
    let (_back, front, journal) = start().await;
    let start = Instant::now();
    front.call(request(256, "wait", "a"));
    front.call(proto::Request { timeout_micros: 5_000, ..request(256, "note", "b") });
    quiet().await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    journal.go();
    quiet().await;
    assert_eq!(front.ends(), ["0 a", "1 PIT-504"]);
    assert_eq!(journal.lines(), ["begin a", "end a"]);
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn handlers_see_how_they_were_called() {
    let (_back, front, _journal) = start().await;
    front.call(request(256, "who", ""));
    quiet().await;
    assert_eq!(front.ends(), ["0 request room.test.who"]);
}

//! What happens when: the rows of the protocol for clients that work, from the first request on.

use super::*;

/// One message, and what the client is answered.
async fn check(kind: MessageKind, id: u64, route: &str, expected: &[&str]) -> Desk {
    let desk = Desk::start().await;
    desk.send(kind, id, route);
    assert_eq!(desk.answers().await, expected, "{kind:?} {id} {route}");
    assert_eq!(desk.dialogue.open_messages(), 0, "{kind:?} {id} {route}");
    desk
}

#[tokio::test(start_paused = true)]
async fn bad_routes_and_unknown_handlers_are_answered() {
    for (route, code) in [
        ("", "PIT-400"),
        ("echo", "PIT-400"),
        ("front..note", "PIT-400"),
        ("front.test.note.more", "PIT-400"),
        ("front.test.nothing", "PIT-404"),
        ("test.nothing", "PIT-404"),
        ("front.test.told", "PIT-400"),
        ("nowhere.test.note", "PIT-500"),
    ] {
        let desk = check(MessageKind::Request, 7, route, &[&format!("7 {code}")]).await;
        assert_eq!(desk.dispatcher.counters().read(), (1, 0));
        let desk = check(MessageKind::Notify, 0, route, &[]).await;
        let refused = usize::from(route != "front.test.told");
        assert_eq!(desk.dispatcher.counters().read(), (refused as u64, 0), "a notify for {route:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_answered_by_its_handler_with_or_without_the_own_type() {
    for route in ["front.test.note", "test.note"] {
        check(MessageKind::Request, 7, route, &["7 7"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn notifies_pushes_and_requests_without_an_id_run_and_are_not_answered() {
    for (kind, unnumbered) in [(MessageKind::Notify, 0), (MessageKind::Push, 0), (MessageKind::Request, 1)] {
        for (route, line) in [("front.test.note", "0"), ("front.test.told", "told")] {
            let desk = check(kind, 0, route, &[]).await;
            assert_eq!(desk.journal.lines(), [line], "{kind:?} for {route}");
            assert_eq!(desk.dispatcher.counters().read(), (0, unnumbered));
            assert_eq!(desk.registry.counts().failed, 0, "{kind:?} for {route} is no failure");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_from_a_client_is_answered_with_an_error() {
    check(MessageKind::Response, 9, "", &["9 PIT-400"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_its_request_alone() {
    let desk = Desk::start().await;
    desk.request(1, "front.test.fail");
    desk.request(2, "front.test.note");
    assert_eq!(desk.answers().await, ["1 PIT-500", "2 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_type_that_has_lost_its_servers_is_answered_with_an_error() {
    let desk = Desk::start().await;
    desk.near.publish(&[]);
    quiet().await;
    desk.request(1, "room.test.note");
    assert_eq!(desk.answers().await, ["1 PIT-500"]);
    assert_eq!(desk.dialogue.open_messages(), 0);
}

#[tokio::test(start_paused = true)]
async fn reading_pauses_at_the_bound_and_goes_on_below_it() {
    for route in ["front.test.wait", "room.test.wait", "front.test.concurrent"] {
        let desk = Desk::start().await;
        for id in 1..=BOUND as u64 {
            assert!(!desk.dialogue.is_full());
            // Notifies count as requests do.
            let kind = if id % 2 == 0 { MessageKind::Request } else { MessageKind::Notify };
            desk.send(kind, id, route);
        }
        quiet().await;
        assert!(desk.dialogue.is_full(), "{route}");
        assert_eq!(desk.wakes(), 0);
        desk.journal.go();
        if route.starts_with("room") {
            assert!(desk.busy().0.answer());
        }
        quiet().await;
        assert!(!desk.dialogue.is_full(), "{route}");
        assert_eq!(desk.wakes(), 1, "{route}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_finishes_takes_nothing_more_and_owes_until_the_last_answer() {
    for (route, is_answered) in [("front.test.wait", true), ("room.test.wait", true), ("room.test.wait", false)] {
        let desk = Desk::start().await;
        assert!(!desk.dialogue.is_full());
        desk.request(1, route);
        quiet().await;
        assert!(desk.dialogue.finish() && desk.dialogue.is_full(), "{route}");
        if is_answered {
            desk.journal.go();
            assert!(route.starts_with("front") || desk.busy().0.answer());
        } else {
            desk.pass(TIMEOUT).await;
        }
        assert_eq!(desk.answers().await, [if is_answered { "1 1" } else { "1 PIT-504" }]);
        assert!(!desk.dialogue.finish() && desk.dialogue.is_full(), "{route}");
    }
    // Nobody waits for the end of a notify.
    let desk = Desk::start().await;
    desk.send(MessageKind::Notify, 0, "front.test.wait");
    quiet().await;
    assert!(!desk.dialogue.finish());
}

#[tokio::test(start_paused = true)]
async fn at_its_deadline_a_request_is_answered_once_wherever_it_is() {
    let desk = Desk::start().await;
    // Running here, queued here; running there, waiting for a choice.
    desk.request(1, "front.test.wait");
    desk.request(2, "front.test.note");
    desk.request(3, "room.test.note");
    quiet().await;
    let (first, second) = desk.busy();
    first.drain();
    quiet().await;
    desk.request(4, "room.test.note");
    desk.pass(Duration::from_millis(9_990)).await;
    assert_eq!(desk.answers().await, Vec::<String>::new());
    desk.pass(Duration::from_millis(10)).await;
    let expired = ["1 PIT-504", "2 PIT-504", "3 PIT-504", "4 PIT-504"];
    let mut seen = desk.answers().await;
    seen.sort();
    assert_eq!(seen, expired);
    assert_eq!(desk.dialogue.next_deadline(), None);
    assert_eq!(desk.dialogue.open_messages(), 3, "what waited for a choice is over, the others still run");
    // The answers that come late are dropped, and the queued one never runs.
    assert!(first.answer());
    desk.journal.go();
    quiet().await;
    assert_eq!(desk.answers().await.len(), 4);
    assert_eq!((desk.dialogue.open_messages(), desk.journal.lines()), (0, vec!["begin 1".into(), "end 1".into()]));
    assert!(second.taken().is_empty());
}

#[tokio::test(start_paused = true)]
async fn expiry_makes_room_and_says_so() {
    let desk = Desk::start().await;
    desk.request(1, "room.test.note");
    quiet().await;
    desk.busy().0.drain();
    quiet().await;
    (2..=BOUND as u64).for_each(|id| desk.request(id, "room.test.note"));
    assert!(desk.dialogue.is_full());
    desk.pass(TIMEOUT).await;
    assert_eq!((desk.dialogue.is_full(), desk.wakes()), (false, 1));
}

#[tokio::test(start_paused = true)]
async fn a_lost_link_is_unknown_and_a_full_one_is_not_executed() {
    let desk = Desk::start().await;
    desk.request(1, "room.test.note");
    quiet().await;
    desk.network.cut();
    assert_eq!(desk.answers().await, ["1 PIT-502"]);
    desk.fars.iter().for_each(|far| drop(far.forget()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    desk.request(2, "room.test.note");
    for _ in 0..2 {
        quiet().await;
        assert!(desk.busy().0.refuse());
    }
    assert_eq!(desk.answers().await, ["1 PIT-502", "2 PIT-503"]);
    assert_eq!(desk.dialogue.open_messages(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_forwarded_notify_that_fails_is_counted() {
    let desk = Desk::start().await;
    let failed = || desk.dispatcher.counters().notifies_failed();
    for kind in [MessageKind::Notify, MessageKind::Request] {
        desk.send(kind, 1, "room.test.note");
    }
    quiet().await;
    assert!(desk.busy().0.answer());
    quiet().await;
    assert_eq!(failed(), 0);
    // One whose link is lost, and one that no server takes.
    desk.send(MessageKind::Notify, 0, "room.test.note");
    quiet().await;
    desk.network.cut();
    quiet().await;
    assert_eq!(failed(), 1);
    for kind in [MessageKind::Notify, MessageKind::Request] {
        desk.send(kind, 2, "room.test.note");
    }
    quiet().await;
    assert_eq!(failed(), 2);
}

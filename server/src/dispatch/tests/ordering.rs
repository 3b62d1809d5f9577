//! The order of one session's messages, and its end, which comes last.

use super::*;

#[tokio::test(start_paused = true)]
async fn messages_to_the_own_type_run_one_at_a_time_beside_those_to_another() {
    let desk = Desk::start().await;
    desk.request(1, "front.test.wait");
    desk.request(2, "front.test.note");
    desk.request(3, "room.test.note");
    quiet().await;
    assert!(desk.busy().0.answer());
    assert_eq!(desk.answers().await, ["3 3"]);
    desk.journal.go();
    assert_eq!(desk.answers().await, ["3 3", "1 1", "2 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_concurrent_handler_begins_in_its_turn() {
    let desk = Desk::start().await;
    desk.request(1, "front.test.concurrent");
    desk.request(2, "front.test.note");
    assert_eq!(desk.answers().await, ["2 2"]);
    assert_eq!(desk.journal.lines(), ["begin 1", "2"]);
    desk.journal.go();
    assert_eq!(desk.answers().await, ["2 2", "1 1"]);
    assert_eq!(desk.dialogue.open_messages(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_keeps_its_place_when_earlier_ones_expire() {
    let desk = Desk::start().await;
    desk.request(1, "room.test.note");
    desk.pass(Duration::from_millis(500)).await;
    desk.request(2, "room.test.note");
    quiet().await;
    let (first, second) = desk.busy();
    first.drain();
    quiet().await;
    desk.request(3, "room.test.note");
    assert!(first.refuse());
    desk.pass(Duration::from_millis(9_750)).await;
    assert!(first.refuse());
    quiet().await;
    assert_eq!(second.taken(), ["2", "3"]);
    assert_eq!(desk.answers().await, ["1 PIT-504"]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_runs_last_here_and_once() {
    let desk = Desk::start().await;
    desk.request(1, "front.test.wait");
    desk.request(2, "front.test.note");
    quiet().await;
    desk.dialogue.close(CloseReason::ClientClosed);
    desk.dialogue.close(CloseReason::Internal);
    quiet().await;
    desk.journal.go();
    quiet().await;
    let closed = format!("closed {}", CloseReason::ClientClosed.as_str());
    assert_eq!(desk.journal.lines(), ["begin 1", "end 1", "2", &closed]);
}

#[tokio::test(start_paused = true)]
async fn each_server_that_was_asked_hears_of_the_end_once() {
    let desk = Desk::start().await;
    for id in 1..=4 {
        desk.request(id, "room.test.note");
        quiet().await;
        assert!(desk.busy().0.answer());
        quiet().await;
    }
    desk.dialogue.close(CloseReason::ClientClosed);
    desk.dialogue.close(CloseReason::ClientClosed);
    quiet().await;
    assert_eq!((desk.fars[0].closed(), desk.fars[1].closed()), (vec![SESSION], vec![SESSION]));
}

#[tokio::test(start_paused = true)]
async fn a_server_hears_of_an_end_that_its_link_was_down_for_unless_it_is_another_process() {
    for is_same in [true, false] {
        let desk = Desk::start().await;
        desk.request(1, "room.test.note");
        quiet().await;
        let (asked, other) = desk.busy();
        assert!(asked.answer());
        quiet().await;
        let again = (!is_same).then(|| Far::start(&desk.network, &asked.server.id, asked.server.address.port()));
        desk.network.cut();
        quiet().await;
        desk.dialogue.close(CloseReason::ClientClosed);
        // The longest first pause before a link is tried again is over.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = again.as_ref().unwrap_or(asked);
        let link = desk.near.router.link(&now.server.id).unwrap();
        assert_eq!(link.incarnation(), now.incarnation());
        let told = if is_same { vec![SESSION] } else { vec![] };
        assert_eq!((now.closed(), other.closed()), (told.clone(), vec![]));
        // What was delivered is not delivered again.
        desk.network.cut();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(now.closed(), told);
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_does_not_hear_of_the_end_of_sessions_that_its_predecessor_had() {
    let desk = Desk::start().await;
    for id in 1..=2 {
        desk.request(id, "room.test.note");
        quiet().await;
        assert!(desk.busy().0.answer());
        quiet().await;
    }
    let again = [Far::start(&desk.network, "a", 1), Far::start(&desk.network, "b", 2)];
    desk.network.cut();
    // The longest first pause before a link is tried again is over.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(desk.near.router.link("a").is_some_and(|link| link.incarnation() == again[0].incarnation()));
    desk.request(3, "room.test.note");
    quiet().await;
    let asked = usize::from(again[0].taken().is_empty());
    assert!(again[asked].answer());
    quiet().await;
    desk.dialogue.close(CloseReason::ClientClosed);
    quiet().await;
    assert_eq!((again[asked].closed(), again[1 - asked].closed()), (vec![SESSION], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_only_refused_does_not_hear_of_the_end() {
    let desk = Desk::start().await;
    desk.request(1, "room.test.note");
    quiet().await;
    let (first, second) = desk.busy();
    assert!(first.refuse());
    quiet().await;
    let (asked, refused) = if second.taken().is_empty() { (first, second) } else { (second, first) };
    assert!(asked.answer());
    quiet().await;
    desk.dialogue.close(CloseReason::ClientClosed);
    quiet().await;
    assert_eq!((asked.closed(), refused.closed()), (vec![SESSION], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_a_message_after_the_end_hears_of_the_end_behind_it() {
    let desk = Desk::start().await;
    // Both servers know the session.
    for id in 1..=2 {
        desk.request(id, "room.test.note");
        quiet().await;
        assert!(desk.busy().0.answer());
        quiet().await;
    }
    desk.request(3, "room.test.note");
    quiet().await;
    let (first, second) = desk.busy();
    first.drain();
    desk.dialogue.close(CloseReason::ClientClosed);
    quiet().await;
    assert!(first.refuse());
    quiet().await;
    assert_eq!(second.taken(), ["3"]);
    assert!(second.answer());
    quiet().await;
    for far in &desk.fars {
        assert_eq!((far.closed(), far.late()), (vec![SESSION], 0));
    }
    assert_eq!(desk.dialogue.open_messages(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_closed_session_lets_go_of_the_links_that_its_pins_held() {
    let desk = Desk::start().await;
    let link = desk.near.router.link("a").unwrap();
    (0..2).for_each(|_| link.hold());
    (0..2).for_each(|_| drop(desk.record.pin(&"room".into(), &"a".into())));
    desk.near.publish(&[]);
    quiet().await;
    assert!(link.is_taking());
    desk.dialogue.close(CloseReason::ClientClosed);
    assert!(!link.is_taking());
}

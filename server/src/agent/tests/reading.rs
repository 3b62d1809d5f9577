//! Reading: pauses, turns, large packets.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use tokio::time::{sleep, timeout};

use super::{bench_with, connect_working, connect_working_through};
use crate::agent::testing::{Event, HEARTBEAT, request};

fn requests(ids: std::ops::Range<u64>) -> Vec<u8> {
    ids.flat_map(|id| request(id, "room.room.join", "{}")).collect()
}

#[tokio::test(start_paused = true)]
async fn reading_stops_without_room_and_goes_on_with_it() {
    let mut bench = bench_with(|_| ());
    let (mut client, notes) = connect_working(&mut bench).await;
    notes.room.store(3, SeqCst);
    client.send(&requests(1..101)).await;
    let mut next = 1;
    for _ in 0..40 {
        sleep(Duration::from_millis(1)).await;
        // The notes themselves refuse a message for which there is no room.
        for event in notes.so_far() {
            let Event::Message(message) = event else { panic!("{event:?}") };
            assert_eq!(message.id, next);
            next += 1;
        }
        notes.room.store(3, SeqCst);
        notes.client.wake();
    }
    assert_eq!(next, 101);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_on_feels_the_pause() {
    let mut bench = bench_with(|_| ());
    let (mut client, notes) = connect_working_through(&mut bench, 256).await;
    notes.room.store(1, SeqCst);
    let sent = timeout(Duration::from_secs(1), client.send(&requests(0..100_000))).await;
    assert!(sent.is_err(), "the pipe should be full");
    assert_eq!(notes.so_far().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wake_is_never_lost() {
    let mut bench = bench_with(|_| ());
    let (mut client, notes) = connect_working(&mut bench).await;
    notes.room.store(1, SeqCst);
    client.send(&requests(0..1_000)).await;
    for id in 0..1_000 {
        assert_eq!(notes.next_message().await.id, id);
        notes.room.store(1, SeqCst);
        notes.client.wake();
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_packet_arrives_whole() {
    let mut bench = bench_with(|_| ());
    let (mut client, notes) = connect_working_through(&mut bench, 1 << 16).await;
    let body = "0123456789".repeat(100_000);
    let sent = [request(1, "a", &body), request(2, "b", "after")].concat();
    client.send(&sent).await;
    let message = notes.next_message().await;
    assert!(message.body == body.as_bytes());
    assert_eq!(&*notes.next_message().await.body, b"after");
}

#[tokio::test(start_paused = true)]
#[allow(clippy::disallowed_methods, reason = "the test waits for the task itself")]
async fn a_client_that_never_stops_does_not_hold_up_the_others() {
    let mut bench = bench_with(|_| ());
    let (mut busy, busy_notes) = connect_working_through(&mut bench, 1 << 20).await;
    let (mut other, other_notes) = connect_working(&mut bench).await;
    // The test itself must be a task too: the runtime seldom asks the future it blocks on.
    let test = tokio::spawn(async move {
        busy.send(&requests(0..20_000)).await;
        other.send(&request(1, "a", "")).await;
        other_notes.next_message().await;
        let before = busy_notes.so_far().len();
        assert!(before < 2_000, "{before} messages of one client came before the only one of the other");
        while busy_notes.next_message().await.id != 19_999 {}
    });
    test.await.expect("it does not panic");
}

#[tokio::test(start_paused = true)]
async fn what_is_read_is_not_kept() {
    let mut bench = bench_with(|_| ());
    let (mut client, notes) = connect_working(&mut bench).await;
    client.send(&request(1, "a", "small")).await;
    client.send(&HEARTBEAT).await;
    let message = notes.next_message().await;
    // Whoever keeps a body keeps little more than the body.
    assert_eq!(&*message.body, b"small");
}

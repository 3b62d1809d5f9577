//! Heartbeats, silence, slow writes and deadlines.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use tokio::{
    io::AsyncReadExt,
    time::{Instant, sleep, timeout},
};

use super::{bench_with, connect_working, connect_working_through, once};
use crate::{
    agent::testing::{Event, HEARTBEAT, request},
    session::CloseReason,
};

const T: Duration = Duration::from_secs(30);

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_closed_after_three_intervals_and_never_earlier() {
    let mut bench = bench_with(|_| ());
    let (mut client, notes) = connect_working(&mut bench).await;
    let start = Instant::now();
    for count in 1..=2 {
        assert_eq!(client.packet().await, (3, vec![]));
        assert_eq!(start.elapsed().as_secs(), count * 30);
    }
    let rest = client.rest().await;
    assert!(rest.is_empty() || rest == HEARTBEAT, "{rest:?}");
    assert_eq!(start.elapsed().as_secs(), 90);
    assert_eq!(notes.next_close().await, CloseReason::HeartbeatTimeout);
}

#[tokio::test(start_paused = true)]
async fn half_a_packet_is_no_sign_of_life() {
    let mut bench = bench_with(|_| ());
    let (mut client, _) = connect_working(&mut bench).await;
    let start = Instant::now();
    for byte in [4, 0, 0, 9, 1, 1] {
        sleep(Duration::from_secs(14)).await;
        client.send(&[byte]).await;
    }
    client.rest().await;
    assert_eq!(start.elapsed().as_secs(), 90);
}

#[tokio::test(start_paused = true)]
async fn any_packet_is_a_sign_of_life() {
    let mut bench = bench_with(|_| ());
    let (mut client, _) = connect_working(&mut bench).await;
    for _ in 0..5 {
        sleep(Duration::from_secs(89)).await;
        client.send(&request(1, "a", "")).await;
    }
    let start = Instant::now();
    client.rest().await;
    assert_eq!(start.elapsed().as_secs(), 90);
}

/// It answers a heartbeat T after it, and ignores those that come while it waits to answer.
#[tokio::test(start_paused = true)]
async fn the_javascript_clients_habit_keeps_it_connected() {
    let mut bench = bench_with(|_| ());
    let (mut client, _) = connect_working(&mut bench).await;
    let start = Instant::now();
    let round_trip = Duration::from_millis(300);
    while start.elapsed() < T * 11 {
        assert_eq!(client.packet().await, (3, vec![]));
        let answer = Instant::now() + T + round_trip;
        while let Ok(packet) = tokio::time::timeout_at(answer, client.packet()).await {
            assert_eq!(packet, (3, vec![]));
        }
        client.send(&HEARTBEAT).await;
    }
    assert_eq!(bench.closed(), []);
}

#[tokio::test(start_paused = true)]
async fn a_pause_for_want_of_room_does_not_count() {
    let mut bench = bench_with(|_| ());
    let (mut client, notes) = connect_working(&mut bench).await;
    notes.room.store(1, SeqCst);
    client.send(&[request(1, "a", ""), request(2, "a", "")].concat()).await;
    notes.next_message().await;
    sleep(T * 7).await;
    assert_eq!(bench.closed(), [], "the server did not read, so the client was not silent");
    notes.room.store(10, SeqCst);
    notes.client.wake();
    notes.next_message().await;
    let start = Instant::now();
    assert_eq!(notes.next_close().await, CloseReason::HeartbeatTimeout);
    assert_eq!(start.elapsed().as_secs(), 90);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_closed() {
    let mut bench = bench_with(|_| ());
    let (client, notes) = connect_working_through(&mut bench, 64).await;
    let start = Instant::now();
    notes.client.respond(1, Ok("x".repeat(100).into()));
    assert_eq!(notes.next_close().await, CloseReason::WriteTimeout);
    assert_eq!(start.elapsed().as_secs(), 10);
    client.gone().await;
    assert_eq!(bench.closed(), once(CloseReason::WriteTimeout));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_a_little_is_not() {
    let mut bench = bench_with(|_| ());
    let (mut client, notes) = connect_working_through(&mut bench, 64).await;
    notes.client.respond(1, Ok("x".repeat(500).into()));
    let mut read = 0;
    while read < 500 {
        sleep(Duration::from_secs(7)).await;
        let mut some = [0; 40];
        read += client.pipe.read(&mut some).await.expect("a pipe does not fail");
        client.send(&HEARTBEAT).await;
    }
    assert_eq!(bench.closed(), []);
}

#[tokio::test(start_paused = true)]
async fn deadlines_are_kept() {
    let mut bench = bench_with(|_| ());
    let (mut client, notes) = connect_working(&mut bench).await;
    let start = Instant::now();
    // One that comes with a message, later than one that comes with a wake.
    *notes.deadline.lock() = Some(start + Duration::from_secs(10));
    client.send(&request(1, "a", "")).await;
    notes.next_message().await;
    *notes.deadline.lock() = Some(start + Duration::from_secs(3));
    notes.client.wake();
    assert_eq!(notes.next().await, Event::Expired);
    assert_eq!(start.elapsed().as_secs(), 3);
    *notes.deadline.lock() = Some(start + Duration::from_secs(20));
    notes.client.wake();
    assert_eq!(notes.next().await, Event::Expired);
    assert_eq!(start.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_short_heartbeat_is_kept_as_well() {
    let mut bench = bench_with(|config| config.heartbeat = Duration::from_millis(1500));
    let (mut client, _) = connect_working(&mut bench).await;
    let start = Instant::now();
    assert_eq!(client.packet().await, (3, vec![]));
    assert_eq!(start.elapsed(), Duration::from_millis(1500));
    assert!(timeout(Duration::from_secs(10), client.rest()).await.is_ok());
    assert_eq!(start.elapsed(), Duration::from_millis(4500));
}

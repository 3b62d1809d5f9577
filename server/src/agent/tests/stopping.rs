//! A server that drains.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::{PLAIN_HANDSHAKE, bench_with, connect, connect_as, connect_working};
use crate::{
    agent::testing::{ACK, handshake, request},
    session::CloseReason,
};

const ASKS: &str = r#"{"sys":{"drain":true}}"#;

#[tokio::test(start_paused = true)]
async fn clients_that_asked_are_told_when() {
    let mut bench = bench_with(|_| ());
    let (mut asked, _) = connect_as(&mut bench, 1 << 20, ASKS).await;
    let (mut other, other_notes) = connect_as(&mut bench, 1 << 20, PLAIN_HANDSHAKE).await;
    bench.worker.drain(Instant::now() + Duration::from_millis(89_500));
    let announcement = |seconds| (4, format!("\x06\x0csys.draining{{\"deadline\":{seconds}}}").into_bytes());
    assert_eq!(asked.packet().await, announcement(90));
    other_notes.push("next", "").expect("there is room");
    assert_eq!(other.packet().await, (4, b"\x06\x04next".to_vec()));
    sleep(Duration::from_secs(20)).await;
    let (mut late, _) = connect_as(&mut bench, 1 << 20, ASKS).await;
    assert_eq!(late.packet().await, announcement(70));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_closed_over_time_without_a_kick() {
    let mut bench = bench_with(|config| config.handshake_timeout = Duration::from_mins(1));
    let mut connected = Vec::new();
    for _ in 0..10 {
        connected.push(connect_working(&mut bench).await);
    }
    let mut stranger = connect(&bench);
    let start = Instant::now();
    let closing = bench.worker.dismiss_all(Duration::from_secs(20));
    let watching = async {
        let mut times = Vec::new();
        for (client, notes) in &mut connected {
            assert_eq!(client.rest().await, b"");
            assert_eq!(notes.next_close().await, CloseReason::Draining);
            times.push(start.elapsed().as_secs());
        }
        times
    };
    let (times, ()) = tokio::join!(watching, closing);
    assert_eq!(times, (0..10).map(|index| index * 2).collect::<Vec<_>>());
    assert_eq!(stranger.rest().await, b"");
    stranger.gone().await;
    let mut late = connect(&bench);
    assert_eq!(late.rest().await, b"");
    late.gone().await;
    for (client, _) in connected {
        client.gone().await;
    }
    assert_eq!(bench.closed(), [(CloseReason::Draining, 12)]);
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_is_answered_before_the_end_and_nothing_more_is_taken() {
    let mut bench = bench_with(|_| ());
    let (mut client, notes) = connect_working(&mut bench).await;
    client.send(&request(1, "room.room.join", "one")).await;
    notes.next_message().await;
    notes.owing.store(true, SeqCst);
    bench.worker.dismiss_all(Duration::ZERO).await;
    sleep(Duration::from_secs(1)).await;
    client.send(&request(2, "room.room.join", "two")).await;
    notes.owing.store(false, SeqCst);
    notes.client.respond(1, Ok(Bytes::from_static(b"done")));
    assert_eq!(client.packet().await, (4, b"\x04\x01done".to_vec()));
    assert_eq!(client.rest().await, b"");
    assert_eq!(notes.next_close().await, CloseReason::Draining);
    client.gone().await;
}

#[tokio::test(start_paused = true)]
async fn strangers_are_turned_away_and_sessions_stay() {
    let mut bench = bench_with(|_| ());
    let (mut connected, notes) = connect_working(&mut bench).await;
    let (mut stranger, start) = (connect(&bench), Instant::now());
    sleep(Duration::from_secs(1)).await;
    bench.worker.turn_away();
    let mut late = connect(&bench);
    for client in [&mut stranger, &mut late] {
        assert_eq!(client.rest().await, b"");
    }
    stranger.gone().await;
    late.gone().await;
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    notes.push("next", "").expect("it is open");
    assert_eq!(connected.packet().await, (4, b"\x06\x04next".to_vec()));
    assert_eq!(bench.closed(), [(CloseReason::Draining, 2)]);
}

/// It completed its handshake just before the server closed what it has, and comes to be listed just after that.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_listed_too_late_to_be_told_is_closed_all_the_same() {
    let mut bench = bench_with(|_| ());
    let mut client = connect(&bench);
    client.send(&handshake(PLAIN_HANDSHAKE)).await;
    client.packet().await;
    client.send(&ACK).await;
    // The connection's task has not run since.
    bench.worker.close_all();
    assert_eq!(client.rest().await, b"");
    assert_eq!(bench.opened().await.next_close().await, CloseReason::Draining);
    client.gone().await;
    assert_eq!(bench.closed(), [(CloseReason::Draining, 1)]);
}

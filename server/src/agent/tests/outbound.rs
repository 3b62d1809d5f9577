//! What is queued for a client, and what becomes of it.

use std::time::Duration;

use bytes::Bytes;

use super::{bench_with, connect_as, connect_working, connect_working_through, once};
use crate::{
    agent::{Waiting, testing::request},
    session::{CloseReason, KickReason, PushError},
    wire::{Error, SharedPush, Text},
};

#[tokio::test(start_paused = true)]
async fn answers_and_errors() {
    let mut bench = bench_with(|_| ());
    let (mut client, notes) = connect_working(&mut bench).await;
    notes.client.respond(1, Ok(Bytes::from_static(b"{}")));
    notes.client.respond(300, Err(Error::new("PIT-404", "no such thing")));
    notes.push("hello", "world").expect("there is room");
    assert_eq!(client.packet().await, (4, b"\x04\x01{}".to_vec()));
    assert_eq!(client.packet().await, (4, b"\x24\xac\x02{\"code\":\"PIT-404\",\"msg\":\"no such thing\"}".to_vec()));
    assert_eq!(client.packet().await, (4, b"\x06\x05helloworld".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_fit_is_an_error() {
    let mut bench = bench_with(|_| ());
    let (mut client, notes) = connect_working(&mut bench).await;
    notes.client.respond(1, Ok(Bytes::from(vec![0; 0xFF_FFFF])));
    let (kind, body) = client.packet().await;
    assert_eq!((kind, &body[..2]), (4, &b"\x24\x01"[..]));
    assert!(body[2..].starts_with(br#"{"code":"PIT-500""#));
    assert_eq!(notes.push(Box::leak("r".repeat(256).into_boxed_str()), ""), Err(PushError::TooLarge));
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_leaves_in_one_write() {
    let mut bench = bench_with(|_| ());
    let (client, notes) = connect_working(&mut bench).await;
    for _ in 0..100 {
        notes.push("hello", "world").expect("there is room");
    }
    // One read gives all of it only if one write did.
    let mut all = vec![0; 1 << 16];
    let mut pipe = client.pipe;
    let read = tokio::io::AsyncReadExt::read(&mut pipe, &mut all).await.expect("a pipe does not fail");
    assert_eq!(read, 100 * (4 + 12 - 1 + 1));
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_is_closed_and_nobody_waits() {
    let mut bench = bench_with(|_| ());
    let (mut client, notes) = connect_working_through(&mut bench, 64).await;
    // The socket takes some of it and no more; then the queue fills.
    let mut pushed = 0;
    while notes.push("hello", "world").is_ok() {
        pushed += 1;
        tokio::task::yield_now().await;
    }
    assert!((250..=262).contains(&pushed), "{pushed}");
    assert_eq!(notes.push("hello", "world"), Err(PushError::Closed));
    assert_eq!(notes.next_close().await, CloseReason::SlowConsumer);
    client.rest().await;
    client.gone().await;
    assert_eq!(bench.closed(), once(CloseReason::SlowConsumer));
}

#[tokio::test(start_paused = true)]
async fn bytes_are_bounded_too() {
    let mut bench = bench_with(|_| ());
    let (_client, notes) = connect_working_through(&mut bench, 64).await;
    let body: &'static str = Box::leak("x".repeat(100_000).into_boxed_str());
    let mut pushed = 0;
    while notes.push("hello", body).is_ok() {
        pushed += 1;
        tokio::task::yield_now().await;
    }
    assert_eq!(pushed, 10, "1 MiB holds ten of them");
}

#[tokio::test(start_paused = true)]
async fn a_burst_before_the_writers_turn_is_not_a_slow_client() {
    let mut bench = bench_with(|_| ());
    let (mut client, notes) = connect_working(&mut bench).await;
    for _ in 0..1_000 {
        notes.push("hello", "world").expect("the socket has not refused anything");
    }
    for _ in 0..1_000 {
        assert_eq!(client.packet().await.1, b"\x06\x05helloworld");
    }
    // But it has its limit.
    let queued = (0..2_000).take_while(|_| notes.push("hello", "world").is_ok()).count();
    assert_eq!(queued, 1_024);
}

#[tokio::test(start_paused = true)]
async fn a_push_for_many_is_queued_like_any_other() {
    let mut bench = bench_with(|_| ());
    let (mut plain, first) = connect_working_through(&mut bench, 1 << 10).await;
    let sys = r#"{"sys":{"platform":"ios","dict":true}}"#;
    let (mut other, second) = connect_as(&mut bench, 1 << 10, sys).await;
    let push = SharedPush::new(Text::from_static("onOther"), Bytes::from_static(b"world"));
    let coded = SharedPush::new(Text::from_static("onMessage"), Bytes::from(vec![b'x'; 300]));
    for notes in [&first, &second] {
        notes.push("before", "").expect("there is room");
        notes.entity.try_push_shared(notes.record.id(), &push).expect("there is room");
        notes.entity.try_push_shared(notes.record.id(), &coded).expect("there is room");
    }
    for client in [&mut plain, &mut other] {
        assert_eq!(client.packet().await.1, b"\x06\x06before");
        assert_eq!(client.packet().await.1, b"\x06\x07onOtherworld");
    }
    let [(_, plainly), (_, compressed)] = [plain.packet().await, other.packet().await];
    assert_eq!((&plainly[..3], plainly.len()), (&b"\x07\x00\x04"[..], 303));
    assert!(compressed[0] == 0x17 && compressed.len() < 100, "{compressed:?}");
    // The bounds are the same, and the answer to one too many.
    let long = SharedPush::new(Text::from("r".repeat(256)), Bytes::new());
    assert_eq!(first.entity.try_push_shared(first.record.id(), &long), Err(PushError::TooLarge));
    let mut pushed = 0;
    while first.entity.try_push_shared(first.record.id(), &coded).is_ok() {
        pushed += 1;
        tokio::task::yield_now().await;
    }
    assert!((250..=262).contains(&pushed), "{pushed}");
    assert_eq!(first.next_close().await, CloseReason::SlowConsumer);
    assert_eq!(second.entity.try_push_shared(first.record.id(), &push), Err(PushError::Closed), "of another session");
}

#[tokio::test(start_paused = true)]
async fn one_large_message_is_taken_alone() {
    let mut bench = bench_with(|_| ());
    let (mut client, notes) = connect_working_through(&mut bench, 1 << 16).await;
    let body = Bytes::from(vec![7; 8 << 20]);
    notes.client.respond(1, Ok(body.clone()));
    let (_, packet) = client.packet().await;
    assert!(packet[2..] == body);
    assert_eq!(bench.closed(), []);
}

#[tokio::test(start_paused = true)]
async fn a_kick_comes_after_what_was_queued() {
    for (sys, body) in
        [("{}", ""), (r#"{"sys":{"kickReason":true}}"#, r#"{"code":"kicked","msg":"kicked by the server"}"#)]
    {
        let mut bench = bench_with(|_| ());
        let (mut client, notes) = connect_as(&mut bench, 1 << 20, sys).await;
        notes.push("one", "").expect("there is room");
        notes.client.respond(1, Ok(Bytes::new()));
        notes.entity.kick(notes.record.id(), KickReason::Application);
        notes.entity.kick(notes.record.id(), KickReason::Replaced);
        assert_eq!(notes.push("two", ""), Err(PushError::Closed));
        notes.client.respond(2, Ok(Bytes::new()));
        assert_eq!(client.packet().await, (4, b"\x06\x03one".to_vec()));
        assert_eq!(client.packet().await, (4, b"\x04\x01".to_vec()));
        assert_eq!(client.packet().await, (5, body.as_bytes().to_vec()));
        assert_eq!(client.rest().await, b"");
        assert_eq!(notes.next_close().await, CloseReason::Kicked);
        assert_eq!(notes.record.closed(), Some(CloseReason::Kicked));
        client.gone().await;
        assert_eq!(bench.closed(), once(CloseReason::Kicked));
    }
}

#[tokio::test(start_paused = true)]
async fn a_kick_that_cannot_be_written_still_closes() {
    let mut bench = bench_with(|_| ());
    let (_client, notes) = connect_working_through(&mut bench, 64).await;
    notes.client.respond(1, Ok("x".repeat(1000).into()));
    let start = tokio::time::Instant::now();
    notes.entity.kick(notes.record.id(), KickReason::Application);
    assert_eq!(notes.next_close().await, CloseReason::Kicked);
    assert_eq!(start.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_user_has_one_session_on_a_server() {
    let mut bench = bench_with(|_| ());
    let (mut first, first_notes) = connect_working(&mut bench).await;
    let (_second, second_notes) = connect_working(&mut bench).await;
    for notes in [&first_notes, &second_notes] {
        notes.entity.bind(notes.record.id(), Text::from("ada")).await.expect("it is not bound");
    }
    assert_eq!(first.packet().await, (5, vec![]));
    assert_eq!(first_notes.next_close().await, CloseReason::Replaced);
    let again = second_notes.entity.bind(second_notes.record.id(), Text::from("bob")).await;
    assert_eq!(again.expect_err("it is bound").message(), "session is already bound to an uid");
    let holder = bench.pool.by_uid("ada").expect("she is here");
    assert_eq!(holder.record.id(), second_notes.record.id());
}

#[tokio::test(start_paused = true)]
async fn the_close_comes_once_even_when_the_task_is_dropped() {
    let mut bench = bench_with(|_| ());
    let (client, notes) = connect_working(&mut bench).await;
    client.task.abort();
    assert_eq!(notes.next_close().await, CloseReason::Internal);
    assert!(client.task.await.expect_err("it was aborted").is_cancelled());
    notes.entity.kick(notes.record.id(), KickReason::Application);
    assert_eq!(notes.push("late", ""), Err(PushError::Closed));
    assert_eq!(notes.so_far(), []);
    assert!(bench.pool.is_empty());
    assert_eq!(bench.worker.counts().open(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_keeps_no_buffer() {
    let mut bench = bench_with(|_| ());
    let (mut client, notes) = connect_working(&mut bench).await;
    notes.echo.store(true, std::sync::atomic::Ordering::SeqCst);
    for id in 1..10 {
        client.send(&request(id, "a", "echo")).await;
        assert_eq!(client.packet().await.0, 4);
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(bench.worker.buffers().idle(), 1, "the one buffer is back");
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_clients_is_counted_until_the_socket_has_it() {
    let mut bench = bench_with(|_| ());
    let (_idle, _notes) = connect_working(&mut bench).await;
    let (mut client, notes) = connect_working_through(&mut bench, 64).await;
    assert_eq!(bench.worker.outbound(), Waiting::default());
    for _ in 0..10 {
        notes.push("hello", "world").expect("there is room");
    }
    let packet = 4 + 12;
    let all = Waiting { messages: 10, bytes: 10 * packet, most_messages: 10 };
    assert_eq!(bench.worker.outbound(), all, "its task has not run");
    tokio::task::yield_now().await;
    // The socket takes four packets, wholly.
    let rest = Waiting { messages: 6, bytes: 6 * packet, most_messages: 6 };
    assert_eq!(bench.worker.outbound(), rest);
    for _ in 0..10 {
        client.packet().await;
    }
    tokio::task::yield_now().await;
    assert_eq!(bench.worker.outbound(), Waiting::default());
}

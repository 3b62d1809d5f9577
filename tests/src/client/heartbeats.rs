//! When a client says that it is alive.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Mutex, watch};

use super::{transport::Writer, wire};

/// A client's habit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heartbeats {
    /// Answer each heartbeat of the server at once.
    Answer,
    /// Answer a heartbeat of the server only after the interval, and ignore those that come meanwhile, as the
    /// JavaScript client does: its gaps reach twice the interval and a round trip.
    JavaScript(Duration),
    /// Send none but those that the test sends.
    Manual,
}

/// Follow `habit` until the client ends; `beats` counts the server's heartbeats.
pub(super) async fn send(habit: Heartbeats, mut beats: watch::Receiver<u64>, writer: Arc<Mutex<Writer>>) {
    while beats.changed().await.is_ok() {
        match habit {
            Heartbeats::Answer => {}
            Heartbeats::JavaScript(interval) => tokio::time::sleep(interval).await,
            Heartbeats::Manual => return,
        }
        // What came during the interval counts as seen.
        beats.borrow_and_update();
        let packet = wire::packet(wire::HEARTBEAT, &[]);
        if writer.lock().await.send_packets(vec![packet]).await.is_err() {
            return;
        }
    }
}

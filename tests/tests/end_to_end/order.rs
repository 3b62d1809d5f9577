//! Messages of one session to one type are handled one at a time, in the order sent; pushes come before the answer of
//! the handler that made them, unless it asked for another time.

use cereus_tests::{
    client::{Client, Event, EventKind, Transport},
    conformance::trial,
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{TRANSPORTS, TYPES, json_cluster};

/// Send `count` requests as fast as the server takes them, and check that the answers come in the same order.
async fn check_order(client: &Client, route: &str, count: usize) {
    let mut random = StdRng::seed_from_u64(7);
    let mut sent = Vec::new();
    for _ in 0..count / 100 {
        let mut batch = client.batch();
        for _ in 0..100 {
            // Most handlers are ready at once, some yield, a few sleep: the mix that brings a wrong order to light.
            let milliseconds = [0, 0, 0, 0, 0, 0, 0, 0, 1, 3][random.random_range(0..10)];
            batch = batch.request(route, format!("{milliseconds} {}", random.random::<u32>()));
        }
        sent.extend(batch.send().await.unwrap());
    }
    for id in &sent {
        client.reply(*id).await.unwrap().ok().unwrap();
    }
    let answered: Vec<_> = client
        .events()
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::Response { id, .. } => Some(id),
            _ => None,
        })
        .collect();
    assert_eq!(answered.len(), count, "each request has one answer");
    assert_eq!(answered, sent);
}

#[tokio::test]
async fn ten_thousand_pipelined_messages_keep_their_order_across_a_forward() {
    let cluster = json_cluster(3).await;
    let client = cluster.client(Transport::Tcp).await.unwrap();
    check_order(&client, &trial::route("game", trial::SLEEP), 10_000).await;
}

#[tokio::test]
async fn pipelined_messages_keep_their_order() {
    let cluster = json_cluster(1).await;
    for transport in TRANSPORTS {
        for server_type in TYPES {
            let client = cluster.client(transport).await.unwrap();
            check_order(&client, &trial::route(server_type, trial::SLEEP), 500).await;
        }
    }
}

#[tokio::test]
async fn pushes_come_before_the_answer_of_their_handler() {
    let cluster = json_cluster(2).await;
    for transport in TRANSPORTS {
        let client = cluster.client(transport).await.unwrap();
        for server_type in TYPES {
            let route = trial::route(server_type, trial::PUSH);
            let batch = client.batch().request(&route, "20").request(&route, "1").request(&route, "0");
            let ids = batch.send().await.unwrap();
            let mut replies = Vec::new();
            for id in ids {
                replies.push(client.reply(id).await.unwrap());
            }
            for (number, before) in (0..20).zip(std::iter::repeat(&replies[0])).chain([(0, &replies[1])]) {
                assert_eq!(client.next_push().await.unwrap().1, number.to_string());
                assert_eq!(before.text().unwrap(), "done");
            }
            let pushes_between = replies[1].sequence - replies[0].sequence - 1;
            assert_eq!(pushes_between, 1, "the one push of the second handler");
            assert_eq!(replies[2].sequence, replies[1].sequence + 1);
        }
    }
}

#[tokio::test]
async fn what_a_handler_leaves_for_afterwards_comes_after_its_answer() {
    let cluster = json_cluster(2).await;
    for transport in TRANSPORTS {
        let client = cluster.client(transport).await.unwrap();
        for server_type in TYPES {
            for _ in 0..100 {
                let reply = client.request(&trial::route(server_type, trial::PUSH_AFTER), "2").await.unwrap();
                assert_eq!(reply.text().unwrap(), "done");
                for number in 0..2 {
                    assert_eq!(client.next_push().await.unwrap().1, number.to_string());
                }
                let is_push = |event: &&Event| matches!(event.kind, EventKind::Push { .. });
                let pushes: Vec<_> = client.events().iter().filter(is_push).map(|event| event.sequence).collect();
                let (before, after) = pushes.split_at(pushes.len() - 2);
                assert!(before.iter().all(|place| *place < reply.sequence), "{server_type}");
                assert!(after.iter().all(|place| *place > reply.sequence), "{server_type}");
            }
        }
    }
}

#[tokio::test]
async fn a_burst_of_pushes_is_no_slow_client() {
    let cluster = json_cluster(1).await;
    for transport in TRANSPORTS {
        let client = cluster.client(transport).await.unwrap();
        for server_type in TYPES {
            let id = client.batch().request(&trial::route(server_type, trial::PUSH), "5000").send().await.unwrap()[0];
            for number in 0..5_000 {
                assert_eq!(client.next_push().await.unwrap().1, number.to_string(), "{server_type}");
            }
            assert_eq!(client.reply(id).await.unwrap().text().unwrap(), "done");
        }
    }
}

#[tokio::test]
async fn different_types_do_not_wait_for_each_other() {
    let cluster = json_cluster(1).await;
    let client = cluster.client(Transport::Tcp).await.unwrap();
    let slow = trial::route("game", trial::SLEEP);
    let fast = trial::route("connector", trial::SLEEP);
    let ids = client.batch().request(&slow, "500 slow").request(&fast, "0 fast").send().await.unwrap();
    let (slow, fast) = (client.reply(ids[0]).await.unwrap(), client.reply(ids[1]).await.unwrap());
    assert!(fast.sequence < slow.sequence);
}

#[tokio::test]
async fn a_concurrent_handler_does_not_hold_those_behind_it() {
    let cluster = json_cluster(1).await;
    let client = cluster.client(Transport::Tcp).await.unwrap();
    for server_type in TYPES {
        let slow = trial::route(server_type, trial::SLEEP_CONCURRENT);
        let fast = trial::route(server_type, trial::SLEEP);
        let ids = client.batch().request(&slow, "500 slow").request(&fast, "0 fast").send().await.unwrap();
        let (slow, fast) = (client.reply(ids[0]).await.unwrap(), client.reply(ids[1]).await.unwrap());
        assert!(fast.sequence < slow.sequence, "on {server_type}");
    }
}

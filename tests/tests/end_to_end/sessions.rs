//! What one message writes into the session, the next one reads, wherever it runs.

use cereus_tests::{
    client::{Client, EventKind, Options, Transport},
    cluster::{Cluster, Serializer},
    conformance::trial,
};

use crate::{TRANSPORTS, TYPES, assert_serves, reachable};

#[tokio::test]
async fn a_value_is_read_by_the_message_behind_the_one_that_set_it() {
    let cluster = Cluster::builder()
        .serializer(Serializer::Json)
        .frontend("connector")
        .backends("game", 2)
        .backends("hall", 1)
        .start()
        .await
        .unwrap();
    for transport in TRANSPORTS {
        for writer in ["game", "connector", "hall"] {
            let client = cluster.client(transport).await.unwrap();
            let (set, get) = (trial::route(writer, trial::SET), trial::route(writer, trial::GET));
            for value in ["first", "second"] {
                let batch = client.batch().request(&set, format!("name={value}")).request(&get, "name");
                let ids = batch.send().await.unwrap();
                assert_eq!(client.reply(ids[0]).await.unwrap().text().unwrap(), "ok");
                assert_eq!(client.reply(ids[1]).await.unwrap().text().unwrap(), value, "set and read on {writer}");
                // The save was acknowledged by the frontend: whoever is asked from now on knows it.
                for reader in ["game", "hall", "connector"] {
                    let reply = client.request(&trial::route(reader, trial::GET), "name").await.unwrap();
                    assert_eq!(reply.text().unwrap(), value, "set on {writer}, read on {reader}");
                }
            }
        }
    }
}

#[tokio::test]
async fn two_keys_set_on_two_types_stay_both() {
    let cluster =
        Cluster::builder().frontend("connector").backends("game", 1).backends("hall", 1).start().await.unwrap();
    let client = cluster.client(Transport::Tcp).await.unwrap();
    let batch = client
        .batch()
        .request(&trial::route("game", trial::SET), "left=1")
        .request(&trial::route("hall", trial::SET), "right=2");
    for id in batch.send().await.unwrap() {
        assert_eq!(client.reply(id).await.unwrap().text().unwrap(), "ok");
    }
    for (key, value) in [("left", "1"), ("right", "2")] {
        let reply = client.request(&trial::route("connector", trial::GET), key).await.unwrap();
        assert_eq!(reply.text().unwrap(), value);
    }
}

#[tokio::test]
async fn sessions_do_not_see_each_other() {
    let cluster = Cluster::connector_and_games(Serializer::Json, 1).await.unwrap();
    let [first, second] =
        [cluster.client(Transport::Tcp).await.unwrap(), cluster.client(Transport::Tcp).await.unwrap()];
    first.request(&trial::route("game", trial::SET), "name=Ada").await.unwrap().ok().unwrap();
    let reply = second.request(&trial::route("game", trial::GET), "name").await.unwrap();
    assert_eq!(reply.text().unwrap(), "");
}

#[tokio::test]
async fn a_kick_ends_its_client_alone() {
    let cluster = Cluster::connector_and_games(Serializer::Json, 1).await.unwrap();
    let witness = cluster.client(Transport::Tcp).await.unwrap();
    reachable(&witness, "game").await;
    for transport in TRANSPORTS {
        for server_type in TYPES {
            // A client that throws itself out, and one that another throws out.
            let client = cluster.client(transport).await.unwrap();
            client.notify(&format!("{server_type}.testsvc.testrequestkickme"), "").await.unwrap();
            kicked(&client).await;
            let client = cluster.client(transport).await.unwrap();
            let uid = format!("{transport:?} {server_type}");
            let bound = client.request(&format!("{server_type}.testsvc.testbindid"), &uid).await.unwrap();
            assert_eq!(bound.text().unwrap(), "ack");
            let kick = format!("{server_type}.testsvc.testrequestkickuser");
            assert_eq!(witness.request(&kick, &uid).await.unwrap().text().unwrap(), r#"{"code":200,"msg":"ok"}"#);
            kicked(&client).await;
            assert_serves(&witness).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_asked_is_told_why_it_is_kicked() {
    let cluster = Cluster::connector_and_games(Serializer::Json, 1).await.unwrap();
    reachable(&cluster.client(Transport::Tcp).await.unwrap(), "game").await;
    for server_type in TYPES {
        let mut options = Options::default();
        options.handshake["sys"]["kickReason"] = true.into();
        let client = cluster.client_with(Transport::Tcp, &options).await.unwrap();
        client.notify(&format!("{server_type}.testsvc.testrequestkickme"), "").await.unwrap();
        let kick = client.wait_for("kick", |kind| matches!(kind, EventKind::Kick(_))).await.unwrap();
        let EventKind::Kick(body) = kick.kind else { unreachable!() };
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert!(body["code"].is_string() && body["msg"].is_string(), "{body}");
    }
}

#[tokio::test]
async fn a_uid_bound_twice_belongs_to_the_later_client() {
    let cluster = Cluster::connector_and_games(Serializer::Json, 1).await.unwrap();
    reachable(&cluster.client(Transport::Tcp).await.unwrap(), "game").await;
    // Whoever binds: the frontend or a backend for it.
    for binder in TYPES {
        let bind = format!("{binder}.testsvc.testbindid");
        let mut clients = Vec::new();
        for transport in [Transport::Tcp, Transport::WebSocket, Transport::Tcp] {
            let client = cluster.client(transport).await.unwrap();
            assert_eq!(client.request(&bind, binder).await.unwrap().text().unwrap(), "ack");
            let again = client.request(&bind, "another").await.unwrap();
            assert_eq!(again.code().as_deref(), Some("PIT-444"), "a session is bound for good");
            if let Some(before) = clients.last() {
                kicked(before).await;
            }
            assert_serves(&client).await;
            clients.push(client);
        }
    }
}

/// Wait until the server has thrown the client out.
async fn kicked(client: &Client) {
    client.wait_for("kick", |kind| matches!(kind, EventKind::Kick(_))).await.unwrap();
    client.closed().await.unwrap();
}

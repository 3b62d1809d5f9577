//! Requests, notifies, pushes, errors and calls between servers: local and forwarded, in both serializers, over both
//! transports.

use cereus_tests::{
    client::Transport,
    cluster::{Cluster, Serializer},
    conformance::{Payload, TestRpcRequest, rows, trial},
    process::eventually,
};

use crate::{NOTICE, TRANSPORTS, TYPES, json_cluster};

async fn check_rows(serializer: Serializer) {
    let cluster = Cluster::connector_and_games(serializer, 1).await.unwrap();
    let client = cluster.client(Transport::Tcp).await.unwrap();
    // A backend notices the frontend a moment after both are ready.
    let call = TestRpcRequest { route: "connector.testremotesvc.rpctestnoargs".to_owned(), data: String::new() };
    let call = Payload::Rpc(call).encode(serializer);
    let ask = || async { client.request("game.testsvc.testsendrpcnoargs", &call).await?.ok().map(Some) };
    eventually("call from the backend to the frontend", NOTICE, ask).await.unwrap();

    let mut differences = Vec::new();
    for transport in TRANSPORTS {
        for (own, other) in [(TYPES[0], TYPES[1]), (TYPES[1], TYPES[0])] {
            for row in rows(own, other) {
                // `testbind` binds the session: each row has a session of its own.
                let client = cluster.client(transport).await.unwrap();
                let route = row.route(own);
                let reply = client.request(&route, row.payload.encode(serializer)).await.unwrap();
                if let Some(difference) = row.expected.difference(&reply, serializer) {
                    differences.push(format!("{route} over {transport:?}: {difference}"));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[tokio::test]
async fn conformance_rows_hold_in_json() {
    check_rows(Serializer::Json).await;
}

#[tokio::test]
async fn conformance_rows_hold_in_protobuf() {
    check_rows(Serializer::Protobuf).await;
}

#[tokio::test]
async fn bytes_come_back_as_they_were_sent() {
    for serializer in [Serializer::Json, Serializer::Protobuf] {
        let cluster = Cluster::connector_and_games(serializer, 1).await.unwrap();
        for transport in TRANSPORTS {
            let client = cluster.client(transport).await.unwrap();
            for server_type in TYPES {
                for size in [0, 1, 64, 127, 128, 129, 70_000] {
                    let body: Vec<u8> = (0..size).map(|at: u32| (at % 251) as u8).collect();
                    let reply = client.request(&format!("{server_type}.bench.echo"), &body).await.unwrap();
                    assert_eq!(reply.ok().unwrap(), body, "{size} bytes to {server_type} over {transport:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_route_of_two_parts_means_the_frontends_own_type() {
    let cluster = json_cluster(1).await;
    let client = cluster.client(Transport::Tcp).await.unwrap();
    let reply = client.request(trial::SERVER, "").await.unwrap();
    assert!(reply.text().unwrap().starts_with("connector "));
}

#[tokio::test]
async fn an_object_comes_back_as_an_object() {
    let cluster = json_cluster(1).await;
    let client = cluster.client(Transport::Tcp).await.unwrap();
    for server_type in TYPES {
        let reply = client.request(&format!("{server_type}.bench.echoobj"), r#"{"msg":"hi"}"#).await.unwrap();
        assert_eq!(reply.text().unwrap(), r#"{"code":200,"msg":"hi"}"#);
        let empty = client.request(&format!("{server_type}.bench.echoobj"), "").await.unwrap();
        assert_eq!(empty.code().as_deref(), Some("PIT-400"), "an empty payload is no JSON");
    }
}

#[tokio::test]
async fn a_group_message_reaches_its_members_on_both_transports() {
    let cluster = json_cluster(1).await;
    let mut members = Vec::new();
    for transport in TRANSPORTS {
        let client = cluster.client(transport).await.unwrap();
        assert_eq!(client.request("connector.testsvc.testbind", "").await.unwrap().text().unwrap(), "ack");
        members.push(client);
    }
    members[0].notify("connector.testsvc.testsendgroupmsg", "testing group").await.unwrap();
    for member in &members {
        assert_eq!(member.next_push().await.unwrap(), ("route.test".to_owned(), "testing group".into()));
    }
    members[1].notify("connector.testsvc.testsendgroupmsgptr", r#"{"msg":"hellow"}"#).await.unwrap();
    for member in &members {
        let (route, body) = member.next_push().await.unwrap();
        assert_eq!((&*route, &*body), ("route.testptr", &br#"{"msg":"hellow"}"#[..]));
    }
}

#[tokio::test]
async fn a_notify_has_no_answer_and_may_push() {
    for serializer in [Serializer::Json, Serializer::Protobuf] {
        let cluster = Cluster::connector_and_games(serializer, 1).await.unwrap();
        for transport in TRANSPORTS {
            let client = cluster.client(transport).await.unwrap();
            for server_type in TYPES {
                client.notify(&trial::route(server_type, trial::PUSH_NOTIFY), "2").await.unwrap();
                for number in ["0", "1"] {
                    assert_eq!(client.next_push().await.unwrap(), (trial::PUSHED.to_owned(), number.into()));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_value_and_a_failure_cross_in_protobuf_too() {
    let cluster = Cluster::connector_and_games(Serializer::Protobuf, 1).await.unwrap();
    for transport in TRANSPORTS {
        for server_type in TYPES {
            let client = cluster.client(transport).await.unwrap();
            let (set, get) = (trial::route(server_type, trial::SET), trial::route(server_type, trial::GET));
            let ids = client.batch().request(&set, "colour=red").request(&get, "colour").send().await.unwrap();
            assert_eq!(client.reply(ids[1]).await.unwrap().text().unwrap(), "red");
            let failure = client.request(&set, "no assignment").await.unwrap().failure().unwrap();
            assert_eq!((&*failure.code, &*failure.message), ("PIT-400", "the body is KEY=TEXT"));
            let panicked = client.request(&trial::route(server_type, trial::PANIC), "").await.unwrap();
            assert_eq!(panicked.code().as_deref(), Some("PIT-500"));
        }
    }
}

#[tokio::test]
async fn no_server_of_a_type_is_an_error_with_its_reason() {
    let cluster = Cluster::builder().frontend("connector").start().await.unwrap();
    let client = cluster.client(Transport::Tcp).await.unwrap();
    let failure = client.request("game.bench.echo", "x").await.unwrap().failure().unwrap();
    assert_eq!((&*failure.code, &*failure.message), ("PIT-500", "no servers available of this type"));
}

//! What members of a channel get: two frontends, two backends, each message once and in its publisher's order.

use std::{collections::BTreeSet, time::Duration};

use cereus_tests::{
    client::{Client, EventKind, Transport},
    cluster::{Cluster, Role, Serializer},
    process::{binary, eventually},
};
use tokio::process::Command;

use crate::{NOTICE, TRANSPORTS, reachable};

/// How long a server may take to stop that has nothing left to do.
const STOP: Duration = Duration::from_secs(30);

/// Two frontends and two backends that know each other.
async fn cluster() -> Cluster {
    let cluster = Cluster::builder().frontend("connector").frontend("connector").backends("game", 2).start().await;
    let cluster = cluster.unwrap();
    acquaint(&cluster, "game", &["connector-1", "connector-2"], &["game-1", "game-2"]).await;
    cluster
}

/// Wait until these frontends and backends have links to each other.
async fn acquaint(cluster: &Cluster, server_type: &str, frontends: &[&str], backends: &[&str]) {
    for frontend in frontends {
        reachable(&connect(cluster, frontend, Transport::Tcp).await, server_type).await;
    }
    let all_linked = || async {
        for backend in backends {
            let links = cluster.status(backend).await?["links"].as_array().cloned().unwrap_or_default();
            let accepted = links
                .iter()
                .filter(|link| (&link["direction"], &link["server_type"]) == (&"accepted".into(), &"connector".into()));
            let linked: BTreeSet<_> = accepted.map(|link| link["server"].to_string()).collect();
            if linked.len() < frontends.len() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    };
    eventually("links of all to all", NOTICE, all_linked).await.unwrap();
}

async fn connect(cluster: &Cluster, frontend: &str, transport: Transport) -> Client {
    Client::connect(cluster.server(frontend).unwrap().address(transport).unwrap(), transport).await.unwrap()
}

/// A new member of `group`, which joins through a server of `server_type`.
async fn member(cluster: &Cluster, frontend: &str, server_type: &str, group: &str, uid: &str) -> Client {
    let client = connect(cluster, frontend, Transport::Tcp).await;
    let reply = client.request(&format!("{server_type}.bench.join"), format!("{group}|{uid}")).await.unwrap();
    assert_eq!(reply.text().unwrap(), "ack");
    client
}

/// What was said to the client, in the order in which it came.
fn said(client: &Client) -> Vec<String> {
    let pushes = client.events().into_iter().filter_map(|event| match event.kind {
        EventKind::Push { route, body } => Some((route, body)),
        _ => None,
    });
    let pushes = pushes.inspect(|(route, _)| assert_eq!(route, "onSay"));
    pushes.map(|(_, body)| String::from_utf8(body.to_vec()).unwrap()).collect()
}

/// Wait until something ending in `end` was said to the client.
async fn heard(client: &Client, end: &str) {
    let is_it = |kind: &EventKind| matches!(kind, EventKind::Push { body, .. } if body.ends_with(end.as_bytes()));
    client.wait_for(end, is_it).await.unwrap();
}

/// Wait until so many things were said to the client.
async fn heard_so_many(client: &Client, count: usize) {
    client.wait_for_nth("push", count, |kind| matches!(kind, EventKind::Push { .. })).await.unwrap();
}

/// What one of several speakers said, of all that was said.
fn of(speaker: &str, said: &[String]) -> Vec<String> {
    let start = format!("lobby|{speaker} ");
    said.iter().filter(|text| text.starts_with(&start)).cloned().collect()
}

fn texts(speaker: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("lobby|{speaker} {number}")).collect()
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

#[tokio::test]
async fn each_member_gets_each_message_once_and_in_its_publishers_order() {
    // One backend of each type: a session stays with it, and what it says keeps its order.
    let builder = Cluster::builder().frontend("connector").frontend("connector");
    let cluster = builder.backends("game", 1).backends("hall", 1).start().await.unwrap();
    for server_type in ["game", "hall"] {
        let backend = format!("{server_type}-1");
        acquaint(&cluster, server_type, &["connector-1", "connector-2"], &[&backend]).await;
    }
    let mut members = Vec::new();
    for (number, (frontend, joiner)) in
        [("connector-1", "game"), ("connector-2", "hall"), ("connector-1", "connector"), ("connector-2", "connector")]
            .into_iter()
            .enumerate()
    {
        members.push(member(&cluster, frontend, joiner, "lobby", &format!("u{number}")).await);
    }
    let stranger = member(&cluster, "connector-1", "game", "garden", "stranger").await;
    // Members and others speak, through either frontend, by backends and by the frontends themselves.
    let visitor = connect(&cluster, "connector-2", Transport::WebSocket).await;
    let speakers = [("one", &members[0], "game"), ("two", &members[1], "connector"), ("three", &visitor, "hall")];
    for number in 0..300 {
        for (name, client, speaks_by) in speakers {
            client.notify(&format!("{speaks_by}.bench.say"), format!("lobby|{name} {number}")).await.unwrap();
        }
    }
    for member in &members {
        for (name, ..) in speakers {
            heard(member, &format!("|{name} 299")).await;
        }
        let said = said(member);
        assert_eq!(said.len(), 900);
        for (name, ..) in speakers {
            assert_eq!(of(name, &said), texts(name, 300));
        }
    }
    assert_eq!(said(&stranger), Vec::<String>::new());
    assert_eq!(said(&visitor), Vec::<String>::new());
}

#[tokio::test]
async fn who_left_or_is_gone_gets_nothing_and_is_counted_no_more() {
    let cluster = cluster().await;
    let (stays, leaves) = (
        member(&cluster, "connector-1", "game", "lobby", "stays").await,
        member(&cluster, "connector-2", "game", "lobby", "leaves").await,
    );
    let gone = member(&cluster, "connector-2", "connector", "lobby", "gone").await;
    let memberships = async |name: &str| cluster.status(name).await.unwrap()["channels"]["memberships"].clone();
    assert_eq!((memberships("connector-1").await, memberships("connector-2").await), (1.into(), 2.into()));
    leaves.request("game.bench.leave", "lobby").await.unwrap().ok().unwrap();
    drop(gone);
    let none = || async { Ok((memberships("connector-2").await == 0).then_some(())) };
    eventually("end of the memberships", NOTICE, none).await.unwrap();
    stays.notify("game.bench.say", "lobby|stays 0").await.unwrap();
    heard(&stays, "stays 0").await;
    // It is still a client: what it says itself is heard.
    leaves.notify("connector.bench.say", "lobby|leaves 0").await.unwrap();
    heard(&stays, "leaves 0").await;
    leaves.request("game.bench.join", "lobby|again").await.unwrap().failure().unwrap();
    assert_eq!(said(&leaves), Vec::<String>::new());
    for transport in TRANSPORTS {
        let client = connect(&cluster, "connector-2", transport).await;
        assert_eq!(client.request("game.bench.join", "no bar").await.unwrap().code().as_deref(), Some("PIT-400"));
    }
}

#[tokio::test]
async fn a_membership_survives_the_backend_that_made_it() {
    let mut cluster = cluster().await;
    let members = [
        member(&cluster, "connector-1", "game", "lobby", "one").await,
        member(&cluster, "connector-2", "game", "lobby", "two").await,
    ];
    for (turn, name) in ["game-1", "game-2"].into_iter().enumerate() {
        // First a backend dies, then the one that is left is replaced by a new one.
        if turn == 1 {
            cluster.add(Role::Backend, "game").await.unwrap();
            cluster.process(name).unwrap().terminate(STOP).await.unwrap();
        } else {
            cluster.process(name).unwrap().kill().await.unwrap();
        }
        let speaker = connect(&cluster, "connector-1", Transport::Tcp).await;
        let answers = || async {
            let reply = speaker.request("game.bench.echo", "").await?;
            Ok(reply.ok().is_ok().then_some(()))
        };
        eventually("answer of a backend", NOTICE, answers).await.unwrap();
        for number in 0..50 {
            speaker.notify("game.bench.say", format!("lobby|{name} {number}")).await.unwrap();
        }
        for member in &members {
            heard(member, &format!("|{name} 49")).await;
            assert_eq!(of(name, &said(member)), texts(name, 50));
        }
    }
}

#[tokio::test]
async fn a_frontend_that_comes_back_hears_what_is_said() {
    let mut cluster = cluster().await;
    let stays = member(&cluster, "connector-1", "game", "lobby", "stays").await;
    let lost = member(&cluster, "connector-2", "game", "lobby", "lost").await;
    // A backend that has told all by now what it knows of the frontends.
    stays.notify("game.bench.say", "lobby|stays 0").await.unwrap();
    heard(&lost, "stays 0").await;
    cluster.process("connector-2").unwrap().kill().await.unwrap();
    lost.closed().await.unwrap();
    // The topology lists it still: what is said reaches the others.
    stays.notify("game.bench.say", "lobby|stays 1").await.unwrap();
    heard(&stays, "stays 1").await;
    let name = cluster.add(Role::Frontend, "connector").await.unwrap();
    let back = connect(&cluster, &name, Transport::Tcp).await;
    acquaint(&cluster, "game", &["connector-1", &name], &["game-1", "game-2"]).await;
    assert_eq!(back.request("game.bench.join", "lobby|lost").await.unwrap().text().unwrap(), "ack");
    // Both backends, which are new to this frontend or it to them, reach it at once.
    for number in 2..40 {
        stays.request("game.bench.echo", "").await.unwrap();
        stays.notify("game.bench.say", format!("lobby|stays {number}")).await.unwrap();
    }
    heard_so_many(&stays, 40).await;
    heard_so_many(&back, 38).await;
    // Two backends say it in turn: their messages have no order among each other.
    let all = texts("stays", 40);
    assert_eq!(sorted(said(&back)), sorted(all[2..].to_vec()));
    assert_eq!(sorted(said(&stays)), sorted(all));
}

#[tokio::test]
async fn a_backend_stops_sending_what_nobody_hears() {
    let builder = Cluster::builder().frontend("connector").frontend("connector");
    let cluster = builder.backends("game", 1).start().await.unwrap();
    acquaint(&cluster, "game", &["connector-1", "connector-2"], &["game-1"]).await;
    let member = member(&cluster, "connector-1", "game", "lobby", "one").await;
    // It opens its links for that, once the topology lists the frontends, and they tell it what they have members of.
    let known = || async {
        member.notify("game.bench.say", "garden|nobody").await?;
        let status = cluster.status("game-1").await?;
        let known = status["channels"]["known"].as_array().cloned().unwrap_or_default();
        let complete = known.iter().filter(|known| known["channels"].is_u64()).count();
        Ok((complete >= 2).then_some(()))
    };
    eventually("interest of the frontends", NOTICE, known).await.unwrap();
    member.notify("game.bench.say", "lobby|one 0").await.unwrap();
    heard(&member, "one 0").await;
    let received = async |name: &str| {
        cluster.status(name).await.unwrap()["counters"]["channel_messages_received"].as_u64().unwrap()
    };
    let before = (received("connector-1").await, received("connector-2").await);
    for number in 1..30 {
        member.notify("game.bench.say", format!("lobby|one {number}")).await.unwrap();
        member.notify("game.bench.say", format!("garden|{number}")).await.unwrap();
    }
    heard(&member, "one 29").await;
    assert_eq!((received("connector-1").await, received("connector-2").await), (before.0 + 29, before.1));
    assert_eq!(said(&member), texts("one", 30));
}

/// What it costs is measured with a release build; that all of it arrives holds for each.
#[tokio::test]
async fn a_thousand_members_get_what_the_bench_broadcasts() {
    let cluster = Cluster::connector_and_games(Serializer::Json, 1).await.unwrap();
    let frontend = cluster.address(Transport::Tcp).unwrap().to_string();
    for outstanding in ["1", "4"] {
        let mut bench = Command::new(binary("cereus").unwrap());
        bench.args(["bench", "broadcast", &frontend, "--members", "1000", "--outstanding", outstanding, "--json"]);
        let output = bench.args(["--warmup", "100ms", "--duration", "1s"]).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&report["members"], &report["unfinished"]), (&1000.into(), &0.into()), "{report}");
        assert_eq!(report["unordered"], 0, "{report}");
        assert!(report["published"].as_u64() > Some(0), "{report}");
    }
}

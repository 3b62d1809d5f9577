//! The built-in chat over several frontends and room servers: who is told what, and that no answered message is lost,
//! doubled or out of its sender's order while room servers come, drain and die.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cereus_tests::{
    client::{Client, EventKind, TIMEOUT},
    dev::{Dev, DevServer},
    process::{Signal, eventually},
};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet};

use crate::NOTICE;

/// Messages of the long conversation, at least.
const MESSAGES: usize = 10_000;
/// Messages that each sender has under way.
const UNDER_WAY: usize = 16;

/// Ask the room for something: the answer.
async fn ask(client: &Client, method: &str, body: Value) -> Value {
    client.request(&format!("room.room.{method}"), body.to_string()).await.unwrap().json().unwrap()
}

/// Ask for something that is refused: code and text.
async fn refused(client: &Client, method: &str, body: Value) -> (String, String) {
    let reply = client.request(&format!("room.room.{method}"), body.to_string()).await.unwrap();
    let failure = reply.failure().unwrap();
    (failure.code, failure.message)
}

async fn join(dev: &Dev, frontend: usize, name: &str) -> Client {
    let client = dev.client(frontend).await.unwrap();
    let reply = client.request("room.room.join", json!({ "name": name }).to_string()).await.unwrap();
    let answer: Value = reply.json().unwrap();
    assert_eq!((&answer["code"], &answer["result"]), (&json!(0), &json!("success")));
    assert!(answer["server"].as_str().unwrap().starts_with("room-"), "{answer}");
    let is_list = |kind: &EventKind| matches!(kind, EventKind::Push { route, .. } if route == "onMembers");
    let list = client.wait_for("onMembers", is_list).await.unwrap();
    assert!(list.sequence > reply.sequence, "who is there is told behind the answer");
    client
}

/// The next push.
async fn next(client: &Client) -> (String, Value) {
    let (route, body) = client.next_push().await.unwrap();
    (route, serde_json::from_slice(&body).unwrap())
}

fn members(names: &[&str]) -> (String, Value) {
    ("onMembers".to_owned(), json!({ "members": names }))
}

fn new_user(name: &str) -> (String, Value) {
    ("onNewUser".to_owned(), json!({ "content": format!("New user: {name}") }))
}

fn said(name: &str, content: &str) -> (String, Value) {
    ("onMessage".to_owned(), json!({ "name": name, "content": content }))
}

fn gone(name: &str) -> (String, Value) {
    ("onLeave".to_owned(), json!({ "name": name }))
}

#[tokio::test]
async fn members_hear_who_comes_speaks_and_leaves() {
    let dev = Dev::start(2, 2).await.unwrap();
    let ada = join(&dev, 0, "Ada").await;
    assert_eq!(next(&ada).await, members(&["Ada"]));
    let bob = join(&dev, 1, "Bob").await;
    assert_eq!(next(&bob).await, members(&["Ada", "Bob"]), "and not that it is new itself");
    assert_eq!(next(&ada).await, new_user("Bob"));

    // As a request and as a notify; the name is the one given, or else the player's.
    let answer = ask(&ada, "message", json!({ "name": "Countess", "content": "1" })).await;
    assert_eq!((&answer["code"], answer["server"].is_string()), (&json!(0), true));
    bob.notify("room.room.message", json!({ "content": "2" }).to_string()).await.unwrap();
    for client in [&ada, &bob] {
        let mut heard = [next(client).await, next(client).await];
        heard.sort_by_key(|(_, body)| body["content"].to_string());
        assert_eq!(heard, [said("Countess", "1"), said("Bob", "2")]);
    }

    // Another of the same name; and the same again, which is no news.
    let twin = join(&dev, 0, "Bob").await;
    assert_eq!(next(&twin).await, members(&["Ada", "Bob", "Bob"]));
    assert_eq!((next(&ada).await, next(&bob).await), (new_user("Bob"), new_user("Bob")));
    ask(&twin, "join", json!({ "name": "Bob", "room": "lobby" })).await;
    assert_eq!(next(&twin).await, members(&["Ada", "Bob", "Bob"]));

    // Into another room and back, under a name that is made up: each room hears its part.
    ask(&bob, "join", json!({ "room": "garden", "name": "Gardener" })).await;
    assert_eq!((next(&bob).await, next(&ada).await), (members(&["Gardener"]), gone("Bob")));
    assert_eq!(next(&twin).await, gone("Bob"), "it heard nothing of itself joining again");
    ask(&ada, "message", json!({ "content": "3" })).await;
    assert_eq!((next(&ada).await, next(&twin).await), (said("Ada", "3"), said("Ada", "3")));
    ask(&bob, "join", json!({})).await;
    let (route, body) = next(&bob).await;
    let guest = body["members"][2].as_str().unwrap().to_owned();
    assert!(route == "onMembers" && guest.starts_with("guest-"), "{body}");
    assert_eq!((next(&ada).await, next(&twin).await), (new_user(&guest), new_user(&guest)));

    // One leaves, one closes.
    ask(&twin, "leave", json!({})).await;
    assert_eq!((next(&ada).await, next(&bob).await), (gone("Bob"), gone("Bob")));
    assert_eq!(refused(&twin, "message", json!({ "content": "?" })).await.0, "PIT-400");
    drop(bob);
    assert_eq!(next(&ada).await, gone(&guest));
    ask(&ada, "message", json!({ "content": "4" })).await;
    assert_eq!(next(&ada).await, said("Ada", "4"));
    ask(&twin, "join", json!({ "name": "Twin" })).await;
    assert_eq!((next(&twin).await, next(&ada).await), (members(&["Ada", "Twin"]), new_user("Twin")));
}

#[tokio::test]
async fn those_that_a_frontend_sends_away_are_said_to_leave() {
    let dev = Dev::start(2, 1).await.unwrap();
    let (ada, bob) = (join(&dev, 0, "Ada").await, join(&dev, 1, "Bob").await);
    assert_eq!((next(&bob).await, next(&ada).await.0), (members(&["Ada", "Bob"]), "onMembers".to_owned()));
    let frontend = dev.servers("connector0").await.unwrap().pop().unwrap();
    dev.signal(&frontend, Signal::TERM).unwrap();
    ada.closed().await.unwrap();
    assert_eq!(next(&bob).await, gone("Ada"));
}

#[tokio::test]
async fn wrong_input_is_refused_with_what_would_be_right() {
    let dev = Dev::start(1, 1).await.unwrap();
    let client = dev.client(0).await.unwrap();
    let none = ("PIT-400".to_owned(), "you are in no room: join one first".to_owned());
    assert_eq!(refused(&client, "message", json!({ "content": "x" })).await, none);
    assert_eq!(refused(&client, "leave", json!({})).await, none);
    // The longest there may be, in characters of several bytes, as user or in a message.
    let (name, content) = ("ü".repeat(32), "ü".repeat(2_000));
    ask(&client, "join", json!({ "name": name, "room": name })).await;
    assert_eq!(next(&client).await, members(&[&name]));
    ask(&client, "message", json!({ "name": name, "content": content })).await;
    assert_eq!(next(&client).await, said(&name, &content));
    let longer = "ü".repeat(33);
    for (method, body, what) in [
        ("join", json!({ "name": longer }), "name has 1 to 32 characters, not 33"),
        ("join", json!({ "name": "" }), "name has 1 to 32 characters, not 0"),
        ("join", json!({ "room": longer }), "room has 1 to 32 characters, not 33"),
        ("message", json!({ "name": longer, "content": "x" }), "name has 1 to 32 characters, not 33"),
        ("message", json!({ "content": "x".repeat(2_001) }), "content has 1 to 2000 characters, not 2001"),
        ("message", json!({ "content": "" }), "content has 1 to 2000 characters, not 0"),
        (
            "message",
            json!({ "name": "x" }),
            "the argument was not understood: missing field `content` at line 1 column 12",
        ),
        (
            "join",
            json!({ "name": 7 }),
            "the argument was not understood: invalid type: integer `7`, expected a string at line 1 column 9",
        ),
    ] {
        assert_eq!(refused(&client, method, body).await, ("PIT-400".to_owned(), what.to_owned()));
    }
    // It is where it was.
    ask(&client, "message", json!({ "content": "still here" })).await;
    assert_eq!(next(&client).await, said(&name, "still here"));
}

/// What those who speak share.
#[derive(Debug)]
struct Conversation {
    running: watch::Sender<bool>,
    /// The servers that have answered.
    servers: watch::Sender<BTreeSet<String>>,
}

/// What became of one sender's messages.
#[derive(Debug, Default)]
struct Sent {
    count: usize,
    /// Those that were answered with success.
    answered: Vec<usize>,
    /// The codes of the other answers.
    failures: BTreeMap<String, usize>,
}

/// Send numbered messages, some under way at any time, until there are enough and the conversation is over; then one more
/// that says so, until it is answered.
async fn speak(client: Arc<Client>, name: String, least: usize, conversation: Arc<Conversation>) -> Sent {
    let mut sent = Sent::default();
    let body = |content: String| json!({ "name": name, "content": content }).to_string();
    while sent.count < least || *conversation.running.borrow() {
        let mut batch = client.batch();
        for number in sent.count..sent.count + UNDER_WAY {
            batch = batch.request("room.room.message", body(number.to_string()));
        }
        for id in batch.send().await.unwrap() {
            let reply = client.reply(id).await.unwrap();
            assert_eq!(client.answers(id), 1);
            if let Some(code) = reply.code() {
                *sent.failures.entry(code).or_default() += 1;
            } else {
                sent.answered.push(sent.count);
                let server = reply.json::<Value>().unwrap()["server"].to_string();
                conversation.servers.send_if_modified(|servers| servers.insert(server));
            }
            sent.count += 1;
        }
    }
    let says_end = || async {
        let reply = client.request("room.room.message", body("end".to_owned())).await?;
        Ok(reply.ok().is_ok().then_some(()))
    };
    eventually("answer to the last message", NOTICE, says_end).await.unwrap();
    sent
}

/// All that the client was told so far under this route.
fn told(client: &Client, route: &str) -> Vec<Value> {
    let bodies = client.events().into_iter().filter_map(|event| match event.kind {
        EventKind::Push { route: of, body } if of == route => Some(serde_json::from_slice(&body).unwrap()),
        _ => None,
    });
    bodies.collect()
}

/// Wait until the client has been told just this.
async fn told_of(client: &Client, told: &Value) {
    let is_it = |kind: &EventKind| match kind {
        EventKind::Push { body, .. } => serde_json::from_slice::<Value>(body).is_ok_and(|body| body == *told),
        _ => false,
    };
    client.wait_for(&told.to_string(), is_it).await.unwrap();
}

/// The numbers that each speaker was heard saying, in the order in which they came.
fn heard(client: &Client) -> BTreeMap<String, Vec<usize>> {
    let mut heard: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for message in told(client, "onMessage") {
        let (name, content) = (message["name"].as_str().unwrap(), message["content"].as_str().unwrap());
        if let Ok(number) = content.parse() {
            heard.entry(name.to_owned()).or_default().push(number);
        }
    }
    heard
}

/// Each answered message was heard exactly once and in order, each other one at most once.
fn check(member: &str, speaker: &str, sent: &Sent, heard: &[usize]) {
    let different: BTreeSet<_> = heard.iter().copied().collect();
    assert_eq!(different.len(), heard.len(), "{member} heard something of {speaker} twice");
    let answered: BTreeSet<_> = sent.answered.iter().copied().collect();
    let heard: Vec<_> = heard.iter().copied().filter(|number| answered.contains(number)).collect();
    let mut both = heard.iter().zip(&sent.answered);
    let wrong = both.find(|(heard, answered)| heard != answered);
    assert_eq!(wrong, None, "what {member} heard of {speaker}, and what it should have heard there");
    assert_eq!(heard.len(), sent.answered.len(), "{member} did not hear the last that {speaker} said");
}

#[tokio::test]
async fn no_answered_message_is_lost_while_room_servers_come_and_go() {
    let dev = Dev::start(2, 2).await.unwrap();
    let mut clients = Vec::new();
    for number in 0..6 {
        clients.push(Arc::new(join(&dev, number % 2, &format!("m{number}")).await));
    }
    let speakers = 4;
    let conversation =
        Arc::new(Conversation { running: watch::Sender::new(true), servers: watch::Sender::new(BTreeSet::new()) });
    let mut speaking = JoinSet::new();
    for (number, client) in clients.iter().take(speakers).enumerate() {
        let speech = speak(client.clone(), format!("m{number}"), MESSAGES / speakers, conversation.clone());
        speaking.spawn(async move { (number, speech.await) });
    }
    dev.scale("room", 4).await.unwrap();
    let mut servers = conversation.servers.subscribe();
    let all_answer = servers.wait_for(|servers| servers.len() == 4);
    tokio::time::timeout(TIMEOUT, all_answer).await.expect("all four servers answer").unwrap();
    let victim = dev.servers("room").await.unwrap().pop().unwrap();
    dev.signal(&victim, Signal::KILL).unwrap();
    let restarted = || async {
        let servers = dev.servers("room").await?;
        let is_back =
            |server: &&DevServer| server.name == victim.name && server.state == "ready" && server.pid != victim.pid;
        Ok(servers.iter().find(is_back).map(drop))
    };
    eventually("restart of the killed server", NOTICE * 2, restarted).await.unwrap();
    dev.scale("room", 1).await.unwrap();
    conversation.running.send_replace(false);
    let mut all_sent: BTreeMap<usize, Sent> = BTreeMap::new();
    while let Some(result) = speaking.join_next().await {
        let (number, sent) = result.unwrap();
        all_sent.insert(number, sent);
    }

    let count: usize = all_sent.values().map(|sent| sent.count).sum();
    let failures: usize = all_sent.values().flat_map(|sent| sent.failures.values()).sum();
    assert!(count >= MESSAGES, "{count} messages");
    // What the killed server had under way, and nothing else.
    let codes: BTreeSet<_> = all_sent.values().flat_map(|sent| sent.failures.keys()).collect();
    assert!(codes.iter().all(|code| ["PIT-502", "PIT-503"].contains(&code.as_str())), "{codes:?}");
    assert!(failures <= speakers * UNDER_WAY, "{failures} of {count} failed");
    for (number, client) in clients.iter().enumerate() {
        for speaker in 0..speakers {
            told_of(client, &said(&format!("m{speaker}"), "end").1).await;
        }
        let heard = heard(client);
        for (speaker, sent) in &all_sent {
            let speaker = format!("m{speaker}");
            check(&format!("m{number}"), &speaker, sent, &heard[&speaker]);
        }
    }

    // Of those who leave and those who close everybody hears once, whatever became of the servers that they joined by.
    ask(&clients[1], "leave", json!({})).await;
    clients.truncate(2);
    let is_leave = |kind: &EventKind| matches!(kind, EventKind::Push { route, .. } if route == "onLeave");
    let stays = &clients[0];
    stays.wait_for_nth("five that leave", 5, is_leave).await.unwrap();
    ask(stays, "message", json!({ "content": "alone" })).await;
    told_of(stays, &said("m0", "alone").1).await;
    let mut gone: Vec<_> = told(stays, "onLeave").into_iter().map(|body| body["name"].to_string()).collect();
    gone.sort();
    assert_eq!(gone, ["\"m1\"", "\"m2\"", "\"m3\"", "\"m4\"", "\"m5\""]);
}

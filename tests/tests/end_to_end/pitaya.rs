//! Servers that speak `protos.Pitaya`, on either side.

use std::{path::PathBuf, sync::Arc};

use cereus_tests::{
    client::{Client, EventKind, Transport},
    cluster::{Cluster, Serializer},
    conformance::trial,
    pitaya::{
        Backend, BindMsg, Call, CallError, KickMsg, MESSAGE_NOTIFY, MESSAGE_REQUEST, PitayaClient, Push, RPC_SYS,
        RPC_USER, Response, Session,
    },
    process::eventually,
};
use prost::Message as _;
use tokio::sync::Semaphore;

use crate::{NOTICE, assert_serves, json_cluster};

/// The id of the only server of a type.
fn only(cluster: &Cluster, server_type: &str) -> String {
    let label = format!("server-type: {server_type}");
    let files = std::fs::read_dir(cluster.directory()).unwrap().map(|entry| entry.unwrap());
    let mut files = files.filter(|file| std::fs::read_to_string(file.path()).unwrap().contains(&label));
    let name = files.next().unwrap().file_name().into_string().unwrap();
    name.strip_prefix("endpointslice-").unwrap().strip_suffix(".yaml").unwrap().to_owned()
}

async fn client_of(cluster: &Cluster, server_type: &str) -> PitayaClient {
    PitayaClient::find(cluster.directory(), &only(cluster, server_type)).await.unwrap()
}

fn session() -> Session {
    Session { id: 7, ..Session::default() }
}

fn sys(route: &str, data: &str) -> Call {
    Call::sys(session(), "front-1", route, data)
}

fn error(response: Response) -> CallError {
    assert!(response.data.is_empty(), "{response:?}");
    response.error.unwrap()
}

#[tokio::test]
async fn a_caller_that_speaks_pitaya_is_answered() {
    let cluster = json_cluster(1).await;
    for server_type in ["game", "connector"] {
        let client = client_of(&cluster, server_type).await;
        let call =
            async |method: &str, data: &str| client.call(sys(&format!("{server_type}.{method}"), data)).await.unwrap();
        let answer = call("testsvc.testrequestreturnsptr", r#"{"msg":"good"}"#).await;
        assert_eq!(answer, Response::ok(r#"{"code":200,"msg":"good"}"#));
        assert_eq!(call("bench.echo", "bytes").await, Response::ok("bytes"));

        let failed = error(call("testsvc.testrequestreturnserror", "").await);
        assert_eq!((&*failed.code, &*failed.msg), ("PIT-555", "somerror"));
        let failed = error(call("testsvc.nonexistenthandler", "").await);
        let text = format!("pitaya/handler: {server_type}.testsvc.nonexistenthandler not found");
        assert_eq!((&*failed.code, &*failed.msg), ("PIT-404", &*text));

        let notify = sys(&format!("{server_type}.testsvc.testsendgroupmsg"), "to nobody").notify();
        assert_eq!(client.call(notify).await.unwrap(), Response::ok("ack"));
    }
}

#[tokio::test]
async fn a_user_call_runs_a_remote_handler() {
    let cluster = json_cluster(1).await;
    let client = client_of(&cluster, "game").await;
    let call = async |method: &str, data: &str| {
        client.call(Call::user(&format!("game.testremotesvc.{method}"), data)).await.unwrap()
    };
    let answer = call("rpctestrawptrreturnsptr", r#"{"msg":"thisthis"}"#).await;
    assert_eq!(answer, Response::ok(r#"{"code":200,"msg":"got thisthis"}"#));
    let failed = error(call("rpctestreturnserror", "{}").await);
    assert_eq!((&*failed.code, &*failed.msg, &*failed.metadata["some"]), ("PIT-433", "test error", "meta"));
    let failed = error(call("rpctestnotfound", "{}").await);
    let route = &*failed.metadata["route"];
    assert_eq!((&*failed.code, &*failed.msg, route), ("PIT-404", "route not found", "testremotesvc.rpctestnotfound"));
}

#[tokio::test]
async fn calls_of_one_session_are_handled_in_the_order_of_their_arrival() {
    let cluster = json_cluster(1).await;
    let client = client_of(&cluster, "game").await;
    for _ in 0..5 {
        let answered = parking_lot::Mutex::new(Vec::new());
        let call = async |text: &'static str| {
            client.call(sys("game.trial.sleep", text)).await.unwrap();
            answered.lock().push(text);
        };
        // Polled in this order, and on one connection they leave in it.
        tokio::join!(biased; call("50 first"), call("0 second"), call("10 third"));
        assert_eq!(*answered.lock(), ["50 first", "0 second", "10 third"]);
    }
}

/// A frontend, and a backend of type `world` that answers as its routes say.
struct World {
    cluster: Cluster,
    backend: Backend,
    gate: Arc<Semaphore>,
}

impl World {
    async fn start() -> World {
        let cluster = Cluster::builder().serializer(Serializer::Json).frontend("connector").start().await.unwrap();
        let gate = Arc::new(Semaphore::new(0));
        let (directory, held) = (cluster.directory().to_owned(), gate.clone());
        let backend = Backend::start(move |call| answer(call, directory.clone(), held.clone())).unwrap();
        backend.show(cluster.directory(), "world", "world-1").unwrap();
        let world = World { cluster, backend, gate };
        let client = world.client().await;
        let ask = || async { client.request("world.room.echo", "").await?.ok().map(Some) };
        eventually("answer of the other backend", NOTICE, ask).await.unwrap();
        world
    }

    async fn client(&self) -> Client {
        self.cluster.client(Transport::Tcp).await.unwrap()
    }
}

async fn answer(call: Call, directory: PathBuf, gate: Arc<Semaphore>) -> Response {
    let session = call.session.clone().unwrap_or_default();
    let body = call.data().to_vec();
    match call.method() {
        "fail" => Response::failed("WORLD-1", "it failed", &[("some", "meta")]),
        "held" => {
            gate.acquire().await.unwrap().forget();
            Response::ok(body)
        }
        "never" => std::future::pending().await,
        "far" => Response::ok(r#"{"code":200,"msg":"from afar"}"#),
        // Binds the session to the user in the body, and greets the user.
        "join" => {
            let front = PitayaClient::find(&directory, &call.frontend).await.unwrap();
            let uid = String::from_utf8(body).unwrap();
            let bind = Session { uid: uid.clone(), ..session };
            let bound = front.call(Call::user("sys.bindsession", bind.encode_to_vec())).await.unwrap();
            if bound.error.is_none() {
                assert_eq!(bound.data, b"\x0a\x03ack");
                let push = Push { route: "on.join".to_owned(), uid, data: b"welcome".to_vec() };
                assert_eq!(front.push_to_user(push).await.unwrap(), Response::ok("ack"));
                return Response::ok("joined");
            }
            bound
        }
        // Replaces the values of the session by those in the body.
        "save" => {
            let front = PitayaClient::find(&directory, &call.frontend).await.unwrap();
            let save = Session { data: body, ..session };
            let saved = front.call(Call::user("connector.sys.pushsession", save.encode_to_vec())).await.unwrap();
            assert_eq!(saved, Response::ok(*b"\x0a\x03ack"));
            Response::ok("saved")
        }
        "whoami" => Response::ok(format!("{} {}", session.uid, String::from_utf8(session.data).unwrap())),
        _ => Response::ok(body),
    }
}

#[tokio::test]
async fn a_message_to_a_backend_that_speaks_pitaya_is_a_call() {
    let world = World::start().await;
    let client = world.client().await;
    assert_eq!(client.request("world.room.upper", "body").await.unwrap().text().unwrap(), "body");
    let call = world.backend.calls_of("upper").remove(0);
    let message = call.msg.as_ref().unwrap();
    assert_eq!((call.kind, &*call.frontend), (RPC_SYS, &*only(&world.cluster, "connector")));
    assert_eq!((message.kind, &*message.route, message.id > 0), (MESSAGE_REQUEST, "world.room.upper", true));
    assert!(call.session.unwrap().id > 0);
    let metadata: serde_json::Value = serde_json::from_slice(&call.metadata).unwrap();
    assert_eq!((&metadata["req-route"], &metadata["peer.service"]), (&"world.room.upper".into(), &"connector".into()));
    assert_eq!((&metadata["reqTimeout"], metadata["request.id"].as_str().unwrap().len()), (&"10s".into(), 22));
    assert!(metadata["req-start-time"].is_i64() && metadata["peer.id"].is_string());

    let failure = client.request("world.room.fail", "").await.unwrap().failure().unwrap();
    assert_eq!((&*failure.code, &*failure.message), ("WORLD-1", "it failed"));
    assert_eq!(failure.metadata["some"], "meta");

    client.notify("world.room.told", "quietly").await.unwrap();
    let told = || async { Ok(world.backend.calls_of("told").into_iter().next()) };
    let message = eventually("notify", NOTICE, told).await.unwrap().msg.unwrap();
    assert_eq!((message.kind, message.id, &*message.data), (MESSAGE_NOTIFY, 0, &b"quietly"[..]));
}

#[tokio::test]
async fn such_a_backend_binds_pushes_and_saves_through_the_frontend() {
    let world = World::start().await;
    let client = world.client().await;
    let id = client.begin("world.room.join", "ada").await.unwrap();
    assert_eq!(client.reply(id).await.unwrap().text().unwrap(), "joined");
    let arrived: Vec<_> = client.events().into_iter().map(|event| event.kind).collect();
    let place = |wanted: &dyn Fn(&EventKind) -> bool| arrived.iter().position(wanted).unwrap();
    let push =
        place(&|kind| matches!(kind, EventKind::Push { route, body } if route == "on.join" && body == "welcome"));
    assert!(push < place(&|kind| matches!(kind, EventKind::Response { id: answered, .. } if *answered == id)));

    let failure = client.request("world.room.join", "bob").await.unwrap().failure().unwrap();
    assert_eq!((&*failure.code, &*failure.message), ("PIT-000", "session is already bound to an uid"));

    // One write: the second message waits for the first, and so sees what it saved.
    let batch = client.batch().request("world.room.save", r#"{"name":"Ada"}"#).request("world.room.whoami", "");
    let ids = batch.send().await.unwrap();
    assert_eq!(client.reply(ids[0]).await.unwrap().text().unwrap(), "saved");
    assert_eq!(client.reply(ids[1]).await.unwrap().text().unwrap(), r#"ada {"name":"Ada"}"#);
    let seen = client.request(&trial::route("connector", trial::GET), "name").await.unwrap();
    assert_eq!(seen.text().unwrap(), "Ada");
}

#[tokio::test]
async fn a_session_has_one_call_in_flight_and_others_beside_it() {
    let world = World::start().await;
    let client = world.client().await;
    let mut batch = client.batch();
    for number in 0..5 {
        batch = batch.request("world.room.held", number.to_string());
    }
    // When this one is answered, the frontend has seen those before it.
    let ids = batch.request("connector.bench.echo", "").send().await.unwrap();
    client.reply(ids[5]).await.unwrap();
    for (number, id) in ids.iter().take(5).enumerate() {
        let other = world.client().await;
        assert_eq!(other.request("world.room.echo", "beside").await.unwrap().text().unwrap(), "beside");
        let held = || async { Ok((world.backend.calls_of("held").len() == number + 1).then_some(())) };
        eventually("the next call", NOTICE, held).await.unwrap();
        world.gate.add_permits(1);
        assert_eq!(client.reply(*id).await.unwrap().text().unwrap(), number.to_string());
    }
    let bodies: Vec<_> = world.backend.calls_of("held").iter().map(|call| call.data().to_vec()).collect();
    assert_eq!(bodies, [b"0", b"1", b"2", b"3", b"4"]);
}

#[tokio::test]
async fn game_code_calls_such_a_backend() {
    let world = World::start().await;
    let client = world.client().await;
    let send = async |route: &str| {
        let body = format!(r#"{{"route":"{route}","data":"x"}}"#);
        client.request("connector.testsvc.testsendrpc", body).await.unwrap()
    };
    assert_eq!(send("world.remote.far").await.text().unwrap(), r#"{"code":200,"msg":"from afar"}"#);
    let call = world.backend.calls_of("far").remove(0);
    assert_eq!(call.data(), br#"{"msg":"x"}"#);
    assert_eq!((call.kind, call.session, &*call.msg.unwrap().route), (RPC_USER, None, "world.remote.far"));
    let failure = send("world.remote.fail").await.failure().unwrap();
    assert_eq!((&*failure.code, &*failure.metadata["some"]), ("WORLD-1", "meta"));
}

#[tokio::test]
async fn a_user_is_kicked_by_others() {
    let world = World::start().await;
    let front = client_of(&world.cluster, "connector").await;
    let kick = |uid: &str| KickMsg { uid: uid.to_owned() };
    let [by_method, by_route, by_bind] = [world.client().await, world.client().await, world.client().await];
    for (client, uid) in [(&by_method, "ada"), (&by_route, "bob"), (&by_bind, "eve")] {
        assert_eq!(client.request("world.room.join", uid).await.unwrap().text().unwrap(), "joined");
    }
    assert!(front.kick_user(kick("ada")).await.unwrap().kicked);
    by_method.closed().await.unwrap();
    let kicked = front.call(Call::user("sys.kick", kick("bob").encode_to_vec())).await.unwrap();
    assert_eq!(kicked, Response::ok(*b"\x08\x01"));
    by_route.closed().await.unwrap();
    let bound = BindMsg { uid: "eve".to_owned(), fid: "another-frontend".to_owned() };
    assert_eq!(front.session_bind_remote(bound).await.unwrap(), Response::ok("ack"));
    by_bind.closed().await.unwrap();
    let gone = || async {
        let answer = front.call(Call::user("sys.kick", kick("bob").encode_to_vec())).await?;
        Ok(answer.error.filter(|error| error.code == "PIT-000" && error.msg == "session not found"))
    };
    eventually("end of the session", NOTICE, gone).await.unwrap();
}

#[tokio::test]
async fn the_loss_of_such_a_backend_is_answered() {
    let mut world = World::start().await;
    let client = world.client().await;
    let ids = client.batch().request("world.room.never", "").request("world.room.echo", "").send().await.unwrap();
    let begun = || async { Ok(world.backend.calls_of("never").into_iter().next()) };
    eventually("call", NOTICE, begun).await.unwrap();
    world.backend.die();
    let failure = client.reply(ids[0]).await.unwrap().failure().unwrap();
    assert_eq!(&*failure.code, "PIT-502", "{failure:?}");
    let failure = client.reply(ids[1]).await.unwrap().failure().unwrap();
    assert_eq!(&*failure.code, "PIT-503", "{failure:?}");
    assert_serves(&client).await;
}

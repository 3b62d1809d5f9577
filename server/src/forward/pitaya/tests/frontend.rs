//! A frontend whose sessions other servers change.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use prost::Message as _;
use tonic::Code;

use super::support::{Host, Options, user};
use crate::rpc::proto::pitaya as protos;
use crate::session::{
    BoxFuture, Changes, Entity, Entry, Frontend, KickReason, Pool, PushError, Record, SaveError, SessionId,
};
use crate::topology::Server;
use crate::wire::{Error, Text};

/// A connection as a stub: it notes what it is told.
struct Socket {
    record: Arc<Record>,
    pool: Arc<Pool>,
    told: Mutex<Vec<String>>,
}

impl Entity for Socket {
    fn try_push(&self, _: SessionId, route: &str, body: &Bytes) -> Result<(), PushError> {
        self.told.lock().push(format!("{route}: {}", String::from_utf8_lossy(body)));
        Ok(())
    }

    fn writable(&self) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }

    fn kick(&self, _: SessionId, reason: KickReason) {
        self.told.lock().push(reason.to_string());
    }

    fn bind(&self, session: SessionId, uid: Text) -> BoxFuture<'static, Result<u64, Error>> {
        let bound = self.record.bind(&uid);
        if let Some(entry) = self.pool.get(session) {
            self.pool.bind_unique(&uid, &entry);
        }
        std::future::ready(bound).boxed()
    }

    fn save(&self, _: SessionId, changes: Changes) -> BoxFuture<'static, Result<u64, SaveError>> {
        std::future::ready(self.record.apply(&changes)).boxed()
    }

    fn pin(&self, _: SessionId) -> BoxFuture<'static, Result<(), Error>> {
        std::future::ready(Ok(())).boxed()
    }

    fn unpin(&self, _: SessionId) {}

    fn address(&self) -> Frontend {
        Frontend { id: "host-1".into(), server_type: "host".into() }
    }
}

/// A frontend with the session 42.
async fn frontend() -> (Host, Arc<Socket>) {
    let server = |id: &str, server_type: &str| Server::new(id, server_type, ([127, 0, 0, 1], 1));
    let servers = vec![server("host-1", "host"), server("host-2", "host"), server("other-1", "other")];
    let host = Host::start(Options { frontend: true, servers, ..Options::default() }).await;
    let record = Arc::new(Record::new(SessionId::try_from(42).unwrap()));
    let socket = Arc::new(Socket { record: record.clone(), pool: host.pool.clone(), told: Mutex::default() });
    host.pool.insert(Arc::new(Entry { record, entity: socket.clone() }));
    (host, socket)
}

fn session(id: i64, uid: &str, data: &'static str) -> Vec<u8> {
    protos::Session { id, uid: uid.to_owned(), data: Bytes::from_static(data.as_bytes()) }.encode_to_vec()
}

#[tokio::test]
async fn a_session_is_bound_once() {
    let (host, socket) = frontend().await;
    assert_eq!(host.failure(user("sys.bindsession", session(42, "", ""))).await.msg, "illegal uid");
    let bound = host.call(user("sys.bindsession", session(42, "ada", ""))).await;
    assert_eq!((&*bound.data, bound.error), (&b"\x0a\x03ack"[..], None));
    assert_eq!(socket.record.uid().unwrap().as_str(), "ada");
    let error = host.failure(user("sys.bindsession", session(42, "bob", ""))).await;
    assert_eq!((&*error.code, &*error.msg), ("PIT-000", "session is already bound to an uid"));
    for id in [43, 0, -1] {
        let error = host.failure(user("sys.bindsession", session(id, "bob", ""))).await;
        assert_eq!((&*error.code, &*error.msg), ("PIT-000", "session not found"));
    }
    assert_eq!(host.failure(user("sys.bindsession", "\u{1}")).await.code, "PIT-400");
}

#[tokio::test]
async fn values_are_replaced_as_a_whole_and_empty_data_changes_nothing() {
    let (host, socket) = frontend().await;
    socket.record.set("old", "1").unwrap();
    let values = || String::from_utf8(socket.record.representation().data.to_vec()).unwrap();
    for (data, after) in [(r#"{"new":{"a":[1]}}"#, r#"{"new":{"a":[1]}}"#), ("", r#"{"new":{"a":[1]}}"#), ("{}", "{}")]
    {
        let replaced = host.call(user("host.sys.pushsession", session(42, "", data))).await;
        assert_eq!((&*replaced.data, replaced.error), (&b"\x0a\x03ack"[..], None));
        assert_eq!(values(), after, "{data}");
    }
    assert_eq!(host.failure(user("sys.pushsession", session(43, "", "{}"))).await.msg, "session not found");
    assert_eq!(host.failure(user("sys.pushsession", session(42, "", "[]"))).await.code, "PIT-400");
}

#[tokio::test]
async fn users_are_pushed_to_and_kicked() {
    let (host, socket) = frontend().await;
    host.call(user("sys.bindsession", session(42, "ada", ""))).await;
    let mut client = host.client.clone();
    let push =
        |uid: &str| protos::Push { route: "on".to_owned(), uid: uid.to_owned(), data: Bytes::from_static(b"hi") };
    let pushed = client.push_to_user(push("ada")).await.unwrap().into_inner();
    assert_eq!((&*pushed.data, pushed.error), (&b"ack"[..], None));
    let kicked = host.call(user("sys.kick", protos::KickMsg { user_id: "ada".to_owned() }.encode_to_vec())).await;
    assert_eq!((&*kicked.data, kicked.error), (&b"\x08\x01"[..], None));
    assert!(client.kick_user(protos::KickMsg { user_id: "ada".to_owned() }).await.unwrap().into_inner().kicked);
    assert_eq!(*socket.told.lock(), ["on: hi", "kicked", "kicked"]);

    let gone = protos::KickMsg { user_id: "bob".to_owned() };
    let error = host.failure(user("sys.kick", gone.encode_to_vec())).await;
    assert_eq!((&*error.code, &*error.msg), ("PIT-000", "session not found"));
    let statuses = [client.push_to_user(push("bob")).await.unwrap_err(), client.kick_user(gone).await.unwrap_err()];
    for status in statuses {
        assert_eq!((status.code(), status.message()), (Code::Unknown, "session not found"));
    }
}

#[tokio::test]
async fn a_bind_elsewhere_ends_the_session_on_frontends_of_that_type() {
    let (host, socket) = frontend().await;
    host.call(user("sys.bindsession", session(42, "ada", ""))).await;
    let mut client = host.client.clone();
    for (uid, fid, told) in
        [("ada", "host-1", 0), ("ada", "other-1", 0), ("bob", "host-2", 0), ("ada", "host-2", 1), ("ada", "unknown", 2)]
    {
        let bound = protos::BindMsg { uid: uid.to_owned(), fid: fid.to_owned() };
        let answer = client.session_bind_remote(bound).await.unwrap().into_inner();
        assert_eq!((&*answer.data, answer.error), (&b"ack"[..], None));
        assert_eq!(*socket.told.lock(), vec!["replaced"; told], "{uid} at {fid}");
    }
}

//! Sessions at both ends: the record, a copy of it, handles on the copy, and the pool.

mod close;
mod conflicts;
mod copy;
mod handle;
mod ids;
mod pool;
mod properties;
mod record;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::*;
use crate::wire::{Error, Serializer, Text};

/// An end that saves and binds at a record of its own, as a frontend's agent does, and takes as many pushes as it is
/// told to.
struct LocalEnd {
    record: Arc<Record>,
    room: Mutex<usize>,
    changed: Arc<Notify>,
    pushes: Mutex<Vec<(String, Bytes)>>,
    kicks: Mutex<Vec<KickReason>>,
    pins: Mutex<i32>,
    /// Failures that the next saves meet instead of the record.
    failures: Mutex<VecDeque<SaveError>>,
    /// What happens at the record before each of the next saves.
    meanwhile: Mutex<VecDeque<Value>>,
    /// What a save waits for before it is answered.
    gate: Mutex<Option<Arc<Notify>>>,
    /// Whether it can promise close callbacks, as only a frontend can.
    frontend: bool,
}

impl LocalEnd {
    fn new(record: Arc<Record>) -> Self {
        Self {
            record,
            room: Mutex::new(usize::MAX),
            changed: Arc::default(),
            pushes: Mutex::default(),
            kicks: Mutex::default(),
            pins: Mutex::default(),
            failures: Mutex::default(),
            meanwhile: Mutex::default(),
            gate: Mutex::default(),
            frontend: true,
        }
    }
}

impl Entity for LocalEnd {
    fn try_push(&self, _session: SessionId, route: &str, body: &Bytes) -> Result<(), PushError> {
        if self.record.closed().is_some() {
            return Err(PushError::Closed);
        }
        let mut room = self.room.lock();
        *room = room.checked_sub(1).ok_or(PushError::Full)?;
        self.pushes.lock().push((route.to_owned(), body.clone()));
        Ok(())
    }

    fn writable(&self) -> BoxFuture<'static, ()> {
        let changed = Arc::clone(&self.changed);
        Box::pin(async move { changed.notified().await })
    }

    fn kick(&self, _session: SessionId, reason: KickReason) {
        self.kicks.lock().push(reason);
    }

    fn bind(&self, _session: SessionId, uid: Text) -> BoxFuture<'static, Result<u64, Error>> {
        let record = Arc::clone(&self.record);
        Box::pin(async move { record.bind(&uid) })
    }

    fn save(&self, _session: SessionId, changes: Changes) -> BoxFuture<'static, Result<u64, SaveError>> {
        let record = Arc::clone(&self.record);
        let failure = self.failures.lock().pop_front();
        if let Some(Value::Object(values)) = self.meanwhile.lock().pop_front() {
            values.into_iter().for_each(|(key, value)| assert!(record.set(key, &value).is_ok()));
        }
        let gate = self.gate.lock().clone();
        Box::pin(async move {
            if let Some(gate) = gate {
                gate.notified().await;
            }
            failure.map_or_else(|| record.apply(&changes), Err)
        })
    }

    fn pin(&self, _session: SessionId) -> BoxFuture<'static, Result<(), Error>> {
        *self.pins.lock() += 1;
        Box::pin(async { Ok(()) })
    }

    fn unpin(&self, _session: SessionId) {
        *self.pins.lock() -= 1;
    }

    fn address(&self) -> Frontend {
        Frontend { id: "connector-1".into(), server_type: "connector".into() }
    }

    fn on_close(&self, _session: SessionId, callback: OnClose) -> Result<(), OnClose> {
        if !self.frontend {
            return Err(callback);
        }
        self.record.on_close(callback);
        Ok(())
    }
}

fn id(number: i64) -> SessionId {
    SessionId::try_from(number).unwrap()
}

fn record() -> Arc<Record> {
    Arc::new(Record::new(id(256)))
}

/// One session, its end, the lane's copy, and a handle.
fn world() -> (Arc<Record>, Arc<LocalEnd>, Arc<Copy>, Session) {
    with_end(LocalEnd::new(record()))
}

fn with_end(end: LocalEnd) -> (Arc<Record>, Arc<LocalEnd>, Arc<Copy>, Session) {
    let end = Arc::new(end);
    let record = Arc::clone(&end.record);
    let copy = Copy::new(record.representation(), end.clone(), Arc::default());
    let session = handle(&copy);
    (record, end, copy, session)
}

fn handle(copy: &Arc<Copy>) -> Session {
    Session::new(Arc::clone(copy), Instant::now() + Duration::from_secs(10))
}

fn data(record: &Record) -> Value {
    serde_json::from_slice(&record.representation().data).unwrap()
}

/// A save of these values, read at that version; `null` removes.
fn changes(values: &Value, read_version: u64) -> Changes {
    let entries = values.as_object().unwrap().iter().map(|(key, value)| Change {
        key: Text::copied(key),
        value: (!value.is_null()).then(|| Bytes::from(value.to_string())),
        read_version,
    });
    Changes { entries: entries.collect() }
}

#[test]
fn session_futures_may_move_between_threads() {
    fn check<T: Send>(_: &T) {}
    let (_, _, _, session) = world();
    check(&session.save());
    check(&session.update(|session| session.set("a", 1)));
    check(&session.push("route", &json!({})));
    check(&session.bind("ada"));
    check(&session.pin());
}

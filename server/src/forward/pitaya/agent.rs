//! The other end of a session at a frontend that makes unary calls.

use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::sync::Semaphore;

use super::Frontends;
use super::built_in::{BIND, PUSH};
use super::frontends::Outgoing;
use super::outbox::{Flushed, Outbox};
use crate::lanes::Spawner;
use crate::rpc::proto::pitaya as protos;
use crate::session::{BoxFuture, Changes, Copy, Entity, Frontend, KickReason, PushError, SaveError, SessionId};
use crate::wire::{Error, Text, codes};

/// A session's other end, by calls to its frontend.
pub(in crate::forward) struct PitayaAgent {
    frontend: Arc<str>,
    frontends: Arc<Frontends>,
    spawner: Spawner,
    /// The lane's copy, which knows the user and all values.
    copy: OnceLock<Weak<Copy>>,
    outbox: Outbox,
    /// One save at a time: each sends all values.
    saving: Arc<Semaphore>,
    this: Weak<Self>,
}

impl PitayaAgent {
    /// The other end of a session that the frontend with the id `frontend` holds; pushes are sent on `spawner`.
    pub(super) fn new(frontend: Arc<str>, frontends: Arc<Frontends>, spawner: Spawner) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            frontend,
            frontends,
            spawner,
            copy: OnceLock::new(),
            outbox: Outbox::new(),
            saving: Arc::new(Semaphore::new(1)),
            this: this.clone(),
        })
    }

    /// Says which copy is this session's.
    pub(in crate::forward) fn attach(&self, copy: &Arc<Copy>) {
        // It has one from the start and keeps it.
        let _ = self.copy.set(Arc::downgrade(copy));
    }

    /// Resolves when what was pushed before has reached the frontend.
    pub(super) fn flushed(&self) -> Option<Flushed> {
        self.outbox.flushed()
    }

    fn copy(&self) -> Option<Arc<Copy>> {
        self.copy.get()?.upgrade()
    }

    fn uid(&self) -> Option<Text> {
        self.copy()?.uid()
    }

    fn send(&self, message: Outgoing) -> Result<(), PushError> {
        let starts = self.outbox.push(message)?;
        if starts && let Some(this) = self.this.upgrade() {
            self.spawner.spawn(async move { this.send_all().await });
        }
        Ok(())
    }

    async fn send_all(&self) {
        while let Some(message) = self.outbox.next() {
            if let Err(error) = self.frontends.send(&self.frontend, message).await {
                tracing::warn!(frontend = %self.frontend, code = error.code(), %error, "a push or kick was not delivered");
            }
            self.outbox.sent();
        }
    }
}

impl Entity for PitayaAgent {
    fn try_push(&self, _session: SessionId, route: &str, body: &Bytes) -> Result<(), PushError> {
        let uid = self.uid().ok_or(PushError::Unbound)?;
        if !self.frontends.knows(&self.frontend) {
            return Err(PushError::Closed);
        }
        let (route, uid) = (route.to_owned(), uid.as_str().to_owned());
        self.send(Outgoing::Push(protos::Push { route, uid, data: body.clone() }))
    }

    fn writable(&self) -> BoxFuture<'static, ()> {
        self.outbox.writable()
    }

    fn kick(&self, session: SessionId, _reason: KickReason) {
        let Some(uid) = self.uid() else {
            tracing::warn!(%session, frontend = %self.frontend, "a session without a uid cannot be kicked there");
            return;
        };
        // It was kicked before when it is not taken.
        let _ = self.send(Outgoing::Kick(uid.as_str().to_owned()));
    }

    fn bind(&self, session: SessionId, uid: Text) -> BoxFuture<'static, Result<u64, Error>> {
        let (frontends, frontend) = (self.frontends.clone(), self.frontend.clone());
        async move {
            let argument = protos::Session { id: session.get(), uid: uid.as_str().to_owned(), data: Bytes::new() };
            frontends.call(&frontend, BIND, &argument).await?;
            Ok(frontends.next_version())
        }
        .boxed()
    }

    fn save(&self, session: SessionId, changes: Changes) -> BoxFuture<'static, Result<u64, SaveError>> {
        let (frontends, frontend, saving) = (self.frontends.clone(), self.frontend.clone(), self.saving.clone());
        let copy = self.copy();
        async move {
            let copy = copy.ok_or(SaveError::Gone)?;
            // It is never closed.
            let _turn = saving.acquire_owned().await;
            let uid = copy.uid().map_or_else(String::new, |uid| uid.as_str().to_owned());
            let argument = protos::Session { id: session.get(), uid, data: copy.with_changes(&changes)? };
            frontends.call(&frontend, PUSH, &argument).await.map_err(|error| match error.message() {
                super::built_in::GONE => SaveError::Gone,
                _ => SaveError::Failed(error),
            })?;
            let version = frontends.next_version();
            // Before the next save has its turn, which sends these values too.
            copy.saved(&changes, version);
            Ok(version)
        }
        .boxed()
    }

    fn pin(&self, _session: SessionId) -> BoxFuture<'static, Result<(), Error>> {
        let error = Error::new(codes::INTERNAL, "the session's frontend speaks `protos.Pitaya` and pins no sessions");
        std::future::ready(Err(error)).boxed()
    }

    fn unpin(&self, _session: SessionId) {}

    fn address(&self) -> Frontend {
        self.frontends.address(&self.frontend)
    }
}

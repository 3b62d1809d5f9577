mod errors;
mod execution;
mod hooks;
mod registry;
mod replies;

use std::{
    io,
    sync::{Arc, LazyLock, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{runtime::Handle, time::Instant};

use super::{Config, Registry, Runtime, Service, execute};
use crate::{
    request::{App, Context, Kind},
    wire::{Error, Serializer, Text},
};

/// What a caller of the handlers below waits for.
const TIMEOUT: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(2);

fn app() -> App {
    App::builder("server-1", "connector").state(String::from("shared")).build().on_worker()
}

fn protobuf_app() -> App {
    App::builder("server-1", "connector").serializer(Serializer::Protobuf).build().on_worker()
}

fn runtime() -> Runtime {
    Runtime::new(Config::default(), Handle::current())
}

/// The registry with `service` as `test`.
fn registry(service: Service) -> Registry {
    Registry::builder().service("test", service).build().unwrap()
}

fn context(kind: Kind, method: &str, body: &'static [u8]) -> Context {
    let route = Text::from(format!("connector.test.{method}"));
    Context::new(&app(), kind, route, 7, Instant::now() + TIMEOUT).with_body(Bytes::from_static(body))
}

/// Runs `test.<method>` of the registry as dispatch does.
async fn call(registry: &Registry, context: Context) -> Result<Bytes, Error> {
    let entry = registry.find(context.kind, "connector", context.service_method())?;
    execute(Arc::clone(entry), context, &runtime(), Instant::now()).await.result
}

async fn request(registry: &Registry, method: &str, body: &'static [u8]) -> Result<Bytes, Error> {
    call(registry, context(Kind::Request, method, body)).await
}

/// Code and message of an error.
fn failed(result: Result<Bytes, Error>) -> (String, String) {
    let error = result.unwrap_err();
    (error.code().to_owned(), error.message().to_owned())
}

/// Collects what is logged on this thread until the guard is dropped.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn capture() -> (Self, tracing::subscriber::DefaultGuard) {
        // While there is just one subscriber, a log line that another thread reaches first is switched off for all.
        static SECOND: LazyLock<tracing::Dispatch> =
            LazyLock::new(|| tracing::Dispatch::new(tracing_subscriber::registry()));
        LazyLock::force(&SECOND);
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sets a flag when it is dropped, as the locals of a handler are.
struct OnDrop(Arc<OnceLock<Instant>>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        let _ = self.0.set(Instant::now());
    }
}

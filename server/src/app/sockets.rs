//! The sockets of a server: where clients connect, and where other servers do.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use anyhow::Context as _;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::acceptor::{
    self, Acceptor, Admission, BackOff, Dealer, Gauge, Guarded, Listen, Protocol, TcpAcceptor, WebSocketAcceptor,
};
use crate::wire::BoxError;

/// An acceptor that listens, and what makes it accept.
pub(super) struct Listening {
    /// Its name in settings and logs.
    pub(super) name: String,
    /// Where clients connect.
    pub(super) address: String,
    run: Run,
}

type Run = Box<dyn FnOnce(Admission, Dealer, CancellationToken) -> BoxFuture<'static, ()> + Send>;

impl Listening {
    fn new<A: Acceptor>(acceptor: A, address: String) -> Self {
        Self {
            name: acceptor.name().to_owned(),
            address,
            run: Box::new(move |admission, dealer, stop| Box::pin(acceptor::run(acceptor, admission, dealer, stop))),
        }
    }

    /// Accepts until `stop`.
    pub(super) fn run(self, admission: Admission, dealer: Dealer, stop: CancellationToken) -> BoxFuture<'static, ()> {
        (self.run)(admission, dealer, stop)
    }
}

/// Binds what the settings name. `max_packet` bounds WebSocket messages. Must be called within the runtime that follows
/// changes of certificates.
pub(super) fn bind(config: &acceptor::Config, max_packet: usize) -> anyhow::Result<Vec<Listening>> {
    config.listen.iter().map(|listen| bind_one(listen, max_packet)).collect()
}

fn bind_one(listen: &Listen, max_packet: usize) -> anyhow::Result<Listening> {
    let guarded = Guarded::new(listen).with_context(|| format!("acceptor {:?} has no certificate", listen.name))?;
    Ok(match listen.protocol {
        Protocol::Tcp => {
            let acceptor = TcpAcceptor::bind(&listen.name, listen.address)?;
            let address = acceptor.local_address().to_string();
            match guarded {
                Some(guarded) => Listening::new(acceptor.behind(guarded), address),
                None => Listening::new(acceptor, address),
            }
        }
        Protocol::WebSocket => {
            let acceptor = WebSocketAcceptor::bind(&listen.name, listen.address, max_packet)?;
            let address = acceptor.local_address().to_string();
            match guarded {
                Some(guarded) => Listening::new(acceptor.behind(guarded), address),
                None => Listening::new(acceptor, address),
            }
        }
    })
}

/// An acceptor of the game's own, bound when the server starts.
pub(super) struct CustomAcceptor(Box<dyn FnOnce() -> Result<Listening, BoxError> + Send>);

impl CustomAcceptor {
    pub(super) fn new<A: Acceptor, E: Into<BoxError>>(bind: impl FnOnce() -> Result<A, E> + Send + 'static) -> Self {
        Self(Box::new(|| {
            let acceptor = bind().map_err(Into::into)?;
            let address = acceptor.address();
            Ok(Listening::new(acceptor, address))
        }))
    }

    pub(super) fn bind(self) -> Result<Listening, BoxError> {
        (self.0)()
    }
}

impl fmt::Debug for CustomAcceptor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CustomAcceptor")
    }
}

/// How many sockets of other servers may be on their way to one worker; then accepting waits.
pub(super) const LINKS_ON_THE_WAY: usize = 64;

/// The port for other servers, whose connections are dealt to the workers in turn.
pub(super) struct LinkListener {
    listener: tokio::net::TcpListener,
    workers: Vec<mpsc::Sender<std::net::TcpStream>>,
}

impl LinkListener {
    /// Must be called within the runtime that accepts.
    pub(super) fn new(
        listener: std::net::TcpListener,
        workers: Vec<mpsc::Sender<std::net::TcpStream>>,
    ) -> io::Result<Self> {
        Ok(Self { listener: tokio::net::TcpListener::from_std(listener)?, workers })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Counts the sockets on their way to workers.
    pub(super) fn gauge(&self) -> Gauge {
        acceptor::gauge(self.workers.iter())
    }

    /// Accepts until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.accept()).await;
    }

    async fn accept(self) {
        let mut back_off = BackOff::new("link");
        for worker in self.workers.iter().cycle() {
            let stream = loop {
                let attempt = self.listener.accept().await.and_then(|(stream, _)| stream.into_std());
                if let Some(stream) = back_off.outlast(attempt).await {
                    break stream;
                }
            };
            if worker.send(stream).await.is_err() {
                return;
            }
        }
    }
}

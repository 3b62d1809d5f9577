//! A game whose clients connect through a Unix socket, for instance behind a proxy on the same machine.
//!
//! ```sh
//! cargo run -p cereus --example unix_acceptor -- serve --type connector --frontend
//! ```
//!
//! An [`Acceptor`] gives sockets; what they carry, the handshake, heartbeats and messages, is the same for all of them.
//! Three small types are needed: what listens, what was accepted, and what carries packets. Any stream of bytes gets the
//! last one for free, as [`StreamTransport`].

use std::{env, fs, io, os::unix::net::UnixStream as Accepted, path::PathBuf, process::ExitCode};

use bytes::Bytes;
use cereus::{
    Service,
    acceptor::{Acceptor, Peer, Socket, StreamTransport},
};
use tokio::net::{UnixListener, UnixStream};

/// Where clients connect, unless `CEREUS_EXAMPLE_SOCKET` says otherwise.
const DEFAULT_PATH: &str = "/tmp/cereus.sock";

/// What listens.
struct UnixAcceptor {
    path: PathBuf,
    listener: UnixListener,
}

impl UnixAcceptor {
    /// Called when the server starts, within the runtime that will accept. An error stops the start.
    fn bind(path: PathBuf) -> io::Result<Self> {
        // A server that was killed leaves its file behind, and the next one could not listen there.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self { listener: UnixListener::bind(&path)?, path })
    }
}

impl Acceptor for UnixAcceptor {
    type Socket = UnixSocket;

    fn name(&self) -> &'static str {
        "unix"
    }

    fn address(&self) -> String {
        self.path.display().to_string()
    }

    async fn accept(&mut self) -> io::Result<(UnixSocket, Peer)> {
        let (stream, _) = self.listener.accept().await?;
        // Another thread will serve it, so this one's runtime lets it go. There is no address to tell of the client.
        Ok((UnixSocket(stream.into_std()?), Peer::default()))
    }
}

impl Drop for UnixAcceptor {
    fn drop(&mut self) {
        // Clients that come now learn at once that nobody listens. If the file is gone already, that is fine too.
        let _ = fs::remove_file(&self.path);
    }
}

/// What was accepted, before a worker serves it.
struct UnixSocket(Accepted);

impl Socket for UnixSocket {
    type Transport = StreamTransport<UnixStream>;

    /// Runs on the worker that will serve the client. A TLS handshake or a proxy header would be read here.
    async fn open(self, peer: Peer) -> io::Result<(Self::Transport, Peer)> {
        Ok((StreamTransport::new(UnixStream::from_std(self.0)?), peer))
    }
}

/// The game: it repeats what it is told.
async fn echo(body: Bytes) -> Bytes {
    body
}

fn main() -> ExitCode {
    cereus::main(|app| {
        let path = env::var_os("CEREUS_EXAMPLE_SOCKET").unwrap_or_else(|| DEFAULT_PATH.into());
        app.acceptor(move || UnixAcceptor::bind(path.into()));
        app.service("test", Service::new().request("echo", echo));
    })
}

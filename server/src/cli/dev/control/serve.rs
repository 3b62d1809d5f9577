//! The side of `cereus dev`.

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::Context as _;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{broadcast::error::RecvError, mpsc, oneshot, watch},
    task::JoinSet,
};

use super::{
    super::{
        census,
        game::{self, Command},
        logs::{LogLine, Logs},
        output::Output,
        status::{GameStatus, TypeStatus},
        suggestion,
    },
    Answer, Place, Request,
};

/// Longest request.
const LONGEST: u64 = 64 * 1024;
/// Most who may be served at a time; others wait.
const MOST: usize = 64;

/// What who asks is told when it is too late.
const STOPPING: &str = "the game is stopping";

/// What answers come from; cheap to clone.
#[derive(Debug, Clone)]
pub(in super::super) struct Desk {
    pub(in super::super) commands: mpsc::Sender<Command>,
    pub(in super::super) status: watch::Receiver<Arc<GameStatus>>,
    pub(in super::super) output: Output,
}

/// Listen at once; the future answers for ever.
pub(in super::super) fn serve(place: &Place, desk: Desk) -> anyhow::Result<impl Future<Output = ()> + use<>> {
    let listener = listen(place.socket())?;
    Ok(async move {
        let mut visitors = JoinSet::new();
        loop {
            while visitors.len() >= MOST {
                visitors.join_next().await;
            }
            tokio::select! {
                Some(_) = visitors.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => drop(visitors.spawn(desk.clone().receive(stream))),
                    Err(error) => {
                        tracing::warn!(%error, "the control socket cannot accept");
                        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                    }
                }
            }
        }
    })
}

fn listen(path: &Path) -> anyhow::Result<UnixListener> {
    UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))
}

impl Desk {
    /// Answer one request. Who hangs up is not answered any more.
    async fn receive(self, stream: UnixStream) {
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader).take(LONGEST);
        let mut line = String::new();
        if reader.read_line(&mut line).await.is_err() {
            return;
        }
        let answer = async {
            let result = match serde_json::from_str(&line) {
                Ok(request) => self.answer(request, &mut writer).await,
                Err(error) => Err(Failure::Said(format!("not a request: {error}"))),
            };
            if let Err(Failure::Said(error)) = result {
                let _ = send(&mut writer, &Answer::Error(error)).await;
            }
        };
        tokio::select! {
            () = answer => {}
            () = hung_up(reader) => {}
        }
    }

    async fn answer(&self, request: Request, writer: &mut OwnedWriteHalf) -> Result<(), Failure> {
        match request {
            Request::Get {} => send(writer, &Answer::Status(self.get().await)).await,
            Request::Scale { server_type, replicas, wait } => self.scale(server_type, replicas, wait, writer).await,
            Request::Logs { of, tail, follow } => self.logs(&of, tail, follow, writer).await,
        }
    }

    /// What runs, with sessions.
    pub(in super::super) async fn get(&self) -> GameStatus {
        let mut status = GameStatus::clone(&self.status.borrow());
        let admins = status.servers.iter().filter(|server| server.pid.is_some());
        let admins = admins.filter_map(|server| Some((server.name.clone(), server.admin.parse::<SocketAddr>().ok()?)));
        let loads = census::take(admins.collect::<Vec<_>>()).await;
        for server in &mut status.servers {
            server.sessions = loads.get(&server.name).map(|load| load.sessions);
        }
        status
    }

    /// Have the game do something; what it says about that.
    pub(in super::super) async fn order(
        &self,
        command: impl FnOnce(game::Answer) -> Command,
    ) -> Result<String, String> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| STOPPING.to_owned())?;
        answered.await.map_err(|_| STOPPING.to_owned())?
    }

    async fn scale(
        &self,
        server_type: String,
        replicas: u32,
        wait: bool,
        writer: &mut OwnedWriteHalf,
    ) -> Result<(), Failure> {
        let order = self.order(|answer| Command::Scale { server_type: server_type.clone(), replicas, answer });
        let said = order.await.map_err(Failure::Said)?;
        send(writer, &Answer::Said(said)).await?;
        if !wait {
            return Ok(());
        }
        let mut status = self.status.clone();
        let mut last = String::new();
        loop {
            let now = status.borrow_and_update().types.iter().find(|other| other.name == server_type).cloned();
            let Some(now) = now else { return Err(Failure::Said(format!("{server_type} was removed"))) };
            if now.desired != replicas {
                return Err(Failure::Said(format!("{server_type} is to have {} servers by now", now.desired)));
            }
            let progress = progress(&now);
            if progress != last {
                send(writer, &Answer::Said(progress.clone())).await?;
                last = progress;
            }
            if now.is_settled() {
                return Ok(());
            }
            status.changed().await.map_err(|_| Failure::Said(STOPPING.to_owned()))?;
        }
    }

    async fn logs(&self, of: &str, tail: usize, follow: bool, writer: &mut OwnedWriteHalf) -> Result<(), Failure> {
        let logs: &Logs = self.output.logs();
        let status = Arc::clone(&self.status.borrow());
        let is_type = status.types.iter().any(|known| known.name == of);
        let is_server = status.servers.iter().any(|known| known.name == of) || logs.knows(of);
        if !is_type && !is_server {
            let types = status.types.iter().map(|known| known.name.as_str());
            let known = types.chain(status.servers.iter().map(|known| known.name.as_str()));
            return Err(Failure::Said(suggestion::unknown("server type or server", of, known)));
        }
        // A name of a server is that of its type, a dash and a number.
        let of_type = |server: &str| server.rsplit_once('-').is_some_and(|(server_type, _)| server_type == of);
        let is_asked = |server: &str| server == of || (is_type && of_type(server));
        let (lines, mut coming) = logs.read(is_asked, tail);
        for line in lines {
            send(writer, &Answer::Line(line)).await?;
        }
        if !follow {
            return Ok(());
        }
        loop {
            match coming.recv().await {
                Ok(new) if is_asked(&new.server) => send(writer, &Answer::Line(new)).await?,
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => {
                    let text = format!("({missed} lines were missed)");
                    send(writer, &Answer::Line(LogLine { server: of.into(), text })).await?;
                }
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }
}

fn progress(status: &TypeStatus) -> String {
    let TypeStatus { name, desired, ready, draining, .. } = status;
    let draining = if *draining > 0 { format!(", {draining} draining") } else { String::new() };
    if ready > desired {
        return format!("{name}: {ready} ready, {desired} to stay{draining}");
    }
    format!("{name}: {ready} of {desired} ready{draining}")
}

/// Why a request has no further answer.
enum Failure {
    /// With this as its last line.
    Said(String),
    /// Nobody reads.
    Gone,
}

async fn send(writer: &mut OwnedWriteHalf, answer: &Answer) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(answer).map_err(|error| Failure::Said(error.to_string()))?;
    line.push(b'\n');
    writer.write_all(&line).await.map_err(|_| Failure::Gone)
}

/// Resolves when the other end is closed.
async fn hung_up(reader: tokio::io::Take<BufReader<OwnedReadHalf>>) {
    let mut reader = reader.into_inner();
    let mut buffer = [0; 64];
    while reader.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}

//! What is said of a game as a whole: that it starts, where to connect, what there is, that it stops.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::watch;

use super::{
    output::Output,
    probe,
    status::{GameStatus, ServerState, ServerStatus, TypeStatus},
};
use crate::app::StopStage;

/// Says it.
#[derive(Debug)]
pub(super) struct Announcement {
    pub(super) executable: PathBuf,
    /// Its rooms answer a greeting, as those of the built-in game do.
    pub(super) greets: bool,
    /// What the game is called, when that has to be said to reach it.
    pub(super) name: Option<String>,
    /// Where the page for browsers is.
    pub(super) page: Option<String>,
    pub(super) output: Output,
}

type Status = watch::Receiver<Arc<GameStatus>>;

impl Announcement {
    /// Say where to connect when every server is ready for the first time and knows the others, and that all is stopping
    /// when it is.
    pub(super) async fn say(self, mut status: Status, mut stages: watch::Receiver<StopStage>) {
        let all = async {
            self.start(&mut status).await;
            ready(&mut status).await;
            for line in self.invitation(&status.borrow()) {
                self.output.own(&line).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            // The sender lives as long as this command.
            _ = stages.wait_for(|stage| *stage > StopStage::Serve) => {}
            () = all => {}
        }
        self.output.own("stopping").await;
    }

    async fn start(&self, status: &mut Status) {
        // A game that is gone is stopping, which is seen above.
        if status.wait_for(|status| !status.types.is_empty()).await.is_err() {
            return std::future::pending().await;
        }
        // Servers are made one by one, but all of them before the next turn.
        let line = {
            let status = status.borrow();
            let names = status.types.iter().flat_map(|one| (1..=one.desired).map(move |n| format!("{}-{n}", one.name)));
            names.collect::<Vec<_>>().join(", ")
        };
        if let Some(name) = &self.name {
            self.output.own(&format!("this game is called {name}: other commands find it by `--name {name}`")).await;
        }
        self.output.own(&format!("starting {line}")).await;
    }

    /// Where to connect and what to try.
    fn invitation(&self, status: &GameStatus) -> Vec<String> {
        let frontends: Vec<&ServerStatus> = status.servers.iter().filter(|one| !one.clients.is_empty()).collect();
        let executable = shown(&self.executable);
        let name = self.name.as_ref().map_or_else(String::new, |name| format!(" --name {name}"));
        let mut lines = Vec::new();
        for (index, server) in frontends.iter().enumerate() {
            let clients: Vec<&str> = server.clients.values().map(String::as_str).collect();
            let clients = clients.join(" or ");
            lines.push(match index {
                0 => format!("ready: clients connect to {clients}"),
                _ => format!("       or, on {}, to {clients}", server.name),
            });
        }
        if lines.is_empty() {
            lines.push("ready; no type has a frontend to connect to".to_owned());
        }
        lines.extend(self.page.as_ref().map(|page| format!("page:  {page}")));
        let mut tries = Vec::new();
        let tcp = frontends.first().and_then(|server| server.clients.get("tcp")?.strip_suffix(" (TCP)"));
        if let Some(address) = tcp.filter(|_| self.greets) {
            tries.push(format!("request {address} room.room.hello '{{\"name\":\"Ada\"}}'"));
        }
        if let Some(one) = status.types.iter().find(|one| !one.frontend && one.desired > 0) {
            tries.push(format!("scale{name} {} {}", one.name, one.desired + 1));
            tries.push(format!("get{name}"));
        }
        let labels = std::iter::once("try:").chain(std::iter::repeat(""));
        lines.extend(labels.zip(tries).map(|(label, arguments)| format!("{label:6} {executable} {arguments}")));
        lines.push("Ctrl-C stops everything".to_owned());
        lines
    }
}

/// Resolves when every server is ready and knows the others.
async fn ready(status: &mut Status) {
    loop {
        let settled = status.wait_for(|status| status.types.iter().all(TypeStatus::is_settled)).await;
        let Ok(admins) = settled.map(|status| ready_admins(&status)) else { return std::future::pending().await };
        let known = async {
            for admin in &admins {
                probe::knows(*admin, admins.len() as u64).await;
            }
        };
        tokio::select! {
            biased;
            () = known => return,
            // Those that were asked may be others now, or fewer.
            _ = status.changed() => {}
        }
    }
}

/// Where the servers that are ready are asked.
fn ready_admins(status: &GameStatus) -> Vec<SocketAddr> {
    let ready = status.servers.iter().filter(|server| server.state == ServerState::Ready);
    ready.filter_map(|server| server.admin.parse().ok()).collect()
}

/// An executable as a person would type it.
fn shown(executable: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    executable.strip_prefix(here).unwrap_or(executable).display().to_string()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::TcpListener,
        sync::Arc,
        time::Duration,
    };

    use tokio::{sync::watch, time::timeout};

    use super::{GameStatus, ServerState, ServerStatus, TypeStatus, ready};

    /// A settled game of one type, whose servers are asked there.
    fn settled(admins: &[String]) -> Arc<GameStatus> {
        let count = admins.len() as u32;
        let server = |admin: &String| ServerStatus {
            name: "room-1".to_owned(),
            server_type: "room".to_owned(),
            state: ServerState::Ready,
            updated: true,
            sessions: None,
            since: 0,
            restarts: 0,
            reason: None,
            pid: None,
            clients: std::collections::BTreeMap::new(),
            link: String::new(),
            admin: admin.clone(),
        };
        let kind = TypeStatus {
            name: "room".to_owned(),
            frontend: false,
            desired: count,
            servers: count,
            ready: count,
            updated: count,
            draining: 0,
        };
        Arc::new(GameStatus { types: vec![kind], servers: admins.iter().map(server).collect() })
    }

    #[tokio::test]
    async fn a_server_that_is_gone_is_not_waited_for() {
        // It knows itself alone.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // What is closed with bytes unread may be reset before the answer is seen.
                BufReader::new(&stream).lines().map(Result::unwrap).find(String::is_empty).unwrap();
                write!(stream, "HTTP/1.1 200 OK\r\n\r\n{{\"servers\":{{\"room\":1}}}}").unwrap();
            }
        });
        let nowhere = "127.0.0.1:1".to_owned();
        for before in [settled(&[here.clone(), nowhere.clone()]), settled(&[nowhere])] {
            let (sender, mut status) = watch::channel(before);
            let ready = ready(&mut status);
            tokio::pin!(ready);
            // Meanwhile it asks, and is not told enough.
            assert!(timeout(Duration::from_millis(300), &mut ready).await.is_err());
            sender.send_replace(settled(std::slice::from_ref(&here)));
            timeout(Duration::from_secs(20), ready).await.expect("it is said");
        }
    }
}

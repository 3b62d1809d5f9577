//! One question to one server.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::Deserialize;

/// How long an answer may take; a server answers from memory.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The longest answer: it grows with the server's links.
const LARGEST: usize = 4 * 1024 * 1024;

/// What is read of the answer.
#[derive(Debug, Deserialize)]
struct Status {
    /// Clients connected to a frontend.
    sessions: u64,
    /// Sessions whose messages a backend keeps to itself.
    pins: u64,
    /// Its links. A server of an earlier release says less of them.
    #[serde(default)]
    links: Vec<Link>,
}

#[derive(Debug, Deserialize)]
struct Link {
    /// The other end.
    server: String,
    /// Sessions of the server that was asked whose messages keep to the other end.
    #[serde(default)]
    sessions: u64,
}

/// What a server said.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Sessions that it holds: clients connected to it, and sessions pinned to it.
    pub(super) held: u64,
    /// Sessions that it holds whose messages keep to another server, by the other's id.
    pub(super) kept: HashMap<String, u64>,
}

impl From<Status> for Said {
    fn from(status: Status) -> Self {
        let mut kept = HashMap::new();
        // There is one link for each of its workers.
        for link in status.links.into_iter().filter(|link| link.sessions > 0) {
            *kept.entry(link.server).or_default() += link.sessions;
        }
        Self { held: status.sessions.saturating_add(status.pins), kept }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// None in time.
    #[error("no answer within 1s")]
    Slow,
    /// It cannot be reached.
    #[error("it cannot be reached")]
    Unreachable(#[from] hyper_util::client::legacy::Error),
    /// It answered something else.
    #[error("it answered {0}")]
    Refused(StatusCode),
    /// The answer broke off, or is too long.
    #[error("the answer cannot be read")]
    Unreadable,
    /// The answer is not what a server says.
    #[error("the answer is no status")]
    Unknown(#[from] serde_json::Error),
    /// The address is none.
    #[error("the address is none")]
    Address(#[from] http::Error),
}

/// Asks servers.
#[derive(Debug)]
pub(super) struct Client {
    http: HttpClient<HttpConnector, Empty<&'static [u8]>>,
    port: u16,
}

impl Client {
    pub(super) fn new(port: u16) -> Self {
        // Answers are minutes apart: a connection is not kept for the next.
        let http = HttpClient::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Self { http, port }
    }

    /// What the server at this address says.
    pub(super) async fn ask(&self, address: IpAddr) -> Result<Said, AskError> {
        tokio::time::timeout(TIMEOUT, self.status(address)).await.map_err(|_| AskError::Slow)?.map(Said::from)
    }

    async fn status(&self, address: IpAddr) -> Result<Status, AskError> {
        let authority = SocketAddr::new(address, self.port).to_string();
        let uri = Uri::builder().scheme("http").authority(authority).path_and_query("/status").build()?;
        let response = self.http.request(Request::get(uri).body(Empty::new())?).await?;
        if response.status() != StatusCode::OK {
            return Err(AskError::Refused(response.status()));
        }
        let body = Limited::new(response.into_body(), LARGEST).collect().await.map_err(|_| AskError::Unreadable)?;
        Ok(serde_json::from_slice(&body.to_bytes())?)
    }
}

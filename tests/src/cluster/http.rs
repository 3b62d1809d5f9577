//! As much of HTTP as a question to an admin endpoint takes.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The status code and the body that `path` gives.
pub async fn get(address: SocketAddr, path: &str, timeout: Duration) -> anyhow::Result<(u16, String)> {
    ask(address, "GET", path, timeout).await
}

/// As [`get`], for a path that does something.
pub async fn post(address: SocketAddr, path: &str, timeout: Duration) -> anyhow::Result<(u16, String)> {
    ask(address, "POST", path, timeout).await
}

async fn ask(address: SocketAddr, method: &str, path: &str, timeout: Duration) -> anyhow::Result<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        // HTTP/1.0: the answer is not chunked and ends with the connection.
        stream.write_all(format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = tokio::time::timeout(timeout, exchange)
        .await
        .with_context(|| format!("http://{address}{path} did not answer within {timeout:?}"))?
        .with_context(|| format!("http://{address}{path} cannot be asked"))?;
    parse(&answer).with_context(|| format!("http://{address}{path} gave no HTTP answer: {answer:?}"))
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut status = head.lines().next()?.split(' ');
    status.next().filter(|version| version.starts_with("HTTP/1."))?;
    Some((status.next()?.parse().ok()?, body.to_owned()))
}

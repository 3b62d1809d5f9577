use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::{Cluster, http};

async fn ask(answer: &'static str) -> anyhow::Result<(u16, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        let size = stream.read(&mut request).await.unwrap();
        assert!(request[..size].starts_with(b"GET /status HTTP/1.0\r\n"));
        stream.write_all(answer.as_bytes()).await.unwrap();
    };
    let (result, ()) = tokio::join!(http::get(address, "/status", Duration::from_secs(5)), serving);
    result
}

#[tokio::test]
async fn an_answer_is_a_code_and_a_body() {
    let answer = ask("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"sessions\":0}").await.unwrap();
    assert_eq!(answer, (200, "{\"sessions\":0}".to_owned()));
    assert_eq!(ask("HTTP/1.0 503 Service Unavailable\r\n\r\n").await.unwrap().0, 503);
    for broken in ["", "HTTP/1.1 200 OK\r\n", "SSH-2.0\r\n\r\n"] {
        assert!(ask(broken).await.is_err(), "{broken:?}");
    }
}

#[tokio::test]
async fn a_cluster_without_servers_has_no_clients() {
    let cluster = Cluster::builder().start().await.unwrap();
    assert!(cluster.server("game-1").is_err());
    assert!(cluster.address(crate::client::Transport::Tcp).is_err());
}

use clap::{Args as _, FromArgMatches as _};

use super::{Outcome, RequestArguments, exchange, server, write_body};
use crate::cli::client::{Transport, testing::TestServer};

fn parse(words: &[&str]) -> RequestArguments {
    let command = RequestArguments::augment_args(clap::Command::new("request").no_binary_name(true));
    RequestArguments::from_arg_matches(&command.get_matches_from(words)).unwrap()
}

async fn send(transport: Transport, words: &[&str]) -> anyhow::Result<Outcome> {
    let server = TestServer::start(transport).await;
    let name = server.name();
    exchange(&parse(&[&[&*name], words].concat()), None).await
}

#[tokio::test]
async fn an_answer_comes_after_its_pushes() {
    for (transport, flags) in [(Transport::Tcp, &[][..]), (Transport::WebSocket, &["--ws"])] {
        let outcome = send(transport, &[&["room.room.push", "{}"], flags].concat()).await.unwrap();
        let pushes: Vec<_> = outcome.pushes.iter().map(|(route, body)| (&**route, &**body)).collect();
        assert_eq!(pushes, [("onFirst", &b"{\"n\":1}"[..]), ("onSecond", b"two")]);
        assert_eq!(outcome.answer.unwrap().unwrap(), "done");
    }
}

#[tokio::test]
async fn the_body_is_sent_as_typed() {
    let outcome = send(Transport::Tcp, &["room.room.echo", "{ \"name\" : \"Ada\" }"]).await.unwrap();
    assert_eq!(outcome.answer.unwrap().unwrap(), "{ \"name\" : \"Ada\" }");
    let empty = send(Transport::Tcp, &["room.room.echo"]).await.unwrap();
    assert_eq!(empty.answer.unwrap().unwrap(), "");
}

#[tokio::test]
async fn an_error_answer_is_told_apart() {
    let outcome = send(Transport::Tcp, &["room.room.error"]).await.unwrap();
    let error = outcome.answer.unwrap().unwrap_err();
    assert_eq!((error.code(), error.message()), ("PIT-500", "broken"));
}

#[tokio::test]
async fn a_notify_gives_the_pushes_that_follow() {
    let outcome = send(Transport::Tcp, &["room.room.push", "--notify", "--timeout", "100ms"]).await.unwrap();
    assert_eq!((outcome.pushes.len(), outcome.answer.is_none()), (2, true));
}

#[tokio::test]
async fn no_answer_is_an_error() {
    for (route, message) in [
        ("a.b.silent", "no answer from"),
        ("a.b.close", "closed the connection without an answer"),
        ("a.b.kick", "kicked the client: enough"),
    ] {
        let error = send(Transport::Tcp, &[route, "--timeout", "100ms"]).await.unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn json_is_indented_for_people_only() {
    let print = |body: &[u8], pretty| {
        let mut output = Vec::new();
        write_body(&mut output, body, pretty).unwrap();
        String::from_utf8(output).unwrap()
    };
    assert_eq!(print(b"{\"a\":1}", true), "{\n  \"a\": 1\n}\n");
    assert_eq!(print(b"{\"a\":1}", false), "{\"a\":1}\n");
    assert_eq!(print(b"woow", true), "woow\n");
}

#[test]
fn an_answer_may_name_its_server() {
    assert_eq!(server(br#"{"msg":"hello","server":"room-1"}"#).as_deref(), Some("room-1"));
    for body in [&b"{}"[..], b"woow", b"[]", b"{\"server\":1}"] {
        assert_eq!(server(body), None);
    }
}

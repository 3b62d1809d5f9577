use std::{io, sync::Arc};

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
    response::Response,
};
use futures_util::StreamExt as _;
use tokio::sync::{mpsc, watch};
use tower::ServiceExt as _;

use super::{
    super::{control::Desk, game::Command, output::Output, status::GameStatus},
    Page, router,
};
use crate::cli::dev::status::TypeStatus;

/// A game that does as it is told, and what it is told.
struct Game {
    desk: Desk,
    status: watch::Sender<Arc<GameStatus>>,
    obeys: tokio::task::JoinSet<()>,
    told: mpsc::Receiver<String>,
}

fn game() -> Game {
    let (commands, mut queue) = mpsc::channel(1);
    let (tell, told) = mpsc::channel(16);
    let status = watch::Sender::new(Arc::new(of(2)));
    let desk = Desk { commands, status: status.subscribe(), output: Output::to(io::sink(), 3, false).unwrap() };
    let mut obeys = tokio::task::JoinSet::new();
    obeys.spawn(async move {
        while let Some(command) = queue.recv().await {
            let (said, answer) = match command {
                Command::Scale { server_type, replicas, answer } => (format!("scale {server_type} {replicas}"), answer),
                Command::Kill { server, answer } => (format!("kill {server}"), answer),
                Command::Apply { .. } | Command::Replace => continue,
            };
            tell.send(said.clone()).await.unwrap();
            answer.send(if said.contains("nobody") { Err("no server nobody".to_owned()) } else { Ok(said) }).unwrap();
        }
    });
    Game { desk, status, obeys, told }
}

/// So many rooms are wanted.
fn of(desired: u32) -> GameStatus {
    let room =
        TypeStatus { name: "room".to_owned(), frontend: false, desired, servers: 0, ready: 0, updated: 0, draining: 0 };
    GameStatus { types: vec![room], servers: Vec::new() }
}

async fn ask(game: &Game, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    router(game.desk.clone()).oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap()
}

async fn text(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

const HERE: (&str, &str) = ("host", "127.0.0.1:8080");
const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn files_say_what_they_are() {
    let game = game();
    for (path, kind, within) in [
        ("/", "text/html; charset=utf-8", "<title>Cereus</title>"),
        ("/?room=lobby", "text/html; charset=utf-8", "<title>Cereus</title>"),
        ("/page/style.css", "text/css; charset=utf-8", "prefers-color-scheme"),
        ("/page/main.js", "text/javascript; charset=utf-8", "new Chat("),
        ("/cereus.js", "text/javascript; charset=utf-8", "export class Client"),
        ("/page/icon.svg", "image/svg+xml", "<svg"),
    ] {
        let response = ask(&game, "GET", path, &[HERE], "").await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let headers = response.headers();
        assert_eq!(headers[header::CONTENT_TYPE], kind, "{path}");
        assert_eq!(headers[header::CACHE_CONTROL], "no-cache", "{path}");
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("default-src 'none'; script-src 'self'"), "{policy}");
        assert!(text(response).await.contains(within), "{path}");
    }
    for path in ["/page/", "/page/../Cargo.toml", "/api", "/favicon.ico"] {
        assert_eq!(ask(&game, "GET", path, &[HERE], "").await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(ask(&game, "POST", "/", &[HERE], "").await.status(), StatusCode::METHOD_NOT_ALLOWED);
}

/// Every file that the page names is there.
#[tokio::test]
async fn what_the_page_imports_is_served() {
    let game = game();
    let mut paths = vec!["/".to_owned()];
    let mut seen = 0;
    while let Some(path) = paths.get(seen).cloned() {
        seen += 1;
        let response = ask(&game, "GET", &path, &[HERE], "").await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let text = text(response).await;
        // In quotes or apostrophes, absolute or beside.
        let is_code = |name: &&str| matches!(name.rsplit_once('.'), Some((_, "js" | "css")));
        let named = text.split(['\'', '"']).filter(is_code);
        for name in named.filter(|name| !name.contains(' ')) {
            let absolute = match name.strip_prefix("./") {
                Some(beside) => format!("{}/{beside}", path.rsplit_once('/').map_or("", |(folder, _)| folder)),
                None => name.replace("../", "/"),
            };
            if name.starts_with(['.', '/']) && !paths.contains(&absolute) {
                paths.push(absolute);
            }
        }
    }
    assert_eq!(paths.len(), 9, "{paths:?}");
}

#[tokio::test]
async fn only_the_page_itself_may_ask() {
    let game = game();
    let ok = StatusCode::OK;
    let no = StatusCode::FORBIDDEN;
    for (headers, status) in [
        (&[HERE] as &[_], ok),
        (&[("host", "localhost:8080")], ok),
        (&[("host", "LOCALHOST")], ok),
        (&[("host", "[::1]:8080")], ok),
        (&[("host", "192.168.1.7:8080")], ok),
        (&[HERE, ("origin", "http://127.0.0.1:8080")], ok),
        (&[("host", "localhost:8080"), ("origin", "http://localhost:8080")], ok),
        // A name may be made to resolve to this machine.
        (&[], no),
        (&[("host", "evil.example:8080")], no),
        (&[("host", "localhost.evil.example")], no),
        (&[("host", "127.0.0.1.evil.example")], no),
        (&[("host", "evil.example:8080"), ("origin", "http://evil.example:8080")], no),
        (&[("host", "")], no),
        // Another page.
        (&[HERE, ("origin", "http://evil.example")], no),
        (&[HERE, ("origin", "http://127.0.0.1:3000")], no),
        (&[HERE, ("origin", "https://127.0.0.1:8080")], no),
        (&[HERE, ("origin", "http://localhost:8080")], no),
        (&[HERE, ("origin", "null")], no),
    ] {
        for path in ["/", "/api/status", "/api/events"] {
            assert_eq!(ask(&game, "GET", path, headers, "").await.status(), status, "{path} {headers:?}");
        }
        let with_type = [headers, &[JSON]].concat();
        let killed = ask(&game, "POST", "/api/kill", &with_type, r#"{"server":"room-1"}"#).await;
        assert_eq!(killed.status(), status, "{headers:?}");
    }
}

#[tokio::test]
async fn wishes_are_json_and_small() {
    let mut game = game();
    let large = format!(r#"{{"server":"{}"}}"#, "x".repeat(5000));
    for (path, kind, body, status) in [
        ("/api/scale", JSON, r#"{"type":"room","replicas":3}"#, 200),
        ("/api/kill", JSON, r#"{"server":"room-1"}"#, 200),
        ("/api/kill", JSON, r#"{"server":"nobody"}"#, 409),
        ("/api/kill", JSON, r#"{"server":"room-1","more":1}"#, 422),
        ("/api/scale", JSON, r#"{"type":"room","replicas":-1}"#, 422),
        ("/api/scale", JSON, r#"{"type":"room""#, 400),
        // What a form or a careless script may send without asking.
        ("/api/kill", ("content-type", "text/plain"), r#"{"server":"room-1"}"#, 415),
        ("/api/kill", ("content-type", "application/x-www-form-urlencoded"), r#"{"server":"room-1"}"#, 415),
        ("/api/kill", ("accept", "*/*"), r#"{"server":"room-1"}"#, 415),
        ("/api/kill", JSON, large.as_str(), 413),
    ] {
        let response = ask(&game, "POST", path, &[HERE, kind], body).await;
        assert_eq!(response.status().as_u16(), status, "{path} {kind:?} {body}");
        let said = text(response).await;
        match status {
            200 => assert_eq!(said, format!(r#"{{"said":"{}"}}"#, game.told.recv().await.unwrap())),
            409 => assert_eq!(
                (said.as_str(), game.told.recv().await.unwrap().as_str()),
                (r#"{"error":"no server nobody"}"#, "kill nobody")
            ),
            _ => assert!(game.told.try_recv().is_err(), "{body}"),
        }
    }
    assert_eq!(ask(&game, "GET", "/api/kill", &[HERE], "").await.status(), StatusCode::METHOD_NOT_ALLOWED);
    game.obeys.shutdown().await;
    let late = ask(&game, "POST", "/api/kill", &[HERE, JSON], r#"{"server":"room-1"}"#).await;
    assert_eq!(text(late).await, r#"{"error":"the game is stopping"}"#);
}

#[tokio::test(start_paused = true)]
async fn each_change_is_an_event_and_the_end_of_the_game_is_the_last() {
    let Game { desk, status, .. } = game();
    let request = || Request::get("/api/events").header(HERE.0, HERE.1).body(Body::empty()).unwrap();
    let router = router(desk.clone());
    let response = router.clone().oneshot(request()).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut events = response.into_body().into_data_stream();
    let mut next = async || {
        // Between changes there are lines that keep the connection.
        loop {
            let text = String::from_utf8(events.next().await?.unwrap().to_vec()).unwrap();
            if let Some(event) = text.strip_prefix("data: ") {
                return Some(serde_json::from_str::<GameStatus>(event).unwrap().types[0].desired);
            }
        }
    };
    assert_eq!(next().await, Some(2));
    status.send_replace(Arc::new(of(3)));
    assert_eq!(next().await, Some(3));
    // The same again is no change; of two at once the last is told.
    status.send_replace(Arc::new(of(3)));
    status.send_replace(Arc::new(of(4)));
    assert_eq!(next().await, Some(4));
    drop(status);
    assert_eq!(next().await, None);

    let mut followers = Vec::new();
    for _ in 0..32 {
        followers.push(router.clone().oneshot(request()).await.unwrap());
    }
    assert!(followers.iter().all(|response| response.status() == StatusCode::OK));
    assert_eq!(router.clone().oneshot(request()).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    followers.pop();
    assert_eq!(router.oneshot(request()).await.unwrap().status(), StatusCode::OK);
}

#[test]
fn an_address_that_was_asked_for_is_had_or_refused() {
    let none = std::collections::BTreeSet::new();
    let free = "127.0.0.1:0".parse().unwrap();
    let page = Page::at(free, &none).unwrap();
    assert_eq!(page.shown(), format!("http://{}", page.address));
    let error = Page::at(page.address, &none).unwrap_err().to_string();
    let address = page.address;
    assert_eq!(error, format!("{address} is in use; stop what listens there, or choose another address with --http"));
    drop(page);
    let error = Page::at(address, &[address.port()].into()).unwrap_err().to_string();
    assert_eq!(error, format!("{address} is for a frontend; choose another address with --http"));
    // Without a wish there is always one.
    let (one, other) = (Page::anywhere(&none).unwrap(), Page::anywhere(&none).unwrap());
    assert_ne!(one.address, other.address);
    assert!(other.shown().ends_with(" (8080 is in use)"), "{}", other.shown());
    let skipped: std::collections::BTreeSet<u16> = (8080..8200).collect();
    assert!(!skipped.contains(&Page::anywhere(&skipped).unwrap().address.port()));
}

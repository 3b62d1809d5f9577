//! What browsers get, as part of the executable.

use axum::{
    http::{StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// Path, type and text of each file.
const FILES: [(&str, &str, &str); 10] = [
    ("/", HTML, include_str!("../../../../web/page/index.html")),
    ("/page/style.css", STYLE, include_str!("../../../../web/page/style.css")),
    ("/page/icon.svg", IMAGE, include_str!("../../../../web/page/icon.svg")),
    ("/page/main.js", SCRIPT, include_str!("../../../../web/page/main.js")),
    ("/page/dom.js", SCRIPT, include_str!("../../../../web/page/dom.js")),
    ("/page/game.js", SCRIPT, include_str!("../../../../web/page/game.js")),
    ("/page/panel.js", SCRIPT, include_str!("../../../../web/page/panel.js")),
    ("/page/chat.js", SCRIPT, include_str!("../../../../web/page/chat.js")),
    ("/page/log.js", SCRIPT, include_str!("../../../../web/page/log.js")),
    ("/cereus.js", SCRIPT, include_str!("../../../../web/cereus.js")),
];

pub(super) async fn file(uri: Uri) -> Response {
    match FILES.iter().find(|(path, ..)| *path == uri.path()) {
        Some((_, kind, text)) => ([(header::CONTENT_TYPE, *kind)], *text).into_response(),
        None => (StatusCode::NOT_FOUND, "there is no such file\n").into_response(),
    }
}

//! Keeps the panel at the bottom of a terminal as the game is.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use rustix::termios::tcgetwinsize;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::sleep,
};

use super::{
    super::{census, output::Output, status::GameStatus},
    panel::{self, Size},
};

/// From one drawing to the next, at least.
const PAUSE: Duration = Duration::from_millis(100);
/// How often servers are asked for their sessions, of whose coming and going nobody tells.
const CENSUS: Duration = Duration::from_secs(2);
/// A window that does not know its size.
const USUAL: Size = Size { columns: 80, rows: 24 };

/// Draw whenever something has changed, for ever; on what is no terminal draw nothing.
pub(in super::super) async fn show(mut status: watch::Receiver<Arc<GameStatus>>, output: Output) {
    let resized = signal(SignalKind::window_change());
    let (true, Ok(mut resized)) = (output.is_terminal(), resized) else { return std::future::pending().await };
    let mut sessions = BTreeMap::new();
    // Nothing is known of what a new size made of it.
    let mut shown = None;
    let mut asked = Box::pin(ask(status.clone()));
    loop {
        let rows = panel::rows(&status.borrow_and_update(), &sessions, size(), output.is_coloured());
        if shown.as_ref() != Some(&rows) {
            output.panel(rows.clone()).await;
            shown = Some(rows);
        }
        sleep(PAUSE).await;
        tokio::select! {
            changed = status.changed() => if changed.is_err() {
                // The game is over.
                return std::future::pending().await;
            },
            _ = resized.recv() => shown = None,
            answer = &mut asked => {
                sessions = answer;
                asked = Box::pin(ask(status.clone()));
            }
        }
    }
}

/// The sessions of each server, after a while.
async fn ask(status: watch::Receiver<Arc<GameStatus>>) -> BTreeMap<String, u64> {
    sleep(CENSUS).await;
    let status = Arc::clone(&status.borrow());
    let running = status.servers.iter().filter(|server| server.pid.is_some());
    let admins = running.filter_map(|server| Some((server.name.clone(), server.admin.parse().ok()?)));
    let loads = census::take(admins).await;
    loads.into_iter().map(|(name, load)| (name, load.sessions)).collect()
}

fn size() -> Size {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            Size { columns: size.ws_col.into(), rows: size.ws_row.into() }
        }
        _ => USUAL,
    }
}

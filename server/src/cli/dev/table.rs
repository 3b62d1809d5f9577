//! Tables of what runs, for people.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::status::{GameStatus, ServerStatus, TypeStatus};

/// Columns that only a wide table has come last.
pub(crate) fn servers(servers: &[ServerStatus], wide: bool) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let mut head = vec!["SERVER", "TYPE", "STATE", "SESSIONS", "RESTARTS", "AGE", "CLIENTS"];
    if wide {
        head.extend(["LINK", "ADMIN", "PID", "LAST END"]);
    }
    let mut rows = vec![head.into_iter().map(str::to_owned).collect()];
    for server in servers {
        let clients: Vec<&str> = server.clients.values().map(String::as_str).collect();
        let mut row = vec![
            server.name.clone(),
            server.server_type.clone(),
            format!("{}{}", server.state.as_str(), if server.updated { "" } else { " (old)" }),
            or_dash(server.sessions),
            server.restarts.to_string(),
            age(now.saturating_sub(server.since)),
            if clients.is_empty() { "-".to_owned() } else { clients.join(", ") },
        ];
        if wide {
            let pid = or_dash(server.pid);
            row.extend([server.link.clone(), server.admin.clone(), pid, or_dash(server.reason.as_ref())]);
        }
        rows.push(row);
    }
    aligned(&rows)
}

pub(crate) fn types(status: &GameStatus) -> String {
    let head = ["TYPE", "KIND", "DESIRED", "READY", "UPDATED", "DRAINING", "SESSIONS"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for TypeStatus { name, frontend, desired, ready, updated, draining, .. } in &status.types {
        let of_type = status.servers.iter().filter(|server| server.server_type == *name);
        let sessions: Option<u64> = of_type.map(|server| server.sessions).sum();
        let kind = if *frontend { "frontend" } else { "backend" };
        let counts = [desired, ready, updated, draining].map(u32::to_string);
        let mut row = vec![name.clone(), kind.to_owned()];
        row.extend(counts);
        row.push(or_dash(sessions));
        rows.push(row);
    }
    aligned(&rows)
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// `42s`, `5m 3s`, `2h`: enough to compare by.
fn age(seconds: u64) -> String {
    let seconds = if seconds >= 3600 { seconds / 60 * 60 } else { seconds };
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing into a String cannot fail.
            let _ = write!(line, "{cell:width$}   ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

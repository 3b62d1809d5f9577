//! What runs, in a few rows at the bottom of a terminal.

use std::{collections::BTreeMap, fmt::Write as _};

use super::super::status::{GameStatus, ServerState, ServerStatus, TypeStatus};

/// Between two columns.
const GAP: &str = "  ";

/// The window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// How a cell looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Plain,
    Bold,
    Dim,
    Good,
    Busy,
    Bad,
}

/// One row before it is cut to the width of the window: the columns, and a remark with what is left.
#[derive(Debug)]
struct Row {
    cells: [(String, Look); 4],
    remark: String,
    /// It is left out last.
    matters: bool,
}

/// The panel: at most half as high as the window, and as wide. Servers that are ready go first when there is no
/// room for all.
pub(super) fn rows(
    status: &GameStatus,
    sessions: &BTreeMap<String, u64>,
    size: Size,
    is_coloured: bool,
) -> Vec<String> {
    let most = size.rows / 2;
    if most < 3 || status.types.is_empty() {
        return Vec::new();
    }
    let mut rows = vec![Row {
        cells: ["SERVER", "STATE", "SESSIONS", "RESTARTS"].map(|name| (name.to_owned(), Look::Dim)),
        remark: String::new(),
        matters: true,
    }];
    for one in &status.types {
        let servers: Vec<_> = status.servers.iter().filter(|server| server.server_type == one.name).collect();
        rows.push(of_type(one, &servers, sessions));
        rows.extend(servers.iter().map(|server| of_server(server, sessions)));
    }
    let all = rows.len();
    if all > most {
        rows.retain(|row| row.matters);
        // One row says what is missing.
        rows.truncate(most - 1);
    }
    let hidden = all - rows.len();
    let widths: [usize; 4] = std::array::from_fn(|column| {
        rows.iter().filter_map(|row| row.cells.get(column)).map(|(text, _)| text.chars().count()).max().unwrap_or(0)
    });
    let mut lines: Vec<String> = rows.iter().map(|row| row.line(widths, size.columns, is_coloured)).collect();
    if hidden > 0 {
        let mut line = Line::new(size.columns, is_coloured);
        line.push(&format!("and {hidden} more: `cereus get` shows all"), Look::Dim);
        lines.push(line.text);
    }
    lines
}

fn of_type(one: &TypeStatus, servers: &[&ServerStatus], sessions: &BTreeMap<String, u64>) -> Row {
    let TypeStatus { name, desired, servers: all, ready, updated, draining, .. } = one;
    let known: Vec<u64> = servers.iter().filter_map(|server| sessions.get(&server.name)).copied().collect();
    let old = all.saturating_sub(*updated + draining);
    let remarks = [(*draining, "draining"), (old, "to be replaced")];
    let remarks = remarks.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let look = if one.is_settled() { Look::Good } else { Look::Busy };
    Row {
        cells: [
            (name.clone(), Look::Bold),
            (format!("{ready}/{desired} ready"), look),
            (if known.is_empty() { "-".to_owned() } else { known.iter().sum::<u64>().to_string() }, Look::Plain),
            (servers.iter().map(|server| server.restarts).sum::<u32>().to_string(), Look::Plain),
        ],
        remark: remarks.collect::<Vec<_>>().join(", "),
        matters: true,
    }
}

fn of_server(server: &ServerStatus, sessions: &BTreeMap<String, u64>) -> Row {
    let look = match server.state {
        ServerState::Ready => Look::Good,
        ServerState::Starting | ServerState::Draining => Look::Busy,
        ServerState::Unready | ServerState::Waiting => Look::Bad,
    };
    let is_well = server.state == ServerState::Ready;
    let clients: Vec<&str> = server.clients.values().map(|client| address(client)).collect();
    let remark = match &server.reason {
        // Why it is not as it should be says more than where it would be reached.
        Some(reason) if !is_well => reason.clone(),
        Some(reason) if clients.is_empty() => format!("before, it {reason}"),
        _ => clients.join(", "),
    };
    Row {
        cells: [
            (format!(" {}", server.name), Look::Plain),
            (server.state.as_str().to_owned(), look),
            (sessions.get(&server.name).map_or_else(|| "-".to_owned(), u64::to_string), Look::Plain),
            (server.restarts.to_string(), if server.restarts > 0 { Look::Bad } else { Look::Plain }),
        ],
        remark,
        matters: !is_well || !clients.is_empty(),
    }
}

/// Without the protocol behind it, for which there is no room.
fn address(client: &str) -> &str {
    client.split_once(' ').map_or(client, |(address, _)| address)
}

impl Row {
    fn line(&self, widths: [usize; 4], columns: usize, is_coloured: bool) -> String {
        let mut line = Line::new(columns, is_coloured);
        for (column, ((text, look), width)) in self.cells.iter().zip(widths).enumerate() {
            let space = width.saturating_sub(text.chars().count());
            // Names begin at the same column, numbers end there.
            let (before, after) = if column < 2 { (0, space) } else { (space, 0) };
            line.push(&" ".repeat(before), Look::Plain);
            line.push(text, *look);
            line.push(&" ".repeat(after), Look::Plain);
            line.push(GAP, Look::Plain);
        }
        line.push(&self.remark, Look::Dim);
        line.text
    }
}

/// One row as it is built; what does not fit is cut.
#[derive(Debug)]
struct Line {
    text: String,
    room: usize,
    is_coloured: bool,
}

impl Line {
    fn new(columns: usize, is_coloured: bool) -> Self {
        Self { text: String::new(), room: columns, is_coloured }
    }

    fn push(&mut self, text: &str, look: Look) {
        // What a process says of itself must not move the cursor.
        let text = text.chars().filter(|letter| !letter.is_control());
        let mut text: String = text.take(self.room + 1).collect();
        let count = text.chars().count();
        if count > self.room {
            text = text.chars().take(self.room.saturating_sub(1)).chain((self.room > 0).then_some('…')).collect();
        }
        self.room = self.room.saturating_sub(count);
        let code = match look {
            Look::Plain => None,
            Look::Bold => Some(1),
            Look::Dim => Some(2),
            Look::Good => Some(32),
            Look::Busy => Some(33),
            Look::Bad => Some(31),
        };
        match code.filter(|_| self.is_coloured && !text.is_empty()) {
            // Writing into a String cannot fail.
            Some(code) => drop(write!(self.text, "\x1b[{code}m{text}\x1b[0m")),
            None => self.text.push_str(&text),
        }
    }
}

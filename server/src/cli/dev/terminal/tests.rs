use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use super::{
    super::status::{GameStatus, ServerState, ServerStatus, TypeStatus},
    panel::{self, Size},
    screen::Screen,
};

fn server(name: &str, state: ServerState) -> ServerStatus {
    ServerStatus {
        name: name.to_owned(),
        server_type: name.split('-').next().unwrap().to_owned(),
        state,
        updated: true,
        sessions: None,
        since: 0,
        restarts: 0,
        reason: None,
        pid: None,
        clients: BTreeMap::new(),
        link: String::new(),
        admin: String::new(),
    }
}

fn game(rooms: usize) -> GameStatus {
    let of_type = |name: &str, desired, ready, updated, draining| TypeStatus {
        name: name.to_owned(),
        frontend: name == "connector",
        desired,
        servers: desired,
        ready,
        updated,
        draining,
    };
    let mut connector = server("connector-1", ServerState::Ready);
    let client = |name: &str, address: &str| (name.to_owned(), address.to_owned());
    connector.clients = [client("tcp", "127.0.0.1:3250 (TCP)"), client("ws", "ws://127.0.0.1:3251 (WebSocket)")].into();
    let mut crashed = server("room-1", ServerState::Waiting);
    (crashed.restarts, crashed.reason) = (12, Some("ended (\x1b[2Jexit status: 101)".to_owned()));
    let mut restarted = server("room-2", ServerState::Ready);
    (restarted.restarts, restarted.reason) = (1, Some("ended (exit status: 1)".to_owned()));
    let mut servers = vec![connector, crashed, restarted, server("room-3", ServerState::Draining)];
    servers.extend((4..=rooms).map(|number| server(&format!("room-{number}"), ServerState::Ready)));
    let rooms = rooms as u32;
    GameStatus {
        types: vec![of_type("connector", 1, 1, 1, 0), of_type("room", rooms, rooms - 2, rooms - 2, 1)],
        servers,
    }
}

fn rows(rooms: usize, columns: usize, rows: usize, is_coloured: bool) -> Vec<String> {
    let sessions = BTreeMap::from([("connector-1".to_owned(), 1200), ("room-2".to_owned(), 3)]);
    panel::rows(&game(rooms), &sessions, Size { columns, rows }, is_coloured)
}

#[test]
fn a_panel_says_what_there_is() {
    let expected = [
        "SERVER        STATE      SESSIONS  RESTARTS",
        "connector     1/1 ready      1200         0",
        " connector-1  ready          1200         0  127.0.0.1:3250, ws://127.0.0.1:3251",
        "room          1/3 ready         3        13  1 draining, 1 to be replaced",
        " room-1       waiting           -        12  ended ([2Jexit status: 101)",
        " room-2       ready             3         1  before, it ended (exit status: 1)",
        " room-3       draining          -         0",
    ];
    let panel = rows(3, 80, 24, false);
    assert_eq!(panel.iter().map(|row| row.trim_end()).collect::<Vec<_>>(), expected);
    let coloured = rows(3, 80, 24, true);
    assert!(coloured[4].contains("\x1b[31mwaiting\x1b[0m"), "{coloured:?}");
    assert!(coloured[5].contains("\x1b[32mready\x1b[0m"), "{coloured:?}");
}

#[test]
fn a_panel_fits_into_the_window() {
    for columns in 0..100 {
        let panel = rows(3, columns, 24, false);
        assert!(panel.iter().all(|row| row.chars().count() <= columns), "{columns}: {panel:?}");
    }
    assert_eq!(rows(3, 50, 24, false)[2], " connector-1  ready          1200         0  127.…");
    for height in 0..60 {
        let panel = rows(20, 80, height, false);
        assert!(panel.len() <= height / 2, "{height}: {panel:?}");
    }
    // Those that are well go first.
    let panel = rows(20, 80, 20, false);
    assert_eq!(panel.len(), 7);
    assert_eq!(panel[6], "and 18 more: `cereus get` shows all");
    assert!(["room-1", "room-3"].iter().all(|name| panel.iter().any(|row| row.contains(name))), "{panel:?}");
    assert!(rows(3, 80, 5, false).is_empty());
}

/// As much of a terminal as is drawn on: without an end, and so wide that nothing wraps.
#[derive(Debug, Default)]
struct Terminal {
    rows: Vec<String>,
    row: usize,
    /// What each write has left visible.
    seen: Vec<String>,
}

impl Write for &mut Terminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = std::str::from_utf8(bytes).unwrap();
        while let Some(letter) = rest.chars().next() {
            rest = &rest[letter.len_utf8()..];
            match letter {
                '\n' => self.row += 1,
                '\r' => {}
                '\x1b' => {
                    let end = rest.find(char::is_alphabetic).unwrap();
                    let (sequence, behind) = rest.split_at(end + 1);
                    rest = behind;
                    match sequence {
                        "[J" => self.rows.truncate(self.row),
                        "[?2026h" | "[?2026l" => {}
                        up => self.row -= up[1..].strip_suffix('A').unwrap().parse::<usize>().unwrap(),
                    }
                }
                letter => {
                    let row = self.row;
                    let rows = self.rows.len().max(row + 1);
                    self.rows.resize(rows, String::new());
                    self.rows[row].push(letter);
                }
            }
        }
        let seen = self.rows.join("\n");
        self.seen.push(seen);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_scroll_by_above_the_panel() {
    let panel = |rows: &[&str]| rows.iter().map(|row| (*row).to_owned()).collect::<Vec<_>>();
    let mut terminal = Terminal::default();
    let mut screen = Screen::new(&mut terminal);
    screen.lines(b"one\n").unwrap();
    screen.show(panel(&["a", "b"])).unwrap();
    screen.lines(b"two\nthree\n").unwrap();
    screen.show(panel(&["c"])).unwrap();
    screen.show(panel(&[])).unwrap();
    screen.lines(b"four\n").unwrap();
    let expected = [
        "one",
        "one\n\na\nb",
        "one\ntwo\nthree\n\na\nb",
        "one\ntwo\nthree\n\nc",
        "one\ntwo\nthree",
        "one\ntwo\nthree\nfour",
    ];
    assert_eq!(terminal.seen, expected);
}

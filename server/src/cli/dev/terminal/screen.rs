//! A terminal on which lines scroll by above a panel that stays.
//!
//! The cursor rests on an empty row between the two, and the panel is drawn below it. So it takes neither counting nor
//! knowledge of the window to remove the panel, whatever a resize made of it, and what others write, a key that is echoed
//! or the text of a panic, appears between the two. No mode of the terminal is changed: there is nothing to restore.

use std::io::{self, Write};

/// To the beginning of the row, and nothing below it.
pub(in super::super) const CLEAR: &str = "\r\x1b[J";
/// What a terminal that knows it shows at once at the end, without flicker; others pass over it.
const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";

/// Writes both; without a panel just the lines.
#[derive(Debug)]
pub(in super::super) struct Screen<T> {
    target: T,
    panel: Vec<String>,
}

impl<T: Write> Screen<T> {
    pub(in super::super) fn new(target: T) -> Self {
        Self { target, panel: Vec::new() }
    }

    /// Write whole lines.
    pub(in super::super) fn lines(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.panel.is_empty() {
            self.target.write_all(lines)?;
            return self.target.flush();
        }
        self.draw(lines)
    }

    /// Show these rows, none of which may be wider than the window, instead of those before.
    pub(in super::super) fn show(&mut self, panel: Vec<String>) -> io::Result<()> {
        let was_empty = std::mem::replace(&mut self.panel, panel).is_empty();
        if was_empty && self.panel.is_empty() { Ok(()) } else { self.draw(&[]) }
    }

    /// All in one write, so that no half of it is seen.
    fn draw(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut drawing = [BEGIN.as_bytes(), CLEAR.as_bytes(), lines].concat();
        for row in &self.panel {
            drawing.extend_from_slice(b"\r\n");
            drawing.extend_from_slice(row.as_bytes());
        }
        if !self.panel.is_empty() {
            drawing.extend_from_slice(format!("\r\x1b[{}A", self.panel.len()).as_bytes());
        }
        drawing.extend_from_slice(END.as_bytes());
        self.target.write_all(&drawing)?;
        self.target.flush()
    }
}

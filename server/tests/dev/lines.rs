//! The lines that a process writes, each waited for with a deadline.

use std::{
    io::{BufRead as _, BufReader, Read},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// How long a line may take to be written.
const SAID: Duration = Duration::from_mins(1);

/// What a process writes. When this is dropped, its output is closed with its next line.
pub(crate) struct Lines(Receiver<String>);

impl Lines {
    pub(crate) fn of(output: impl Read + Send + 'static) -> Self {
        let (sender, lines) = mpsc::sync_channel(16);
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                if sender.send(line.expect("lines are text")).is_err() {
                    break;
                }
            }
        });
        Self(lines)
    }

    /// The next line, if it comes before this.
    pub(crate) fn next(&mut self, deadline: Instant) -> Result<String, RecvTimeoutError> {
        self.0.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    }

    /// All lines from the next one up to that which contains one of these texts.
    pub(crate) fn until(&mut self, texts: &[&str]) -> Vec<String> {
        let deadline = Instant::now() + SAID;
        let mut lines = Vec::new();
        loop {
            match self.next(deadline) {
                Ok(line) => lines.push(line),
                Err(end) => panic!("none of {texts:?} was said ({end}), but {lines:#?}"),
            }
            if lines.last().is_some_and(|line| texts.iter().any(|text| line.contains(text))) {
                return lines;
            }
        }
    }

    /// The next line that contains one of these texts.
    pub(crate) fn line(&mut self, texts: &[&str]) -> String {
        self.until(texts).pop().expect("it was found")
    }
}

//! Processes: started, read, told to stop, and never left behind.

#[path = "../dev/lines.rs"]
mod lines;

use std::{
    env,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::RecvTimeoutError,
    time::Instant,
};

use rustix::process::{Pid, Signal, kill_process};

use self::lines::Lines;
use crate::PATIENCE;

/// The path of an example. Cargo builds them before it runs all tests, beside the folder of the test itself.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = env::current_exe().expect("the test is a file");
    let path = test.ancestors().nth(2).expect("target/<profile>/deps/<test>").join("examples").join(name);
    assert!(path.is_file(), "{} is missing: cargo build -p cereus --examples", path.display());
    path
}

/// A running process. It is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    lines: Lines,
}

impl Process {
    /// Starts it, to be read from its standard output.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = Lines::of(child.stdout.take().expect("its output is a pipe"));
        Self { child, lines }
    }

    /// Starts it, to be read from its standard error: the log.
    pub(crate) fn start_logging(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let lines = Lines::of(child.stderr.take().expect("its errors are a pipe"));
        Self { child, lines }
    }

    /// All lines from the next one up to that which contains `text`.
    pub(crate) fn lines_to(&mut self, text: &str) -> Vec<String> {
        self.lines.until(&[text])
    }

    /// The next line that contains `text`.
    pub(crate) fn line(&mut self, text: &str) -> String {
        self.lines.line(&[text])
    }

    pub(crate) fn pid(&self) -> Pid {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process has a number")
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self, signal: Signal) -> ExitStatus {
        kill_process(self.pid(), signal).expect("it runs");
        // What it says now interests nobody, but somebody has to read it.
        let deadline = Instant::now() + PATIENCE;
        let end = loop {
            if let Err(end) = self.lines.next(deadline) {
                break end;
            }
        };
        assert_eq!(end, RecvTimeoutError::Disconnected, "it does not end");
        self.child.wait().expect("it is our child")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

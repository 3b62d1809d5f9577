//! Processes: started, read, told to stop, and never left behind.

use std::{
    env,
    io::{BufRead as _, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

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
    lines: Option<BufReader<Box<dyn Read>>>,
}

impl Process {
    /// Starts it, to be read from its standard output.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
        let output = Box::new(child.stdout.take().expect("its output is a pipe")) as _;
        Self { child, lines: Some(BufReader::new(output)) }
    }

    /// Starts it, to be read from its standard error: the log.
    pub(crate) fn start_logging(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let errors = Box::new(child.stderr.take().expect("its errors are a pipe")) as _;
        Self { child, lines: Some(BufReader::new(errors)) }
    }

    /// All lines from the next one up to that which contains `text`.
    pub(crate) fn lines_to(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for line in self.lines.as_mut().expect("it is read").lines() {
            lines.push(line.expect("lines are text"));
            if lines.last().is_some_and(|line| line.contains(text)) {
                return lines;
            }
        }
        panic!("it ended without saying {text:?}: {lines:#?}");
    }

    /// The next line that contains `text`.
    pub(crate) fn line(&mut self, text: &str) -> String {
        self.lines_to(text).pop().expect("it was found")
    }

    pub(crate) fn pid(&self) -> Pid {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process has a number")
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self, signal: Signal) -> ExitStatus {
        kill_process(self.pid(), signal).expect("it runs");
        // What it says now interests nobody, but somebody has to read it.
        let mut lines = self.lines.take().expect("it is read");
        std::io::copy(&mut lines, &mut std::io::sink()).expect("it can be read");
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

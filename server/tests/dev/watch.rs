//! `cereus dev --watch` with a game that cargo builds: small, because it hands over to the real one.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::{BINARY, Dev, ended, runs};

/// How long cargo may take to begin.
const BEGUN: Duration = Duration::from_mins(1);

/// A package `game` with a path dependency `rules`, and its executable.
struct Game {
    folder: TempDir,
}

impl Game {
    fn new() -> Self {
        // Beside the executable, which is large, so that it can be linked.
        let folder = tempfile::Builder::new().prefix("watch-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let game = Self { folder: folder.expect("a folder can be made") };
        let package = "version = '0.1.0'\nedition = '2024'\n";
        game.write(
            "Cargo.toml",
            &format!("[package]\nname = 'game'\n{package}[dependencies]\nrules = {{ path = 'rules' }}\n[workspace]\n"),
        );
        game.write("rules/Cargo.toml", &format!("[package]\nname = 'rules'\n{package}"));
        game.write("rules/src/lib.rs", "pub const VERSION: &str = \"one\";\n");
        let main = format!(
            "use std::os::unix::process::CommandExt as _;\nfn main() {{\n    eprintln!(\"built: {{}}\", rules::VERSION);\n    \
             let words = std::env::args_os().skip(1);\n    \
             panic!(\"{{}}\", std::process::Command::new({BINARY:?}).args(words).exec());\n}}\n"
        );
        game.write("src/main.rs", &main);
        // As if it was built before: with other words in it, so that the next build is a new one.
        let executable = game.folder.path().join("target/debug/game");
        fs::create_dir_all(executable.parent().expect("it has one")).expect("a folder can be made");
        fs::hard_link(BINARY, &executable).expect("it is the same file system");
        game
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a folder can be made");
        fs::write(path, text).expect("it can be written");
    }

    /// As `cargo run -- dev --watch` starts it.
    fn command(&self, executable: &Path) -> Command {
        let mut command = Command::new(executable);
        command.args(["dev", "--watch", "--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0"]);
        command.env("CARGO_MANIFEST_DIR", self.folder.path()).env_remove("CARGO_TARGET_DIR");
        command
    }
}

#[test]
fn servers_are_replaced_by_a_new_build() {
    let game = Game::new();
    let folder = TempDir::new().expect("a folder can be made");
    let mut dev = Dev::of(&mut game.command(&game.folder.path().join("target/debug/game")), folder);
    dev.line("ready: clients connect to");
    let before = dev.servers();
    assert_eq!(before.len(), 3);

    game.write("rules/src/lib.rs", "pub const VERSION: &str = 2;\n");
    dev.line("cargo       | error[E0308]: mismatched types");
    dev.line("the build has failed; the servers stay as they are");
    assert_eq!(dev.servers(), before);

    game.write("rules/src/lib.rs", "pub const VERSION: &str = \"two\";\n");
    dev.line("the build is new; the servers are replaced one at a time");
    dev.line("built: two");
    for _ in ["connector", "room"] {
        dev.line("is as it is to be");
    }
    assert!(before.iter().all(|(_, pid)| !runs(*pid)), "{before:?}");
    let after = dev.servers();
    assert_eq!(after.len(), 3);

    game.write("rules/src/notes.txt", "nothing that is compiled");
    dev.line("the build is as it was, the servers stay");
    assert_eq!(dev.servers(), after);
    dev.stop();
}

#[test]
fn servers_are_replaced_when_the_build_changes_the_lock_file() {
    let game = Game::new();
    let folder = TempDir::new().expect("a folder can be made");
    let mut dev = Dev::of(&mut game.command(&game.folder.path().join("target/debug/game")), folder);
    dev.line("ready: clients connect to");
    let before = dev.servers();

    // Cargo writes Cargo.lock, which is a change during the build.
    game.write("rules/maps/Cargo.toml", "[package]\nname = 'maps'\nversion = '0.1.0'\nedition = '2024'\n");
    game.write("rules/maps/src/lib.rs", "pub const VERSION: &str = \"with maps\";\n");
    game.write("rules/src/lib.rs", "pub use maps::VERSION;\n");
    let rules = game.folder.path().join("rules/Cargo.toml");
    let text = fs::read_to_string(&rules).expect("it can be read");
    fs::write(rules, text + "[dependencies]\nmaps = { path = 'maps' }\n").expect("it can be written");
    dev.line("building");
    dev.line("building");
    dev.line("the build is new; the servers are replaced one at a time");
    dev.line("built: with maps");
    for _ in ["connector", "room"] {
        dev.line("is as it is to be");
    }
    assert!(before.iter().all(|(_, pid)| !runs(*pid)), "{before:?}");
    dev.stop();
}

#[test]
fn a_build_ends_with_it() {
    for signal in [Signal::KILL, Signal::INT] {
        let game = Game::new();
        let folder = TempDir::new().expect("a folder can be made");
        let mut dev = Dev::of(&mut game.command(&game.folder.path().join("target/debug/game")), folder);
        dev.line("ready: clients connect to");
        // It says who builds, and never ends.
        game.write(
            "rules/build.rs",
            "fn main() {\n    let pids = format!(\"{} {}\", std::os::unix::process::parent_id(), std::process::id());\n    \
             std::fs::write(\"../target/pids.new\", pids).unwrap();\n    \
             std::fs::rename(\"../target/pids.new\", \"../target/pids\").unwrap();\n    \
             std::thread::sleep(std::time::Duration::from_secs(600));\n}\n",
        );
        dev.line("building");
        let (start, pids) = (Instant::now(), game.folder.path().join("target/pids"));
        while !pids.exists() {
            assert!(start.elapsed() < BEGUN, "nothing is built");
            std::thread::sleep(Duration::from_millis(10));
        }
        let pids = fs::read_to_string(&pids).expect("it can be read");
        let pid = |text: &str| Pid::from_raw(text.parse().expect("it is a number")).expect("it is one of a process");
        let build: Vec<_> = ["cargo", "rules"].map(str::to_owned).into_iter().zip(pids.split(' ').map(pid)).collect();
        assert!(build.iter().all(|(_, pid)| runs(*pid)), "{build:?}");
        dev.signal(signal);
        dev.end();
        ended(&build);
    }
}

#[test]
fn what_cargo_did_not_build_is_not_watched() {
    let game = Game::new();
    let said = |command: &mut Command| {
        let output = command.output().expect("it can be run");
        assert!(!output.status.success());
        String::from_utf8(output.stderr).expect("it is text")
    };
    let mut command = game.command(Path::new(BINARY));
    let other = said(&mut command);
    assert!(other.starts_with("error: --watch: ") && other.contains("is not what cargo builds of game"), "{other}");
    let none = said(command.env_remove("CARGO_MANIFEST_DIR"));
    assert!(none.starts_with("error: --watch builds with cargo: start the game with `cargo run"), "{none}");
}

//! `--watch`: builds the executable again when its sources change, and has the servers replaced.
//!
//! Cargo is asked everything: which packages the executable is made of, and to build it. When it cannot, its errors are shown
//! and the servers stay; when nothing came out that is new, they stay too.

mod package;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use notify::{RecommendedWatcher, Watcher as _};
use tokio::{
    process::Command,
    sync::{Notify, mpsc},
    time::timeout,
};

use self::package::Package;
use super::{game, output::Output};

/// A build begins when nothing has changed for this long: what is saved together is built together.
const QUIET: Duration = Duration::from_millis(200);
/// The name before the lines of the compiler.
const CARGO: &str = "cargo";
/// Runs a command that ends, with all that it has started, when this process does: somebody in its process group waits for
/// the end of what was its standard input.
const WITH_US: &str = r#"exec 3<&0; { read -r _ <&3; kill -s KILL 0; } 2>/dev/null & exec "$0" "$@" </dev/null 3<&-"#;

/// Follows sources.
#[derive(Debug)]
pub(super) struct Rebuild {
    package: Package,
    executable: PathBuf,
    /// The executable that runs.
    running: Option<Fingerprint>,
    signal: Arc<Notify>,
    _watcher: RecommendedWatcher,
}

impl Rebuild {
    /// Begin to watch what the executable is made of. What changes after this is not missed.
    pub(super) fn watch(executable: &Path) -> anyhow::Result<Self> {
        let package = Package::of(executable)?;
        let signal = Arc::new(Notify::new());
        let notified = Arc::clone(&signal);
        let target = package.target.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // A missed event may have been one that matters.
            let matters = event.map_or(true, |event| is_edit(&event, &target));
            if matters {
                notified.notify_one();
            }
        })?;
        for (folder, mode) in package.folders() {
            let shown = folder.display().to_string();
            watcher.watch(&folder, mode).with_context(|| format!("{shown} cannot be watched"))?;
        }
        let running = fingerprint(executable);
        Ok(Self { package, executable: executable.to_owned(), running, signal, _watcher: watcher })
    }

    /// Build and have servers replaced, for ever.
    pub(super) async fn follow(mut self, commands: mpsc::Sender<game::Command>, output: Output) {
        output.own(&format!("the sources of {} are watched", self.package.name)).await;
        loop {
            self.signal.notified().await;
            let built = loop {
                while timeout(QUIET, self.signal.notified()).await.is_ok() {}
                output.own("the sources have changed, building").await;
                let built = self.build(&output).await;
                // What was saved during a build is not in it, or may not be: nobody waits for servers of that.
                if timeout(Duration::ZERO, self.signal.notified()).await.is_err() {
                    break built;
                }
            };
            match built {
                // Not what the last build began with: others before it may have been what made the executable new.
                Ok(()) if fingerprint(&self.executable) == self.running => {
                    output.own("the build is as it was, the servers stay").await;
                }
                Ok(()) => {
                    self.running = fingerprint(&self.executable);
                    // It fails when the game is stopping.
                    let _ = commands.send(game::Command::Replace).await;
                }
                Err(error) => output.own(&format!("{error:#}; the servers stay as they are")).await,
            }
        }
    }

    async fn build(&self, output: &Output) -> anyhow::Result<()> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", WITH_US]).arg(package::cargo());
        command.args(&self.package.build).args(["--color", if output.is_coloured() { "always" } else { "never" }]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
        let mut child = command.spawn().context("cargo cannot be started")?;
        // Taken, because waiting for a child closes the one that it holds.
        let _stdin = child.stdin.take();
        if let Some(errors) = child.stderr.take() {
            output.clone().copy(CARGO.to_owned(), 1, errors).await;
        }
        let status = child.wait().await.context("cargo was lost")?;
        anyhow::ensure!(status.success(), "the build has failed");
        Ok(())
    }
}

/// What changes with each build that makes a new file: its number and its time.
type Fingerprint = (u64, SystemTime);

fn fingerprint(path: &Path) -> Option<Fingerprint> {
    use std::os::unix::fs::MetadataExt as _;
    let found = fs::metadata(path).ok()?;
    Some((found.ino(), found.modified().ok()?))
}

/// Whether an event is a change of what a person writes.
fn is_edit(event: &notify::Event, target: &Path) -> bool {
    let is_source = |path: &PathBuf| {
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        !hidden && !path.starts_with(target)
    };
    // To be read changes nothing, and is what the compiler does itself.
    !matches!(event.kind, notify::EventKind::Access(_)) && event.paths.iter().any(is_source)
}

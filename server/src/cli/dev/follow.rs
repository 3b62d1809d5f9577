//! Manifests that are edited while the game runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use serde_json::Value;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::spawn_blocking,
    time::timeout,
};

use super::{game::Command, manifest, manifest::Manifest, outcome, output::Output};
use crate::cli::check::Manifests;

/// Manifests are read when nothing has happened to them for this long: one that is saved is several events.
const QUIET: Duration = Duration::from_millis(100);

/// Reads manifests again when they change.
#[derive(Debug)]
pub(super) struct Edits {
    manifests: Manifests,
    executable: PathBuf,
    /// What runs, by name.
    old: BTreeMap<String, Value>,
    /// What was wrong the last time, so that it is said once.
    refused: Option<String>,
    signal: Arc<Notify>,
    _watcher: RecommendedWatcher,
}

/// What follows from a look at the manifests.
#[derive(Debug)]
enum Look {
    Same,
    Changed(Vec<Manifest>),
    /// They are wrong; what there is to say.
    Wrong(String),
}

impl Edits {
    /// Begin to watch. What changes after this is not missed.
    pub(super) fn watch(paths: &[PathBuf], executable: &Path) -> anyhow::Result<Self> {
        let signal = Arc::new(Notify::new());
        let notified = Arc::clone(&signal);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // To be read changes nothing, and is what this process does itself.
            if !matches!(&event, Ok(event) if matches!(event.kind, notify::EventKind::Access(_))) {
                notified.notify_one();
            }
        })?;
        let folders: BTreeSet<PathBuf> = paths.iter().map(|path| folder(path)).collect();
        for folder in folders {
            let shown = folder.display().to_string();
            watcher
                .watch(&folder, RecursiveMode::NonRecursive)
                .with_context(|| format!("{shown} cannot be watched"))?;
        }
        Ok(Self {
            manifests: Manifests::Paths(paths.to_vec()),
            executable: executable.to_owned(),
            old: BTreeMap::new(),
            refused: None,
            signal,
            _watcher: watcher,
        })
    }

    /// These run.
    pub(super) fn begin_with(&mut self, manifests: &[Manifest]) {
        self.old = documents(manifests);
    }

    /// Pass on what changes, for ever.
    pub(super) async fn follow(mut self, commands: mpsc::Sender<Command>, output: Output) {
        loop {
            self.signal.notified().await;
            while timeout(QUIET, self.signal.notified()).await.is_ok() {}
            let look = spawn_blocking(move || {
                let look = self.look();
                (self, look)
            });
            let Some((kept, look)) = outcome(look.await) else { return };
            self = kept;
            let wrong = match look {
                Look::Same => None,
                Look::Changed(manifests) => self.apply(manifests, &commands).await,
                Look::Wrong(report) => Some(report),
            };
            // What was said already is not said again.
            if let Some(report) = wrong.as_ref().filter(|_| wrong != self.refused) {
                output.own("the manifests are wrong; what they were keeps running until they are saved again:").await;
                for line in report.lines() {
                    output.own(line).await;
                }
            }
            self.refused = wrong;
        }
    }

    fn look(&self) -> Look {
        match manifest::load(&self.manifests, &self.old, &self.executable) {
            Ok(Ok(manifests)) if documents(&manifests) == self.old => Look::Same,
            Ok(Ok(manifests)) => Look::Changed(manifests),
            Ok(Err(report)) => Look::Wrong(report),
            Err(error) => Look::Wrong(format!("{error:#}\n")),
        }
    }

    /// Run these instead; why not, if not.
    async fn apply(&mut self, manifests: Vec<Manifest>, commands: &mpsc::Sender<Command>) -> Option<String> {
        let new = documents(&manifests);
        let (answer, result) = oneshot::channel();
        // It fails when the game is stopping, and so does the answer.
        let _ = commands.send(Command::Apply { manifests, answer }).await;
        if let Ok(Err(report)) = result.await {
            return Some(report);
        }
        self.old = new;
        None
    }
}

fn documents(manifests: &[Manifest]) -> BTreeMap<String, Value> {
    manifests.iter().map(|manifest| (manifest.name.clone(), manifest.document.clone())).collect()
}

/// The folder to watch: editors replace files, so a file alone would be lost.
fn folder(path: &Path) -> PathBuf {
    if path.is_dir() {
        return path.to_owned();
    }
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

//! The source that watches a directory of files.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::future::{self, BoxFuture};
use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::{
    runtime::Handle,
    sync::Notify,
    task::{self, JoinSet},
    time::{self, Instant},
};

use super::{
    error::Error,
    files::{self, Files, Problem, Reading, Remark},
    source::{Source, SourceStatus},
    watch::{Publisher, Topology},
};

/// The directory is read when nothing has happened in it for this long: one replaced file is several events, and a
/// program that writes many files should be seen once.
const QUIET: Duration = Duration::from_millis(10);

/// And at the latest this long after the first event, so that somebody who never stops writing is seen as well.
const LATEST: Duration = Duration::from_millis(200);

/// Keeps a [`Topology`] up to date with its directory. The watching ends when this is dropped; the last view stays.
#[derive(Debug)]
pub struct DirectoryWatch {
    directory: PathBuf,
    _task: JoinSet<()>,
}

impl Topology {
    /// A view of the EndpointSlices and ServerTypes in the files of a directory (`.yaml`, `.yml`, `.json`; several
    /// documents per file; other kinds are passed over). It is complete when this returns and follows every change.
    ///
    /// A file should be replaced by renaming another one over it, as [`DirectoryWriter`](super::DirectoryWriter) does. A
    /// file that is not understood is logged once and counts with its last good content. When the directory itself is
    /// removed its last view stays.
    ///
    /// # Errors
    ///
    /// When the path is not a directory that can be read, the operating system cannot watch it, or the caller is
    /// outside a tokio runtime with time enabled.
    pub fn directory(path: impl AsRef<Path>) -> Result<(Self, DirectoryWatch), Error> {
        let path = path.as_ref();
        let runtime = Handle::try_current().map_err(Error::NoRuntime)?;
        files::list(path).map_err(|source| Error::Directory { path: path.to_owned(), source })?;

        // Watch first, read then: what changes in between is read twice and not missed.
        let signal = Arc::new(Notify::new());
        let watcher =
            watch(path, Arc::clone(&signal)).map_err(|source| Error::Watch { path: path.to_owned(), source })?;
        let mut files = Files::new(path.to_owned());
        let first = files.read();
        log(&first.remarks);
        let (publisher, topology) = Self::channel(first.snapshot);

        let mut task = JoinSet::new();
        task.spawn_on(follow(files, watcher, signal, publisher), &runtime);
        Ok((topology, DirectoryWatch { directory: path.to_owned(), _task: task }))
    }
}

impl Source for DirectoryWatch {
    fn synced(&self) -> BoxFuture<'_, ()> {
        Box::pin(future::ready(()))
    }

    fn status(&self) -> SourceStatus {
        SourceStatus {
            source: "directory",
            place: self.directory.display().to_string(),
            synced: true,
            ..SourceStatus::default()
        }
    }
}

/// Signal each event that may have changed a file. A [`Notify`] holds one signal: further ones while it waits say
/// nothing new, because the whole directory is read for it.
fn watch(path: &Path, signal: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if !matches!(&event, Ok(event) if is_reading(event.kind)) {
            signal.notify_one();
        }
    })?;
    watcher.watch(path, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// Somebody only looked at a file, as this module itself does after every other event.
fn is_reading(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    }
}

/// Ends when it is aborted; owns the watcher so that its thread ends with it.
async fn follow(mut files: Files, _watcher: RecommendedWatcher, signal: Arc<Notify>, publisher: Publisher) {
    loop {
        signal.notified().await;
        let latest = Instant::now() + LATEST;
        while Instant::now() < latest
            && time::timeout_at(latest.min(Instant::now() + QUIET), signal.notified()).await.is_ok()
        {}
        let read = task::spawn_blocking(move || {
            let reading = files.read();
            (files, reading)
        });
        // It fails only when the runtime is shut down.
        let Ok((kept, Reading { snapshot, remarks })) = read.await else { return };
        files = kept;
        log(&remarks);
        let skipped = snapshot.skipped();
        if publisher.publish(snapshot) {
            tracing::debug!(skipped = skipped.total(), "topology has changed");
        }
    }
}

fn log(remarks: &[Remark]) {
    for remark in remarks {
        match remark {
            Remark::Broken(path, Problem { line, cause }) => {
                let file = path.display();
                tracing::warn!(%file, line, cause, "topology file is not understood, its last good content stays");
            }
            Remark::Mended(path) => tracing::info!(file = %path.display(), "topology file is understood again"),
            Remark::Lost(cause) => tracing::warn!(cause, "topology directory cannot be read, its last view stays"),
        }
    }
}

//! What is made of files, and made anew when they change.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::{
    runtime::Handle,
    sync::Notify,
    task::{self, JoinSet},
    time::{Instant, timeout_at},
};

use super::Error;

/// Files are read when nothing has happened around them for this long: a certificate and its key are two files, and one
/// that is copied is written in pieces.
const QUIET: Duration = Duration::from_millis(100);

/// And at the latest this long after the first event.
const LATEST: Duration = Duration::from_secs(1);

/// What a file is needed for, and where it is.
type File = (&'static str, PathBuf);

/// What some files give, as they are now. The following ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Reloading<T> {
    latest: Arc<ArcSwap<T>>,
    _task: JoinSet<()>,
}

impl<T: Send + Sync + 'static> Reloading<T> {
    /// Reads `files`, makes a `T` of what is in them, and does so again whenever one of them is replaced, be it by itself
    /// or, as Kubernetes does it, with a folder that holds all of them and is reached by a link.
    ///
    /// # Errors
    /// When one cannot be read, or `make` does not take them.
    pub(crate) fn start<const N: usize>(
        files: [File; N],
        make: impl Fn(&[Vec<u8>; N]) -> Result<T, Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let runtime = Handle::try_current()?;
        // Watch first, read then: what changes in between is read twice and not missed.
        let signal = Arc::new(Notify::new());
        let watcher = watch(&files, &signal)?;
        let read = read(&files)?;
        let latest = Arc::new(ArcSwap::from_pointee(make(&read)?));
        let follower = Follower { files, make, last: Ok(read), latest: latest.clone() };
        let mut task = JoinSet::new();
        task.spawn_on(follow(follower, watcher, signal), &runtime);
        Ok(Self { latest, _task: task })
    }

    /// What counts now.
    pub(crate) fn latest(&self) -> Arc<T> {
        self.latest.load_full()
    }
}

/// Signals what may have changed a file. The folders are watched: files are replaced by renaming others over them.
fn watch(files: &[File], signal: &Arc<Notify>) -> Result<RecommendedWatcher, Error> {
    let signal = signal.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if !matches!(&event, Ok(event) if is_reading(event.kind)) {
            signal.notify_one();
        }
    })?;
    let folder = |(_, path): &File| path.parent().map(Path::to_owned).unwrap_or_default();
    for folder in files.iter().map(folder).collect::<BTreeSet<_>>() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
        // Of one that is not there, reading says it better.
        if folder.exists() {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
    }
    Ok(watcher)
}

/// Somebody only looked at a file, as this module itself does.
fn is_reading(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    }
}

fn read<const N: usize>(files: &[File; N]) -> Result<[Vec<u8>; N], Error> {
    let mut texts = [const { Vec::new() }; N];
    for (text, (part, path)) in texts.iter_mut().zip(files) {
        *text = fs::read(path).map_err(|error| Error::new(path, part, error))?;
    }
    Ok(texts)
}

struct Follower<T, F, const N: usize> {
    files: [File; N],
    make: F,
    /// What was read last, or why nothing was: the same again is no news.
    last: Result<[Vec<u8>; N], String>,
    latest: Arc<ArcSwap<T>>,
}

impl<T, F: Fn(&[Vec<u8>; N]) -> Result<T, Error>, const N: usize> Follower<T, F, N> {
    fn look(&mut self) {
        let read = read(&self.files);
        let seen = read.as_ref().map_err(Error::line).cloned();
        if seen == self.last {
            return;
        }
        self.last = seen;
        match read.and_then(|texts| (self.make)(&texts)) {
            Ok(made) => {
                self.latest.store(Arc::new(made));
                let files = self.files.iter().map(|(_, path)| path.display().to_string()).collect::<Vec<_>>();
                tracing::info!(files = files.join(", "), "certificates are taken anew");
            }
            Err(error) => {
                tracing::warn!(error = error.line(), "certificates are not taken, the ones before stay");
            }
        }
    }
}

/// Ends when it is aborted; owns the watcher so that its thread ends with it.
async fn follow<T, F, const N: usize>(
    mut follower: Follower<T, F, N>,
    _watcher: RecommendedWatcher,
    signal: Arc<Notify>,
) where
    T: Send + Sync + 'static,
    F: Fn(&[Vec<u8>; N]) -> Result<T, Error> + Send + 'static,
{
    loop {
        signal.notified().await;
        let latest = Instant::now() + LATEST;
        while Instant::now() < latest && timeout_at(latest.min(Instant::now() + QUIET), signal.notified()).await.is_ok()
        {
        }
        let looking = task::spawn_blocking(move || {
            follower.look();
            follower
        });
        // It fails only when the runtime is shut down.
        let Ok(kept) = looking.await else { return };
        follower = kept;
    }
}

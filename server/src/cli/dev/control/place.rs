//! Where the sockets of running games are.
//!
//! Each game has a socket and a lock in one folder of the user. The lock is the system's, so it ends with the process
//! however that ends, and a socket without a lock is one that was left behind.

use std::{
    env,
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

/// What a game is called that was given no name.
const DEFAULT: &str = "dev";
/// So many games without a name may run.
const MOST: usize = 100;

/// The socket of one game, and a folder for its files. They go when this is dropped, and what somebody who was killed left
/// behind goes when the name is taken again.
#[derive(Debug)]
pub(in super::super) struct Place {
    name: String,
    socket: PathBuf,
    files: PathBuf,
    /// Held for as long as the game runs.
    _lock: File,
}

impl Place {
    /// Take a name in the user's folder. Without one it is `dev`, or `dev-2` if that runs already, and so on.
    pub(in super::super) fn take(name: Option<&str>) -> anyhow::Result<Self> {
        Self::take_in(&folder(), name)
    }

    pub(super) fn take_in(folder: &Path, name: Option<&str>) -> anyhow::Result<Self> {
        make(folder)?;
        if let Some(name) = name {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            if name.is_empty() || name.len() > 32 || name.starts_with('.') || !name.bytes().all(legal) {
                bail!("{name:?} is no name for a game: up to 32 letters, digits, `-`, `_` and `.`");
            }
            return Self::lock(folder, name)?
                .with_context(|| format!("a game called {name} runs already; choose another --name"));
        }
        for number in 1..=MOST {
            let name = if number == 1 { DEFAULT.to_owned() } else { format!("{DEFAULT}-{number}") };
            if let Some(place) = Self::lock(folder, &name)? {
                return Ok(place);
            }
        }
        bail!("{MOST} games run already; choose a --name")
    }

    fn lock(folder: &Path, name: &str) -> anyhow::Result<Option<Self>> {
        let path = folder.join(format!("{name}.lock"));
        let lock = File::create(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("{} cannot be locked", path.display()));
            }
        }
        let socket = socket(folder, name);
        let files = folder.join(format!("{name}.files"));
        for (path, removed) in [(&socket, fs::remove_file(&socket)), (&files, fs::remove_dir_all(&files))] {
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("{} is in the way", path.display()));
                }
                _ => {}
            }
        }
        make(&files)?;
        Ok(Some(Self { name: name.to_owned(), socket, files, _lock: lock }))
    }

    /// An empty folder for the files of this game. It is another one than that of a game which had the name before, some of
    /// whose servers may be about to end.
    pub(in super::super) fn files(&self) -> anyhow::Result<PathBuf> {
        let folder = tempfile::Builder::new().prefix("run-").tempdir_in(&self.files);
        let folder = folder.with_context(|| format!("{} cannot be written to", self.files.display()))?;
        Ok(folder.keep())
    }

    pub(in super::super) fn name(&self) -> &str {
        &self.name
    }

    pub(in super::super) fn is_default(&self) -> bool {
        self.name == DEFAULT
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A socket that stays is taken for what it is by its lock. The lock file stays: who removed it could take
        // the name from somebody who opens it just now.
        let _ = fs::remove_file(&self.socket);
        let _ = fs::remove_dir_all(&self.files);
    }
}

/// The socket of the game with this name, or of the only one that runs.
pub(super) fn find(name: Option<&str>) -> anyhow::Result<PathBuf> {
    find_in(&folder(), name)
}

pub(super) fn find_in(folder: &Path, name: Option<&str>) -> anyhow::Result<PathBuf> {
    let running = running(folder);
    let all = || running.join(", ");
    match (name, running.as_slice()) {
        (_, []) => bail!("no game runs here; start one with `cereus dev`"),
        (Some(name), running) if running.iter().any(|other| other == name) => Ok(socket(folder, name)),
        (Some(name), _) => bail!("no game called {name} runs; there are {}", all()),
        (None, [one]) => Ok(socket(folder, one)),
        (None, _) => bail!("several games run: {}; choose one with --name", all()),
    }
}

/// The names of the games that run.
fn running(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let names = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        let name = path.file_name()?.to_str()?.strip_suffix(".sock")?.to_owned();
        let lock = File::open(folder.join(format!("{name}.lock"))).ok()?;
        // Shared, so that two who look do not see each other.
        matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)).then_some(name)
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn socket(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.sock"))
}

/// The folder of this user.
fn folder() -> PathBuf {
    if let Some(runtime) = env::var_os("XDG_RUNTIME_DIR").filter(|path| Path::new(path).is_absolute()) {
        return Path::new(&runtime).join("cereus");
    }
    let user = rustix::process::getuid().as_raw();
    env::temp_dir().join(format!("cereus-{user}"))
}

/// Make the folder, for this user alone; one that somebody else made is refused.
fn make(folder: &Path) -> anyhow::Result<()> {
    let shown = folder.display();
    DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(|| format!("{shown} cannot be made"))?;
    let found = fs::symlink_metadata(folder).with_context(|| format!("{shown} cannot be read"))?;
    if !found.is_dir() || found.uid() != rustix::process::getuid().as_raw() || found.mode() & 0o022 != 0 {
        bail!("{shown} must be a folder of this user that nobody else can write to");
    }
    Ok(())
}

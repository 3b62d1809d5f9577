//! The content of a directory of topology files, kept between two readings.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    documents::{self, Documents},
    merge::merge,
    snapshot::Snapshot,
};

/// All files of a directory, as they were when they were last understood.
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
    known: BTreeMap<PathBuf, File>,
    /// The directory could not be listed the last time, which has been said.
    is_lost: bool,
}

#[derive(Debug, Default)]
struct File {
    /// As last read, to tell a change from a repetition.
    content: Option<Vec<u8>>,
    /// What was last understood.
    documents: Documents,
    /// What is wrong with the file now, so that it is said only when that changes.
    problem: Option<Problem>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) line: Option<usize>,
    pub(super) cause: String,
}

/// Something that whoever runs the servers should read, said once per change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Remark {
    /// A file is not understood.
    Broken(PathBuf, Problem),
    /// It is understood again.
    Mended(PathBuf),
    /// The directory cannot be listed.
    Lost(String),
}

/// What one reading of the directory gives.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) snapshot: Snapshot,
    pub(super) remarks: Vec<Remark>,
}

impl Files {
    /// An empty view of a directory; `read` fills it.
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, known: BTreeMap::new(), is_lost: false }
    }

    /// Read what has changed and make a snapshot of all. A file that is not understood, or cannot be read, counts with
    /// the content it had when it was; so does the whole directory.
    pub(super) fn read(&mut self) -> Reading {
        let mut remarks = Vec::new();
        match list(&self.directory) {
            Ok(paths) => {
                self.is_lost = false;
                self.known.retain(|path, _| paths.contains(path));
                remarks.extend(paths.iter().filter_map(|path| self.read_file(path)));
            }
            Err(error) => {
                if !self.is_lost {
                    remarks.push(Remark::Lost(error.to_string()));
                }
                self.is_lost = true;
            }
        }
        Reading { snapshot: self.snapshot(), remarks }
    }

    fn read_file(&mut self, path: &Path) -> Option<Remark> {
        let outcome = fs::read(path);
        if matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::NotFound) {
            // Removed since the directory was listed.
            self.known.remove(path);
            return None;
        }
        let file = self.known.entry(path.to_owned()).or_default();
        let problem = match outcome {
            Ok(content) if file.content.as_ref() == Some(&content) => return None,
            Ok(content) => {
                let parsed = documents::parse(&content);
                file.content = Some(content);
                match parsed {
                    Ok(documents) => {
                        file.documents = documents;
                        None
                    }
                    Err(error) => Some(Problem { line: error.line, cause: error.message }),
                }
            }
            Err(error) => {
                // What it says when it can be read again is looked at anew.
                file.content = None;
                let problem = Problem { line: None, cause: error.to_string() };
                if file.problem.as_ref() == Some(&problem) {
                    return None;
                }
                Some(problem)
            }
        };
        let was_broken = file.problem.is_some();
        file.problem.clone_from(&problem);
        match problem {
            Some(problem) => Some(Remark::Broken(path.to_owned(), problem)),
            None => was_broken.then(|| Remark::Mended(path.to_owned())),
        }
    }

    fn snapshot(&self) -> Snapshot {
        let documents = || self.known.values().map(|file| &file.documents);
        let snapshot = merge(
            documents().flat_map(|documents| &documents.slices),
            documents().flat_map(|documents| &documents.server_types),
        );
        let mut skipped = snapshot.skipped();
        skipped.undecodable += self.known.values().filter(|file| file.problem.is_some()).count();
        snapshot.with_skipped(skipped)
    }
}

/// The topology files of a directory: `.yaml`, `.yml` and `.json`. Names that begin with a point are on their way to
/// becoming files, or belong to somebody else.
pub(super) fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let is_known = ["yaml", "yml", "json"].into_iter().any(|known| path.extension() == Some(OsStr::new(known)));
        if is_known && !is_hidden && !path.is_dir() {
            paths.push(path);
        }
    }
    Ok(paths)
}

//! Where manifests come from: files, folders, standard input.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

/// What names of manifests end in.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// One text, and what it is called in reports.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
}

/// Read all of them, in the order of the command line; files of a folder by name. Folders in a folder are passed over, as
/// `kubectl apply -f` does.
pub(super) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            let mut text = Vec::new();
            io::stdin().read_to_end(&mut text).context("standard input cannot be read")?;
            sources.push(source("standard input".to_owned(), text)?);
        } else if path.is_dir() {
            let files = manifests(path).with_context(|| format!("{} cannot be read", path.display()))?;
            if files.is_empty() {
                bail!("{} has no file that ends in .yaml, .yml or .json", path.display());
            }
            for file in files {
                sources.push(read_file(&file)?);
            }
        } else {
            sources.push(read_file(path)?);
        }
    }
    Ok(sources)
}

fn manifests(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let known = |extension: &std::ffi::OsStr| EXTENSIONS.iter().any(|known| extension == *known);
        if path.extension().is_some_and(known) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read_file(path: &Path) -> anyhow::Result<Source> {
    let text = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    source(path.display().to_string(), text)
}

fn source(name: String, text: Vec<u8>) -> anyhow::Result<Source> {
    let text = String::from_utf8(text).map_err(|_| anyhow::anyhow!("{name} is not UTF-8 text"))?;
    Ok(Source { name, text })
}

//! What an executable is made of, and how to build it again.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use notify::RecursiveMode;
use serde::Deserialize;

/// Where `cargo run` says in which package it runs.
const FOLDER: &str = "CARGO_MANIFEST_DIR";

/// The package of an executable.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    /// Where cargo writes to.
    pub(super) target: PathBuf,
    /// The arguments for cargo.
    pub(super) build: Vec<OsString>,
    /// The root of its workspace.
    root: PathBuf,
    /// The folders of its sources and of those of its path dependencies.
    sources: BTreeSet<PathBuf>,
    /// The folders of their manifests.
    packages: BTreeSet<PathBuf>,
}

/// What `cargo metadata` says.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Described>,
    resolve: Resolve,
    target_directory: PathBuf,
    workspace_root: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Described {
    id: String,
    name: String,
    /// Where it comes from; nowhere for what is on this machine.
    source: Option<String>,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    src_path: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    dependencies: Vec<String>,
}

/// The cargo that runs this, or the usual one.
pub(super) fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

impl Package {
    /// The package that cargo runs this executable of.
    pub(super) fn of(executable: &Path) -> anyhow::Result<Self> {
        let Some(folder) = env::var_os(FOLDER) else {
            bail!("--watch builds with cargo: start the game with `cargo run -- dev --watch` ({FOLDER} is not set)");
        };
        let manifest = Path::new(&folder).join("Cargo.toml");
        let mut command = Command::new(cargo());
        command.args(["metadata", "--format-version", "1", "--manifest-path"]).arg(&manifest);
        let answer = command.output().context("--watch builds with cargo, which cannot be started")?;
        if !answer.status.success() {
            let said = String::from_utf8_lossy(&answer.stderr);
            bail!("--watch: cargo does not understand {}:\n{}", manifest.display(), said.trim_end());
        }
        let metadata = serde_json::from_slice(&answer.stdout).context("--watch: `cargo metadata` is not understood")?;
        Self::describe(executable, &manifest, metadata)
    }

    fn describe(executable: &Path, manifest: &Path, metadata: Metadata) -> anyhow::Result<Self> {
        let shown = executable.display();
        let Metadata { packages, resolve, target_directory, workspace_root } = metadata;
        let target = target_directory.canonicalize().unwrap_or(target_directory);
        // The executable is TARGET[/TRIPLE]/PROFILE[/examples]/NAME.
        let place = executable.strip_prefix(&target).ok().and_then(Path::to_str);
        let mut parts: Vec<&str> = place.map(|place| place.split('/').collect()).unwrap_or_default();
        let name = parts.pop().unwrap_or_default();
        let kind = if parts.last() == Some(&"examples") { "example" } else { "bin" };
        parts.retain(|part| *part != "examples");
        let (profile, triple) = (parts.pop().unwrap_or_default(), parts.pop());
        let own = packages.iter().find(|package| is_same(&package.manifest_path, manifest));
        let own = own.with_context(|| format!("--watch: cargo does not know {}", manifest.display()))?;
        let is_built = |target: &Target| target.name == name && target.kind.iter().any(|other| other == kind);
        if profile.is_empty() || !own.targets.iter().any(is_built) {
            bail!(
                "--watch: {shown} is not what cargo builds of {} in {}; start the game with `cargo run -- dev --watch`",
                own.name,
                target.display()
            );
        }
        let profile = if profile == "debug" { "dev" } else { profile };
        let mut build: Vec<OsString> = vec!["build".into(), "--manifest-path".into(), manifest.into()];
        build
            .extend([format!("--{kind}"), name.to_owned(), "--profile".to_owned(), profile.to_owned()].map(Into::into));
        build.extend(triple.iter().flat_map(|triple| ["--target", triple]).map(Into::into));

        let dependencies: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, &node.dependencies)).collect();
        let mut found = BTreeSet::from([&own.id]);
        let mut next = vec![&own.id];
        while let Some(id) = next.pop() {
            next.extend(dependencies.get(id).into_iter().copied().flatten().filter(|id| found.insert(id)));
        }
        let local = |package: &&Described| package.source.is_none() && found.contains(&package.id);
        let local: Vec<&Described> = packages.iter().filter(local).collect();
        let folders = local.iter().filter_map(|package| Some(package.manifest_path.parent()?.to_owned()));
        let made = |target: &&Target| {
            let others = ["test", "bench", "example"];
            !target.kind.iter().any(|kind| others.contains(&kind.as_str())) || target.name == name
        };
        let sources = local.iter().flat_map(|package| package.targets.iter().filter(made));
        Ok(Self {
            name: own.name.clone(),
            sources: sources.filter_map(|target| Some(target.src_path.parent()?.to_owned())).collect(),
            packages: folders.collect(),
            root: workspace_root,
            target,
            build,
        })
    }

    /// What to watch: manifests, build scripts and sources.
    pub(super) fn folders(&self) -> impl Iterator<Item = (PathBuf, RecursiveMode)> {
        let packages = self.packages.iter().chain([&self.root]).map(|folder| (folder, RecursiveMode::NonRecursive));
        // Sources beside a manifest have all else beside them, too.
        let sources = self.sources.difference(&self.packages).map(|folder| (folder, RecursiveMode::Recursive));
        let all: BTreeMap<_, _> = packages.map(|(folder, mode)| (folder.clone(), mode)).collect();
        all.into_iter().chain(sources.map(|(folder, mode)| (folder.clone(), mode)))
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    one == other || one.canonicalize().ok().is_some_and(|one| other.canonicalize().ok() == Some(one))
}

//! Programs that are run for what they say.

use std::{path::Path, process::Stdio};

use anyhow::{Context as _, bail};
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::script;

/// `program` in the cluster's network, as its administrator.
pub(super) fn inside(program: &str, arguments: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(script("in"));
    command.arg(program).args(arguments);
    command
}

pub(super) async fn kubectl(arguments: &[&str], input: Option<&str>) -> anyhow::Result<String> {
    run(&mut inside("kubectl", arguments).into(), input)
        .await
        .with_context(|| format!("kubectl {}", arguments.join(" ")))
}

pub(super) async fn helm(arguments: &[&str]) -> anyhow::Result<String> {
    run(&mut inside("helm", arguments).into(), None).await.with_context(|| format!("helm {}", arguments.join(" ")))
}

/// Run `helm` for what needs no cluster, such as `lint` and `template`: what it says on standard output.
///
/// # Errors
///
/// When it fails: what it says on standard error. And when this machine cannot build it.
pub async fn helm_alone(arguments: &[&str]) -> anyhow::Result<String> {
    let built = run(&mut Command::new(script("build")), None).await?;
    let mut helm = Command::new(Path::new(built.trim()).join("bin/helm"));
    run(helm.args(arguments), None).await.with_context(|| format!("helm {}", arguments.join(" ")))
}

/// Run it to its end with `input`: what it says on standard output, or an error with what it says on standard error.
pub(super) async fn run(command: &mut Command, input: Option<&str>) -> anyhow::Result<String> {
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
    let stdin = child.stdin.take();
    let write = async {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // A program that fails early does not read all of it; it says why itself.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), write);
    let output = output?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

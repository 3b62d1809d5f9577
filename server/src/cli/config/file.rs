//! `cereus config --check`: whether this binary takes a configuration.

use std::{
    ffi::OsString,
    io::{self, Read as _, Write as _},
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::app::{Application, ConfigError, Loader, Report, Settings};

/// The answer for programs.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    /// All that is wrong; none: the configuration is taken.
    pub(crate) problems: Vec<Report>,
}

/// Say on standard output what is wrong; the exit code says whether anything is.
pub(super) fn run(path: &Path, json: bool, application: &Application) -> anyhow::Result<ExitCode> {
    let text = read(path)?;
    let result = check(path, &text, std::env::vars_os(), application);
    let mut output = io::stdout().lock();
    if json {
        let problems = result.as_ref().err().map(ConfigError::reports).unwrap_or_default();
        serde_json::to_writer(&mut output, &Answer { problems })?;
        writeln!(output)?;
    } else if let Err(error) = &result {
        writeln!(output, "{error}")?;
    }
    Ok(if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn check(
    path: &Path,
    text: &str,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    application: &Application,
) -> Result<Settings, ConfigError> {
    let mut loader = Loader::new::<Settings>();
    for (name, schema) in application.sections() {
        loader.section(name, schema.clone());
    }
    loader.text_of_file(text, path)?;
    loader.environment(environment);
    loader.finish()?.settings()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::check;
    use crate::app::Application;

    fn problems(text: &str) -> Vec<(String, String)> {
        let environment = [("CEREUS__SERVER__TYPE".into(), "room".into())];
        let result = check(Path::new("-"), text, environment, &Application::default());
        let reports = result.err().map(|error| error.reports()).unwrap_or_default();
        reports.into_iter().map(|report| (report.path, report.message)).collect()
    }

    #[test]
    fn a_configuration_is_checked_by_what_reads_it() {
        let pair = |path: &str, message: &str| vec![(path.to_owned(), message.to_owned())];
        assert_eq!(problems(""), []);
        assert_eq!(problems("{}"), []);
        assert_eq!(problems("drain: { linger: 1s }"), []);
        assert_eq!(problems("drain: { lingre: 1s }"), pair("drain.lingre", "unknown key; the nearest is drain.linger"));
        assert_eq!(problems("[1]"), pair("", "it must hold sections, such as `server:`"));
        let wrong = problems("drain: { linger: soon }");
        assert!(matches!(wrong.as_slice(), [(path, _)] if path == "drain.linger"), "{wrong:?}");
    }
}

//! `cereus config`: every key of the configuration, with its meaning and what holds.

mod file;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use serde_json::{Value, json};

pub(super) use self::file::Answer;
use super::settings::SettingsArguments;
use crate::app::{Application, ConfigError, Key, Origin, Settings};

/// Arguments of `cereus config`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigArguments {
    /// Check this YAML file instead, and the variables `CEREUS__SECTION__KEY` over it; `-` is standard input. The exit code
    /// says whether it is right.
    #[arg(long, value_name = "FILE", conflicts_with = "SettingsArguments")]
    check: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsArguments,
    /// Print JSON, for programs.
    #[arg(long)]
    json: bool,
}

/// Print what a server with these arguments would be told. That keys are not set is no failure here; that they are wrong is.
pub(crate) fn run(arguments: &ConfigArguments, mut application: Application) -> anyhow::Result<ExitCode> {
    if let Some(path) = &arguments.check {
        return file::run(path, arguments.json, &application);
    }
    let (text, checked) = arguments.tell(std::env::vars_os(), &mut application)?;
    io::stdout().write_all(text.as_bytes())?;
    checked?;
    Ok(ExitCode::SUCCESS)
}

impl ConfigArguments {
    /// The text to print, and what is wrong with the configuration.
    fn tell(
        &self,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        application: &mut Application,
    ) -> Result<(String, Result<(), ConfigError>), ConfigError> {
        let loader = self.settings.loader(environment, application)?;
        let keys = loader.keys();
        let text = if self.json {
            format!("{:#}\n", Value::Array(keys.iter().map(as_json).collect()))
        } else {
            keys.iter().map(as_text).collect()
        };
        let checked = loader.finish().and_then(|loaded| {
            loaded.settings::<Settings>()?;
            application.configure(&loaded)
        });
        Ok((text, checked.or_else(|error| if error.is_incomplete() { Ok(()) } else { Err(error) })))
    }
}

fn as_json(key: &Key) -> Value {
    json!({
        "key": key.path,
        "meaning": key.meaning,
        "required": key.is_required,
        "default": key.default,
        "value": key.value,
        "source": key.origin.as_ref().map_or(json!("default"), |origin| json!(origin)),
    })
}

fn as_text(key: &Key) -> String {
    let default = match &key.default {
        Some(default) => format!("default {}", plain(default)),
        None if key.is_required => "required".to_owned(),
        None => "not set by default".to_owned(),
    };
    // An item of a list holds what the list says.
    let is_item = key.path.contains('[');
    let value = key.value.as_ref().filter(|_| !is_item).map_or(String::new(), |value| format!(" = {}", plain(value)));
    let source = match &key.origin {
        _ if is_item => default,
        None if key.value.is_some() => "default".to_owned(),
        None if key.is_required => "required, not set".to_owned(),
        None => "not set".to_owned(),
        // The value of `--set` is there already.
        Some(Origin::Flag(flag)) => format!("{}, {default}", flag.split('=').next().unwrap_or(flag)),
        Some(origin) => format!("{origin}, {default}"),
    };
    let meaning = key.meaning.as_ref().map_or(String::new(), |meaning| format!("    {meaning}\n"));
    format!("{}{value}  ({source})\n{meaning}", key.path)
}

/// Text as it is written in a file, anything else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, io::Write as _};

    use clap::Parser as _;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};

    use super::super::{Arguments, Command};
    use crate::app::Application;

    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Game {
        /// How many players a room holds.
        room_size: u32,
    }

    fn tell(arguments: &[&str], environment: &[(&str, &str)]) -> (String, Result<(), String>) {
        let words = ["cereus", "config"].into_iter().chain(arguments.iter().copied());
        let Command::Config(config) = Arguments::try_parse_from(words).unwrap().command else { panic!("not config") };
        let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let mut application = Application::default();
        application.config::<Game>("game");
        let (text, checked) = config.tell(environment, &mut application).unwrap();
        (text, checked.map_err(|error| error.to_string()))
    }

    /// What is told of one key.
    fn line<'a>(text: &'a str, key: &str) -> &'a str {
        text.lines().find(|line| line.split(' ').next() == Some(key)).unwrap()
    }

    #[test]
    fn every_key_is_told_with_what_holds_and_why() {
        let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
        file.write_all(b"{ drain: { linger: 1s, deadline: 2m }, game: { room_size: 4, more: 5 } }").unwrap();
        let path = file.path().to_str().unwrap();
        let flags = ["--config", path, "--type", "room", "--set", "admin.token=hush", "--tcp", "127.0.0.1:1"];
        let (text, checked) = tell(&flags, &[("CEREUS__DRAIN__LINGER", "3s")]);
        assert_eq!(checked, Ok(()));
        for (key, expected) in [
            ("server.type", " = room  (--type, required)"),
            ("server.request_timeout", " = 10s  (default)"),
            ("server.workers", "  (not set)"),
            ("drain.linger", " = 3s  (CEREUS__DRAIN__LINGER, default 5s)"),
            ("drain.deadline", &format!(" = 2m  ({path}, default 10m)")),
            ("admin.token", " = (secret)  (--set admin.token, not set by default)"),
            ("acceptor.listen[].protocol", "  (required)"),
            ("game.room_size", &format!(" = 4  ({path}, default 0)")),
        ] {
            assert_eq!(line(&text, key), format!("{key}{expected}"));
        }
        assert!(text.contains("\n    How many players a room holds.\n"), "{text}");
        assert_eq!(text.find("hush"), None);
    }

    #[test]
    fn without_arguments_it_is_a_reference() {
        let (text, checked) = tell(&[], &[]);
        assert_eq!(checked, Ok(()));
        assert_eq!(line(&text, "server.type"), "server.type  (required, not set)");
        assert!(text.lines().filter(|line| !line.starts_with(' ')).count() > 30, "{text}");
    }

    #[test]
    fn what_is_wrong_is_told_as_well() {
        let (_, checked) = tell(&["--type", "room", "--set", "drain.linger=x"], &[]);
        assert!(checked.unwrap_err().starts_with("--set drain.linger=x: drain.linger = "));
        let (text, checked) = tell(&["--type", "room", "--set", "game.room_size=x"], &[]);
        assert_eq!(line(&text, "game.room_size"), "game.room_size = x  (--set game.room_size, default 0)");
        assert!(checked.unwrap_err().ends_with("(How many players a room holds)"));
        let (_, checked) = tell(&["--set", "drain.liner=1s"], &[]);
        assert!(checked.unwrap_err().contains("the nearest is drain.linger"));
    }

    #[test]
    fn programs_read_json() {
        let (text, _) = tell(&["--json", "--type", "room"], &[("CEREUS__DRAIN__LINGER", "3s")]);
        let keys: Vec<Value> = serde_json::from_str(&text).unwrap();
        let key = |name: &str| keys.iter().find(|key| key["key"] == name).unwrap();
        let linger = json!({
            "key": "drain.linger",
            "meaning": "How long new connections are still accepted: load balancers learn late that a server is going.",
            "required": false,
            "default": "5s",
            "value": "3s",
            "source": { "environment": "CEREUS__DRAIN__LINGER" },
        });
        assert_eq!(key("drain.linger"), &linger);
        assert_eq!(key("server.type")["source"], json!({ "flag": "--type" }));
        assert_eq!(key("drain.spread")["source"], "default");
        assert_eq!(key("drain.spread")["value"], Value::Null);
    }
}

//! `cereus serve`: one server.

use std::ffi::OsString;

use clap::Args;

use super::{Logging, settings::SettingsArguments};
use crate::app::{self, Application, ConfigError, Settings};

/// Arguments of `cereus serve`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    settings: SettingsArguments,
    /// Close when standard input ends: for whoever starts a server as a child and must not leave it behind.
    #[arg(long, hide = true)]
    stop_on_stdin_eof: bool,
}

/// Read the settings and be a server until it is asked to stop.
pub(crate) fn run(arguments: &ServeArguments, logging: &Logging, mut application: Application) -> anyhow::Result<()> {
    app::install_telemetry(logging.log.as_deref(), logging.log_format)?;
    let settings = arguments.settings(std::env::vars_os(), &mut application)?;
    app::run(settings, application)
}

impl ServeArguments {
    fn settings(
        &self,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        application: &mut Application,
    ) -> Result<Settings, ConfigError> {
        let loaded = self.settings.loader(environment, application)?.finish()?;
        let mut settings: Settings = loaded.settings()?;
        application.configure(&loaded)?;
        settings.stop_with_stdin = self.stop_on_stdin_eof;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, io::Write as _};

    use clap::Parser as _;

    use crate::app::{Application, Settings};

    fn settings(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Settings, String> {
        let words = ["cereus", "serve"].into_iter().chain(arguments.iter().copied());
        let arguments = super::super::Arguments::try_parse_from(words).map_err(|error| error.to_string())?;
        let super::super::Command::Serve(serve) = arguments.command else { panic!("not serve") };
        let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        serve.settings(environment, &mut Application::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_win_over_environment_and_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"server: { type: a, id: a, workers: 1 }\nlink: { listen: '127.0.0.1:1' }").unwrap();
        let path = file.path().to_str().unwrap();
        let environment = [("CEREUS__SERVER__TYPE", "b"), ("CEREUS__SERVER__ID", "b")];
        let flags = ["--config", path, "--id", "c", "--tcp", "127.0.0.1:2", "--ws", "[::1]:3", "--tcp", "127.0.0.1:4"];
        let settings = settings(&flags, &environment).unwrap();
        assert_eq!((settings.server.server_type.as_str(), settings.server.id.as_deref()), ("b", Some("c")));
        assert_eq!(settings.server.workers.map(Into::into), Some(1));
        assert_eq!(settings.link.listen.to_string(), "127.0.0.1:1");
        let listen: Vec<_> = settings.acceptor.listen.iter().map(|listen| (&*listen.name, listen.address)).collect();
        let address = |text: &str| text.parse().unwrap();
        let expected = [("tcp", address("127.0.0.1:2")), ("tcp-2", address("127.0.0.1:4")), ("ws", address("[::1]:3"))];
        assert_eq!(listen, expected);
        assert!(settings.is_frontend());
        assert!(!settings.stop_with_stdin);
    }

    #[test]
    fn every_flag_names_a_setting() {
        let flags = "--type a --id b --serializer protobuf --workers 2 --request-timeout 3s --frontend --link 127.0.0.1:0 \
                     --admin 127.0.0.1:0 --topology /tmp/t --set drain.linger=0s --stop-on-stdin-eof";
        let settings = settings(&flags.split_whitespace().collect::<Vec<_>>(), &[]).unwrap();
        assert_eq!(settings.server.request_timeout.as_secs(), 3);
        assert!(settings.server.frontend && settings.stop_with_stdin && settings.drain.linger.is_zero());
    }

    #[test]
    fn a_wrong_flag_is_named() {
        let error = settings(&["--type", "a", "--request-timeout", "3"], &[]).unwrap_err();
        assert!(error.starts_with("--request-timeout: server.request_timeout = \"3\": "), "{error}");
        let error = settings(&["--type", "a", "--set", "drain.liner=1s"], &[]).unwrap_err();
        assert!(error.contains("the nearest is drain.linger"), "{error}");
        let error = settings(&[], &[]).unwrap_err();
        assert!(error.starts_with("server.type is not set"), "{error}");
    }
}

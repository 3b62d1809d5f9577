//! `cereus serve`: one server.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::Logging;
use crate::app::{self, Application, ConfigError, Loader, Settings};

/// Each setting is taken from the file, then from the environment (`CEREUS__SECTION__KEY`), then from these flags.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ServeArguments {
    /// A YAML file with settings.
    #[arg(long, value_name = "FILE", env = "CEREUS_CONFIG")]
    config: Option<PathBuf>,
    /// The server type, such as `room`.
    #[arg(long = "type", value_name = "TYPE")]
    server_type: Option<String>,
    /// The name of this server in the topology.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// How bodies are written: `json` or `protobuf`.
    #[arg(long, value_name = "NAME")]
    serializer: Option<String>,
    /// How many threads handle messages.
    #[arg(long, value_name = "COUNT")]
    workers: Option<usize>,
    /// How long a request may take, such as `10s`.
    #[arg(long, value_name = "TIME")]
    request_timeout: Option<String>,
    /// Clients connect to this server. Said by `--tcp` and `--ws` too.
    #[arg(long)]
    frontend: bool,
    /// Listen for clients over TCP.
    #[arg(long, value_name = "ADDRESS")]
    tcp: Vec<SocketAddr>,
    /// Listen for clients over WebSocket.
    #[arg(long, value_name = "ADDRESS")]
    ws: Vec<SocketAddr>,
    /// Listen for other servers.
    #[arg(long, value_name = "ADDRESS")]
    link: Option<SocketAddr>,
    /// Listen for probes and operators.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// A folder of EndpointSlice and ServerType files.
    #[arg(long, value_name = "FOLDER")]
    topology: Option<PathBuf>,
    /// Any other setting.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// Close when standard input ends: for whoever starts a server as a child and must not leave it behind.
    #[arg(long, hide = true)]
    stop_on_stdin_eof: bool,
}

/// Read the settings and be a server until it is asked to stop.
pub(crate) fn run(arguments: &ServeArguments, logging: &Logging, application: Application) -> anyhow::Result<()> {
    app::install_telemetry(logging.log.as_deref(), logging.log_format)?;
    let settings = arguments.settings(std::env::vars_os(), &application)?;
    app::run(settings, application)
}

impl ServeArguments {
    fn settings(
        &self,
        environment: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
        application: &Application,
    ) -> Result<Settings, ConfigError> {
        let mut loader = Loader::new::<Settings>();
        for (name, schema) in application.sections() {
            loader.section(name, schema.clone());
        }
        if let Some(path) = &self.config {
            loader.file(path)?;
        }
        loader.environment(environment);
        self.layer(&mut loader);
        let mut settings: Settings = loader.finish()?.settings()?;
        settings.stop_with_stdin = self.stop_on_stdin_eof;
        Ok(settings)
    }

    fn layer(&self, loader: &mut Loader) {
        let text = |value: &Option<String>| value.as_deref().map(Value::from);
        let address = |value: &Option<SocketAddr>| value.map(|address| Value::from(address.to_string()));
        let flags: [(&str, &[&str], Option<Value>); 9] = [
            ("--type", &["server", "type"], text(&self.server_type)),
            ("--id", &["server", "id"], text(&self.id)),
            ("--serializer", &["server", "serializer"], text(&self.serializer)),
            ("--workers", &["server", "workers"], self.workers.map(Value::from)),
            ("--request-timeout", &["server", "request_timeout"], text(&self.request_timeout)),
            ("--frontend", &["server", "frontend"], self.frontend.then_some(Value::Bool(true))),
            ("--link", &["link", "listen"], address(&self.link)),
            ("--admin", &["admin", "listen"], address(&self.admin)),
            ("--topology", &["topology", "directory"], self.topology.as_ref().map(|path| json!(path))),
        ];
        for (flag, path, value) in flags {
            if let Some(value) = value {
                loader.flag(flag, path, value);
            }
        }
        let listen = self.listen();
        if !listen.is_empty() {
            let flag = if self.tcp.is_empty() { "--ws" } else { "--tcp" };
            loader.flag(flag, &["acceptor", "listen"], Value::Array(listen));
        }
        for assignment in &self.set {
            loader.set("--set", assignment);
        }
    }

    /// The sockets for clients, named after what is spoken there: `tcp`, `tcp-2`, `ws`.
    fn listen(&self) -> Vec<Value> {
        let protocol = |protocol: &'static str, short: &'static str, addresses: &[SocketAddr]| {
            let name = move |index: usize| if index == 0 { short.to_owned() } else { format!("{short}-{}", index + 1) };
            let sockets = addresses.iter().enumerate();
            let sockets = sockets.map(
                |(index, address)| json!({ "name": name(index), "protocol": protocol, "address": address.to_string() }),
            );
            sockets.collect::<Vec<_>>()
        };
        [protocol("TCP", "tcp", &self.tcp), protocol("WebSocket", "ws", &self.ws)].concat()
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
        serve.settings(environment, &Application::default()).map_err(|error| error.to_string())
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

//! The flags that are settings, shared by the subcommands that read the configuration.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::Args;
use serde_json::{Value, json};

use crate::app::{Application, ConfigError, Loader, Settings};

/// Each setting is taken from the file, then from the environment (`CEREUS__SECTION__KEY`), then from these flags.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct SettingsArguments {
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
}

impl SettingsArguments {
    /// All layers of the configuration, not checked yet.
    pub(super) fn loader(
        &self,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        application: &Application,
    ) -> Result<Loader, ConfigError> {
        let mut loader = Loader::new::<Settings>();
        for (name, schema) in application.sections() {
            loader.section(name, schema.clone());
        }
        if let Some(path) = &self.config {
            loader.file(path)?;
        }
        loader.environment(environment);
        self.layer(&mut loader);
        Ok(loader)
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

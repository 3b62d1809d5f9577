//! What the operator is started with.

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};
use rand::Rng as _;

/// Turns ServerType objects into running game servers.
#[derive(Debug, Parser)]
#[command(name = "cereus-operator", version)]
pub(super) struct Arguments {
    /// The namespaces whose ServerTypes are kept, separated by commas. All when absent.
    #[arg(long, env = "CEREUS_OPERATOR_NAMESPACES", value_delimiter = ',', value_name = "NAMESPACE")]
    namespaces: Vec<String>,
    /// The operator's own namespace, where its Lease and the authorities are. That of the client's configuration when
    /// absent.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    pub(super) operator_namespace: Option<String>,
    /// The name of this pod, by which people recognise the leader.
    #[arg(long, env = "POD_NAME", default_value = "cereus-operator", value_name = "NAME")]
    pod_name: String,
    /// Namespaces, besides the operator's own, whose pods may reach the admin port of servers, separated by commas: where
    /// monitoring runs.
    #[arg(long, env = "CEREUS_OPERATOR_MONITORING_NAMESPACES", value_delimiter = ',', value_name = "NAMESPACE")]
    monitoring_namespaces: Vec<String>,
    /// Where `/livez`, `/readyz` and `/metrics` are served.
    #[arg(long, env = "CEREUS_OPERATOR_LISTEN", default_value = "[::]:8080", value_name = "ADDRESS")]
    pub(super) listen: SocketAddr,
    /// How many ServerTypes are worked on at a time.
    #[arg(long, env = "CEREUS_OPERATOR_CONCURRENCY", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) concurrency: u16,
    /// The name of the Lease that operators of one installation share.
    #[arg(long, env = "CEREUS_OPERATOR_LEASE", default_value = "cereus-operator", value_name = "NAME")]
    pub(super) lease: String,
    /// What is logged, such as `info` or `cereus_operator=debug,info`.
    #[arg(long, env = "RUST_LOG", default_value = "info", value_name = "FILTER")]
    pub(super) log: String,
    /// How it is logged: `text` for people, `json` in a pod. When absent, `text` on a terminal.
    #[arg(long, env = "CEREUS_OPERATOR_LOG_FORMAT", value_name = "FORMAT")]
    pub(super) log_format: Option<LogFormat>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

impl Arguments {
    /// The name of this process in the Lease: a container that was restarted is not the one before.
    pub(super) fn identity(&self) -> String {
        format!("{}_{:08x}", self.pod_name, rand::rng().random::<u32>())
    }

    /// The namespaces whose ServerTypes are kept; none for all. A variable that is set to nothing names none.
    pub(super) fn namespaces(&self) -> Vec<String> {
        self.namespaces.iter().filter(|namespace| !namespace.is_empty()).cloned().collect()
    }

    /// The namespaces whose pods may reach the admin port of servers.
    pub(super) fn admin_namespaces(&self, operator_namespace: &str) -> Vec<String> {
        let mut namespaces = self.monitoring_namespaces.clone();
        namespaces.push(operator_namespace.to_owned());
        namespaces.retain(|namespace| !namespace.is_empty());
        namespaces.sort();
        namespaces.dedup();
        namespaces
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::Arguments;

    #[test]
    fn arguments_are_well_formed() {
        Arguments::command().debug_assert();
        let arguments =
            Arguments::parse_from(["cereus-operator", "--namespaces", "a,b", "--monitoring-namespaces", "m"]);
        assert_eq!(arguments.namespaces(), ["a", "b"]);
        assert_eq!(arguments.admin_namespaces("cereus-system"), ["cereus-system", "m"]);
        assert_ne!(arguments.identity(), arguments.identity());
    }
}

//! How the API server is reached.

use std::{env, fmt, path::Path, sync::Arc, time::Duration};

use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt as _},
    config::KubeConfigOptions,
};
use tower::{BoxError, ServiceBuilder};

use super::super::error::Error;

/// Set in every container of a pod.
const HOST: &str = "KUBERNETES_SERVICE_HOST";

/// What a pod shows to the API server, unless its ServiceAccount is not mounted.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

const CONNECT: Duration = Duration::from_secs(5);

/// A peer that is silent for this long is asked whether it is still there, three times at this distance: nothing else
/// would tell that the machine of the API server is gone, because a watch may be silent for minutes.
const KEEPALIVE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);

/// A way to the objects of one namespace.
#[derive(Clone)]
pub struct Access {
    pub(super) client: Client,
    pub(super) namespace: Arc<str>,
}

impl Access {
    /// Whether this process runs in a pod that may speak to the API server.
    pub fn is_in_pod() -> bool {
        env::var_os(HOST).is_some() && Path::new(TOKEN).exists()
    }

    /// As the ServiceAccount of the pod that this process runs in; outside of one as the current context of the kubeconfig
    /// (`KUBECONFIG`, or `~/.kube/config`). Without a `namespace` it is that of the pod or of the context.
    ///
    /// Nothing is asked of the API server yet. To be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// When neither is there, or is not understood.
    pub async fn find(namespace: Option<&str>) -> Result<Self, Error> {
        let config = if Self::is_in_pod() {
            Config::incluster().map_err(|source| Error::ServiceAccount { source: source.into() })?
        } else {
            let found = Config::from_kubeconfig(&KubeConfigOptions::default()).await;
            found.map_err(|source| Error::Kubeconfig { source: source.into() })?
        };
        Self::with(&config, namespace)
    }

    /// As a configuration says; without a `namespace`, in the one it names. To be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// When its certificates or credentials are not usable.
    pub fn with(config: &Config, namespace: Option<&str>) -> Result<Self, Error> {
        let namespace = namespace.unwrap_or(config.default_namespace.trim()).into();
        let client = client(config).map_err(|source| Error::Client { source: source.into() })?;
        Ok(Self { client, namespace })
    }
}

/// The client of `kube` without its retries and its log lines, since outages are handled and told by the watching.
fn client(config: &Config) -> kube::Result<Client> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_nodelay(true);
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    connector.set_keepalive_retries(Some(3));
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .map_err(BoxError::from)
        .service(HttpClient::builder(TokioExecutor::new()).build::<_, Body>(connector));
    Ok(Client::new(service, config.default_namespace.as_str()))
}

impl fmt::Debug for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Access").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

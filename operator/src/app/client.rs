//! How the API server is reached.

use std::time::Duration;

use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt as _},
};
use tower::{BoxError, ServiceBuilder};

const CONNECT: Duration = Duration::from_secs(5);

/// A peer that is silent for this long is asked whether it is still there, three times at this distance: nothing else
/// would tell that the machine of the API server is gone, because a watch may be silent for minutes.
const KEEPALIVE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);

/// And one that does not acknowledge what was sent is given up after as long.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);

/// The client of `kube` without its retries: a run that fails is made again when it is its turn, and a Lease that is not
/// renewed in time is another's.
pub(super) fn client(config: &Config) -> kube::Result<Client> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_nodelay(true);
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    connector.set_keepalive_retries(Some(3));
    connector.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(HttpClient::builder(TokioExecutor::new()).build::<_, Body>(connector));
    Ok(Client::new(service, config.default_namespace.as_str()))
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use axum::{Router, http::StatusCode};
    use k8s_openapi::api::core::v1::Secret;
    use kube::{Api, Config};
    use tokio::net::TcpListener;

    use super::client;

    const SOON: Duration = Duration::from_secs(10);

    /// Whether a connection from anywhere to this port asks now and then if the other end is there: the system shows the
    /// kind of the timer that runs, and 02 is that of keepalive.
    fn is_kept_alive(port: u16) -> bool {
        let sockets = fs::read_to_string("/proc/self/net/tcp").unwrap();
        let mut fields = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        fields
            .any(|field| field[2].ends_with(&format!(":{port:04X}")) && field[3] == "01" && field[5].starts_with("02"))
    }

    #[tokio::test]
    async fn a_refusal_is_told_at_once_and_the_connection_is_watched() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let router = Router::new().fallback(async move || {
            counted.fetch_add(1, Ordering::Relaxed);
            StatusCode::TOO_MANY_REQUESTS
        });
        let server = async { axum::serve(listener, router).await.unwrap() };
        let ask = async {
            let client = client(&Config::new(format!("http://{address}").parse().unwrap())).unwrap();
            let secrets: Api<Secret> = Api::namespaced(client, "game");
            let answer = tokio::time::timeout(SOON, secrets.get("room")).await.expect("nobody asks again and again");
            let error = answer.unwrap_err();
            assert!(matches!(&error, kube::Error::Api(status) if status.code == 429), "{error}");
            assert!(is_kept_alive(address.port()));
        };
        tokio::select! {
            () = server => {}
            () = ask => {}
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
}

//! The operator's own port: `/livez`, `/readyz` and `/metrics`.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use prometheus_client::{encoding::text, metrics::gauge::Gauge, registry::Registry};
use tokio::{net::TcpListener, sync::watch, time::Instant};

use crate::lease::Leadership;

/// For how long the API server may be silent before the operator says that it is not ready. It is not restarted for
/// that: there is nothing that a restart would put right.
const SILENCE: Duration = Duration::from_secs(30);

/// What the port tells.
pub(crate) struct Admin {
    registry: Registry,
    leader: Gauge,
    leadership: Leadership,
    answered: watch::Receiver<Option<Instant>>,
}

impl Admin {
    /// Tell these metrics, and whether this operator leads.
    pub(crate) fn new(
        mut registry: Registry,
        leadership: Leadership,
        answered: watch::Receiver<Option<Instant>>,
    ) -> Self {
        let leader = Gauge::default();
        registry.register("leader", "Whether this operator leads", leader.clone());
        Self { registry, leader, leadership, answered }
    }

    /// Serve until `stop`.
    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        axum::serve(listener, self.router()).with_graceful_shutdown(stop).await
    }

    fn router(self) -> Router {
        Router::new()
            .route("/livez", get(async || "ok"))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(Arc::new(self))
    }
}

/// Whether it could do its work, were it to lead.
async fn readyz(State(admin): State<Arc<Admin>>) -> (StatusCode, &'static str) {
    match *admin.answered.borrow() {
        Some(answered) if answered.elapsed() < SILENCE => (StatusCode::OK, "ok"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "the API server has not answered for 30s"),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the API server has not answered yet"),
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Result<([(&'static str, &'static str); 1], String), StatusCode> {
    admin.leader.set(i64::from(admin.leadership.holds()));
    let mut body = String::new();
    text::encode(&mut body, &admin.registry).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")], body))
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(router: &Router, path: &str) -> (StatusCode, String) {
        let response = router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn it_says_whether_it_leads_and_whether_the_api_server_answers() {
        let (until, leadership) = Leadership::until(None);
        let (answers, answered) = watch::channel(None);
        let router = Admin::new(Registry::with_prefix("cereus_operator"), leadership, answered).router();
        assert_eq!(ask(&router, "/livez").await.0, StatusCode::OK);
        assert_eq!(ask(&router, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
        assert!(ask(&router, "/metrics").await.1.contains("cereus_operator_leader 0\n"));
        answers.send_replace(Some(Instant::now()));
        until.send_replace(Some(Instant::now() + SILENCE));
        assert_eq!(ask(&router, "/readyz").await.0, StatusCode::OK);
        assert!(ask(&router, "/metrics").await.1.contains("cereus_operator_leader 1\n"));
        tokio::time::advance(SILENCE).await;
        assert_eq!(ask(&router, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
        assert!(ask(&router, "/metrics").await.1.contains("cereus_operator_leader 0\n"));
    }
}

//! Asking the API server for something, and not for ever.

use std::time::Duration;

use crate::controller::error::Error;

/// How long the API server may take for an answer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(3);

/// Its answer; `action` says what it was asked for, such as `apply Deployment room`.
pub(super) async fn in_time<T>(
    action: impl FnOnce() -> String,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(TIMEOUT, request).await {
        Ok(result) => result.map_err(|source| Error::Api { action: action(), source }),
        Err(_) => Err(Error::Slow { action: action() }),
    }
}

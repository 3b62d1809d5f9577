//! Which source tells this server of the others.

use super::config::TopologySettings;
use crate::topology::{Access, Error, Source, Topology};

/// Opens the source that the settings name; without one, the API server of the cluster that this process runs in. None: the
/// server knows no other. To be called within the background runtime.
pub(super) async fn open(
    settings: &TopologySettings,
    namespace: Option<&str>,
) -> Result<Option<(Topology, Box<dyn Source>)>, Error> {
    if let Some(directory) = &settings.directory {
        let (topology, watch) = Topology::directory(directory)?;
        return Ok(Some((topology, Box::new(watch))));
    }
    if settings.kubernetes.unwrap_or_else(Access::is_in_pod) {
        let access = Access::find(namespace).await?;
        let (topology, watch) = Topology::kubernetes(access);
        return Ok(Some((topology, Box::new(watch))));
    }
    tracing::warn!(
        "this server knows no other: it runs outside of a cluster and without --topology; `cereus dev` runs a game on this machine"
    );
    Ok(None)
}

//! What the two sides of a cluster must call the same: labels, annotations, ports, objects.
//!
//! The operator (or `cereus dev`) writes these names and servers read them, or the other way round. What an image is given
//! under them is in [`contract`](crate::contract).

mod labels;
mod objects;

pub use labels::{
    ADMIN_PORT, ADMIN_PORT_NUMBER, DELETION_COST_ANNOTATION, FIELD_MANAGER, GROUP, LINK_PORT, LINK_PORT_NUMBER,
    MANAGED_BY_LABEL, RESERVED_PREFIX, SERVER_LABEL, SERVER_TYPE_LABEL, VERSION_LABEL, selector, version,
};
pub use objects::{
    LONGEST_SUFFIX, MAX_NAME_LENGTH, NAME_PATTERN, certificates, client_network_policy, client_service, config_map,
    deployment, disruption_budget, link_network_policy, link_service, role, role_binding, service_account,
};

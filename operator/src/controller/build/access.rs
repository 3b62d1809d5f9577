//! What the servers may ask the API server for.

use cereus_crds::{Protocol, names};
use k8s_openapi::api::{
    core::v1::ServiceAccount,
    rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject},
};
use kube::ResourceExt as _;

use super::{BuildError, Desired, metadata::Metadata, metadata::desired};
use crate::controller::{kinds::Kind, validate::Valid};

/// The ServiceAccount, and what it may do. A server in another language is called and asks for nothing.
pub(super) fn access(valid: &Valid, metadata: &Metadata) -> Result<Vec<Desired>, BuildError> {
    let name = valid.server_type.name_any();
    // The pods mount the token; nothing else that runs under the account should.
    let account = ServiceAccount { automount_service_account_token: Some(false), ..ServiceAccount::default() };
    let account = desired(Kind::ServiceAccount, metadata.object(names::service_account(&name)), &account)?;
    if valid.server_type.spec.protocol == Protocol::Pitaya {
        return Ok(vec![account]);
    }
    let role = Role {
        rules: Some(vec![read("discovery.k8s.io", "endpointslices"), read(names::GROUP, "servertypes")]),
        ..Role::default()
    };
    let binding = RoleBinding {
        role_ref: RoleRef {
            api_group: Some("rbac.authorization.k8s.io".to_owned()),
            kind: "Role".to_owned(),
            name: names::role(&name),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: names::service_account(&name),
            namespace: valid.server_type.namespace(),
            ..Subject::default()
        }]),
        ..RoleBinding::default()
    };
    Ok(vec![
        account,
        desired(Kind::Role, metadata.object(names::role(&name)), &role)?,
        desired(Kind::RoleBinding, metadata.object(names::role_binding(&name)), &binding)?,
    ])
}

fn read(group: &str, resource: &str) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: ["get", "list", "watch"].map(str::to_owned).to_vec(),
        ..PolicyRule::default()
    }
}

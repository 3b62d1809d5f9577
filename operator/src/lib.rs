//! The operator: reconciles `ServerType` objects into Deployments and Services. Filled by its own milestone.

//! Controllers make themselves known, so that features are raised only to what all of them support.

use std::collections::BTreeMap;

use ottla_metadata::{ControllerNode, Endpoint, LevelRange, MetadataVersion};
use ottla_protocol::{Str, Uuid};

use crate::controller::{Controller, Outcome};
use crate::error::ControlError;

/// A controller of the quorum, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerRegistration {
    pub controller_id: i32,
    /// Drawn at each start of the controller.
    pub incarnation_id: Uuid,
    pub endpoints: Vec<Endpoint>,
    pub features: BTreeMap<Str, LevelRange>,
}

impl Controller {
    /// Notes a controller, in place of what it said of itself before.
    pub fn register_controller(
        &self,
        request: &ControllerRegistration,
    ) -> Result<Outcome<()>, ControlError> {
        if self.metadata_version() < MetadataVersion::CONTROLLER_REGISTRATION {
            return Err(ControlError::NoControllerRegistration);
        }
        let node = ControllerNode {
            id: request.controller_id,
            incarnation_id: request.incarnation_id,
            zk_migration_ready: false,
            endpoints: request.endpoints.clone(),
            features: request.features.clone(),
        };
        Ok(Outcome::atomic(vec![node.to_record().into()], ()))
    }
}

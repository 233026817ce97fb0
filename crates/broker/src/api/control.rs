//! A handler's way to the controller.

use ottla_controller::{ControlError, Controller, Outcome};

use super::Context;
use super::failure::Failure;

impl Context {
    /// Has the controller decide, and waits until the decision is committed and followed by this broker.
    pub async fn control<T: Send + 'static>(
        &self,
        decide: impl FnOnce(
            &mut Controller,
            &mut ottla_controller::Context<'_>,
        ) -> Result<Outcome<T>, ControlError>
        + Send
        + 'static,
    ) -> Result<T, Failure> {
        Ok(self.broker.controller()?.run(decide).await?)
    }
}

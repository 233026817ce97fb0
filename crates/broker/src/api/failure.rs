//! An error in an answer: Kafka's code, and words beside it where they say more than the code does.

use ottla_controller::ControlError;
use ottla_protocol::{ErrorCode, Str};

use crate::controller::CommandError;

#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub code: ErrorCode,
    /// None where it would only repeat what the code says.
    pub message: Option<Str>,
}

impl Failure {
    pub fn new(code: ErrorCode, message: &str) -> Self {
        Self {
            code,
            message: (message != code.message()).then(|| Str::from(message)),
        }
    }

    pub fn invalid_request(message: &str) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    /// The words, or those of the code.
    pub fn text(&self) -> Str {
        self.message
            .clone()
            .unwrap_or_else(|| Str::from_static(self.code.message()))
    }
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Self {
            code,
            message: None,
        }
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        Self::new(error.code(), &error.to_string())
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        Self::new(error.code(), &error.to_string())
    }
}

/// Code and words for the fields of an answer.
pub fn fields<T>(outcome: Result<T, Failure>) -> (i16, Option<Str>) {
    match outcome {
        Ok(_) => (ErrorCode::None.code(), None),
        Err(failure) => (failure.code.code(), failure.message),
    }
}

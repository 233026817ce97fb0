//! The home of the controller: one thread that decides, makes decisions durable, and lets the broker follow them.
//!
//! Commands wait in a queue. Those that wait together share one sync of the metadata log, after which the broker
//! follows (logs are made, configurations change) and the callers get their answers, in that order: whoever is told
//! that a topic exists can produce to it.
//!
//! Invariant: nothing is answered, and nothing followed, that is not committed in the metadata log.

use ottla_controller::{Context, ControlError, Controller, Outcome};
use ottla_metadata::{MetadataDelta, MetadataImage};
use ottla_protocol::ErrorCode;
use ottla_protocol::metadata_records::MetadataRecord;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::publisher::Publisher;
use crate::quorum::{MetadataQuorum, QuorumState};

/// Commands that may wait; a caller beyond them waits for its turn to wait.
const COMMANDS_QUEUED_MAX: usize = 1024;
/// Commands that share one sync at most, so that the first of them is not kept too long.
const COMMANDS_PER_COMMIT_MAX: usize = 256;

type Command = Box<dyn FnOnce(&mut Home) + Send>;
type Answer = Box<dyn FnOnce(Result<(), ErrorCode>) + Send>;

/// The way to the controller.
#[derive(Clone)]
pub struct ControllerHandle {
    commands: mpsc::Sender<Command>,
}

/// Why a command came to nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CommandError {
    /// The controller says no, and why.
    #[error(transparent)]
    Refused(#[from] ControlError),
    /// The decision could not be committed, or there is no controller.
    #[error("{}", .0.message())]
    Failed(ErrorCode),
}

impl CommandError {
    /// Kafka's code for the error.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(error) => error.code(),
            Self::Failed(code) => *code,
        }
    }
}

/// What lives on the controller's thread.
struct Home {
    controller: Controller,
    quorum: Box<dyn MetadataQuorum>,
    publisher: Publisher,
    clock: Clock,
    /// Decided, appended, and not yet committed.
    decided: Vec<(MetadataImage, MetadataDelta)>,
    answers: Vec<Answer>,
    /// The log could not be written: what the controller believes is not what the log says.
    broken: bool,
}

/// Starts the controller's thread. It ends when the last handle is dropped.
pub fn start(
    controller: Controller,
    quorum: Box<dyn MetadataQuorum>,
    publisher: Publisher,
    clock: Clock,
) -> std::io::Result<(ControllerHandle, std::thread::JoinHandle<()>)> {
    let (commands, queue) = mpsc::channel(COMMANDS_QUEUED_MAX);
    let home = Home {
        controller,
        quorum,
        publisher,
        clock,
        decided: Vec::new(),
        answers: Vec::new(),
        broken: false,
    };
    let runtime = tokio::runtime::Handle::current();
    let thread = std::thread::Builder::new()
        .name("controller".to_string())
        .spawn(move || {
            // What the broker follows may start tasks.
            let _entered = runtime.enter();
            home.run(queue);
        })?;
    Ok((ControllerHandle { commands }, thread))
}

impl ControllerHandle {
    /// Has the controller decide, and waits until the decision is committed and followed by this broker.
    pub async fn run<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&mut Controller, &mut Context<'_>) -> Result<Outcome<T>, ControlError>
        + Send
        + 'static,
    ) -> Result<T, CommandError> {
        let (sender, receiver) = oneshot::channel();
        let command: Command = Box::new(move |home| match home.decide(decide) {
            Ok(answer) => home.answers.push(Box::new(move |committed| {
                // The caller's connection may be gone.
                let _ = sender.send(committed.map(|()| answer).map_err(CommandError::Failed));
            })),
            Err(error) => {
                let _ = sender.send(Err(error));
            }
        });
        let stopped = CommandError::Failed(ErrorCode::NotController);
        self.commands
            .send(command)
            .await
            .map_err(|_| stopped.clone())?;
        receiver.await.map_err(|_| stopped)?
    }

    /// Has the broker try again to make the logs that wait for room on the disk; not now, if the controller is busy.
    pub fn begin_waiting_logs(&self) {
        let command: Command = Box::new(|home| home.publisher.begin_waiting());
        // Another time will come.
        let _ = self.commands.try_send(command);
    }

    /// How far the metadata log has come.
    pub async fn quorum_state(&self) -> Result<QuorumState, ErrorCode> {
        let (sender, receiver) = oneshot::channel();
        // Without a receiver nobody wants to know any more.
        let command: Command = Box::new(move |home| _ = sender.send(home.quorum.state()));
        self.commands
            .send(command)
            .await
            .map_err(|_| ErrorCode::NotController)?;
        receiver.await.map_err(|_| ErrorCode::NotController)
    }
}

impl Home {
    fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        while let Some(command) = queue.blocking_recv() {
            command(&mut self);
            for _ in 1..COMMANDS_PER_COMMIT_MAX {
                match queue.try_recv() {
                    Ok(command) => command(&mut self),
                    Err(_) => break,
                }
            }
            self.commit();
        }
        if let Err(error) = self.quorum.close() {
            tracing::error!(%error, "cannot close the metadata log");
        }
    }

    fn decide<T>(
        &mut self,
        decide: impl FnOnce(&mut Controller, &mut Context<'_>) -> Result<Outcome<T>, ControlError>,
    ) -> Result<T, CommandError> {
        if self.broken {
            return Err(CommandError::Failed(ErrorCode::KafkaStorageError));
        }
        let mut random = || fastrand::u64(..);
        let mut context = Context {
            now_ms: self.clock.now_ms(),
            next_offset: self.quorum.next_offset(),
            random: &mut random,
        };
        let outcome = decide(&mut self.controller, &mut context).map_err(CommandError::Refused)?;
        self.follow(outcome.records).map_err(CommandError::Failed)?;
        Ok(outcome.answer)
    }

    /// Lets the controller's own state follow records, and appends them.
    fn follow(&mut self, records: Vec<MetadataRecord>) -> Result<(), ErrorCode> {
        if records.is_empty() {
            return Ok(());
        }
        let base_offset = self.quorum.next_offset();
        let delta = self
            .controller
            .replay(&records, base_offset)
            .map_err(|error| {
                // The controller decided what it cannot read.
                tracing::error!(%error, "the controller cannot follow its own records");
                self.broken = true;
                ErrorCode::UnknownServerError
            })?;
        self.quorum
            .append(records, self.clock.now_ms())
            .map_err(|error| {
                tracing::error!(%error, "cannot append to the metadata log");
                self.broken = true;
                ErrorCode::KafkaStorageError
            })?;
        self.decided.push((self.controller.image().clone(), delta));
        Ok(())
    }

    /// Notes in the metadata in which of several directories the broker has put its replicas (KIP-858).
    fn assign_directories(&mut self) {
        let assignments = self.publisher.take_assignments();
        let broker_id = self.controller.config().node_id;
        let broker = self.controller.image().broker(broker_id);
        let Some(epoch) = broker.map(|broker| broker.epoch) else {
            return;
        };
        if assignments.is_empty() {
            return;
        }
        let assigned = self.decide(move |controller, _| {
            controller.assign_replicas_to_directories(broker_id, epoch, &assignments)
        });
        match assigned {
            // Following them leaves nothing more to assign.
            Ok(_) => self.commit(),
            Err(error) => {
                tracing::error!(%error, "the directories of replicas cannot be noted in the metadata");
            }
        }
    }

    fn commit(&mut self) {
        let result = if self.decided.is_empty() {
            Ok(())
        } else {
            self.quorum.commit(self.clock.now_ms())
        };
        let result = result.map_err(|error| {
            tracing::error!(%error, "cannot commit to the metadata log: no change is accepted until a restart");
            self.broken = true;
            ErrorCode::KafkaStorageError
        });
        for (image, delta) in self.decided.drain(..) {
            if result.is_ok() {
                self.publisher.publish(image, &delta);
            }
        }
        for answer in self.answers.drain(..) {
            answer(result);
        }
        if result.is_ok() {
            self.assign_directories();
        }
        if result.is_ok()
            && let Err(error) = self
                .quorum
                .maybe_snapshot(self.controller.image(), self.clock.now_ms())
        {
            // The log has everything; the next start replays more of it.
            tracing::warn!(%error, "cannot write a snapshot of the metadata");
        }
    }
}

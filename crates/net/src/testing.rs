//! A service whose frames say what it shall do, and a client that speaks in frames.
//!
//! Used by the tests of this crate.

use std::collections::HashMap;
use std::fs::File;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};

use crate::{
    ConnectionInfo, FileWay, Limits, ListenerConfig, NetMetrics, Outcome, Part, Reply, Server,
    ServerHandle, Service,
};

/// No step of a test takes this long unless it is stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// `wait NAME` answers once NAME is released, `file POSITION LEN …` sends ranges, `none`, `close`
/// and `panic` do that, everything else is echoed.
#[derive(Default)]
pub(crate) struct Scripted {
    pub(crate) file: Option<Arc<File>>,
    pub(crate) gates: Mutex<HashMap<String, Arc<Semaphore>>>,
    /// Frames in the order in which their calls were first polled.
    pub(crate) started: Mutex<Vec<String>>,
    pub(crate) dropped_connections: Arc<AtomicUsize>,
    pub(crate) changed: Notify,
}

pub(crate) struct TestConnection {
    dropped: Arc<AtomicUsize>,
}

impl Drop for TestConnection {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the test wants it closed")]
struct AskedToClose;

impl Scripted {
    fn gate(&self, name: &str) -> Arc<Semaphore> {
        let mut gates = self.gates.lock().unwrap();
        Arc::clone(
            gates
                .entry(name.to_owned())
                .or_insert_with(|| Arc::new(Semaphore::new(0))),
        )
    }

    /// Lets one `wait NAME` go on.
    pub(crate) fn release(&self, name: &str) {
        self.gate(name).add_permits(1);
    }

    pub(crate) async fn wait_for_started(&self, count: usize) {
        loop {
            let changed = self.changed.notified();
            if self.started.lock().unwrap().len() >= count {
                return;
            }
            within(changed).await;
        }
    }

    pub(crate) fn started(&self) -> Vec<String> {
        self.started.lock().unwrap().clone()
    }
}

impl Service for Scripted {
    type Connection = TestConnection;

    fn connected(&self, _info: ConnectionInfo) -> TestConnection {
        TestConnection {
            dropped: Arc::clone(&self.dropped_connections),
        }
    }

    async fn call(&self, _connection: &Arc<TestConnection>, frame: Bytes) -> Outcome {
        let text = String::from_utf8_lossy(&frame[..frame.len().min(64)]).into_owned();
        self.started.lock().unwrap().push(text.clone());
        self.changed.notify_waiters();
        let mut words = text.split(' ');
        match words.next() {
            Some("none") => Outcome::NoReply,
            Some("close") => Outcome::Close(Box::new(AskedToClose)),
            Some("panic") => panic!("the test wants a panic"),
            Some("wait") => {
                let gate = self.gate(words.next().unwrap_or(""));
                gate.acquire().await.unwrap().forget();
                Outcome::Reply(Reply::from(frame))
            }
            Some("file") => {
                let numbers: Vec<u64> = words.map(|word| word.parse().unwrap()).collect();
                let file = self.file.clone().unwrap();
                let ranges = numbers
                    .chunks_exact(2)
                    .flat_map(|range| {
                        [
                            Part::Bytes(Bytes::from_static(b"<")),
                            Part::file(file.clone(), range[0], range[1]),
                            Part::Bytes(Bytes::from_static(b">")),
                        ]
                    })
                    .collect();
                Outcome::Reply(Reply { parts: ranges })
            }
            _ => Outcome::Reply(Reply::from(frame)),
        }
    }
}

pub(crate) struct TestServer {
    pub(crate) handle: ServerHandle,
    pub(crate) service: Arc<Scripted>,
    pub(crate) metrics: Arc<NetMetrics>,
}

pub(crate) fn serve(limits: Limits) -> TestServer {
    serve_with(limits, Scripted::default(), FileWay::default())
}

pub(crate) fn serve_with(limits: Limits, service: Scripted, way: FileWay) -> TestServer {
    let listener = ListenerConfig::new("PLAINTEXT", "127.0.0.1:0".parse().unwrap());
    let server = Server::bind_with(limits, &[listener], way).unwrap();
    let service = Arc::new(service);
    let metrics = server.metrics();
    TestServer {
        handle: server.start(Arc::clone(&service)),
        service,
        metrics,
    }
}

impl TestServer {
    pub(crate) async fn connect(&self) -> Client {
        Client(
            within(TcpStream::connect(self.handle.addresses()[0].1))
                .await
                .unwrap(),
        )
    }
}

/// Speaks in frames, with no mercy for what takes too long.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        within(self.0.write_all(bytes)).await.unwrap();
    }

    pub(crate) async fn send(&mut self, body: &[u8]) {
        self.send_raw(&framed(body)).await;
    }

    pub(crate) async fn receive(&mut self) -> Vec<u8> {
        let len = within(self.0.read_i32()).await.unwrap();
        let mut body = vec![0; usize::try_from(len).unwrap()];
        within(self.0.read_exact(&mut body)).await.unwrap();
        body
    }

    pub(crate) async fn receive_text(&mut self) -> String {
        String::from_utf8(self.receive().await).unwrap()
    }

    /// Waits for the server to close, and returns what came before that.
    pub(crate) async fn receive_end(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end as well.
        let _reset = within(self.0.read_to_end(&mut rest)).await;
        rest
    }
}

pub(crate) fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = i32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("nothing happened for a long time")
}

/// Yields to the server until `condition` holds.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    within(async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

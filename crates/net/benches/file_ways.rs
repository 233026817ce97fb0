//! How fast cached ranges of a file leave by each `FileWay`, and what that costs the server.
//!
//! `cargo bench -p ottla-net` prints a line per way, answer size and socket buffer. The server runs
//! on one thread, the reader on another; CPU seconds are those of the server's thread alone.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_net::{
    ConnectionInfo, FileWay, Limits, ListenerConfig, Outcome, Part, Reply, Server, Service,
};

const FILE_BYTES: u64 = 256 * 1024 * 1024;
const ROUNDS: u64 = 4;
const HEADER: &[u8] = &[0; 80];

struct Ranges {
    file: Arc<File>,
}

impl Service for Ranges {
    type Connection = ();

    fn connected(&self, _info: ConnectionInfo) {}

    async fn call(&self, _connection: &Arc<()>, frame: Bytes) -> Outcome {
        let (Some(position), Some(len)) = (number(&frame, 0), number(&frame, 8)) else {
            return Outcome::NoReply;
        };
        Outcome::Reply(Reply {
            parts: vec![
                Part::Bytes(Bytes::from_static(HEADER)),
                Part::file(self.file.clone(), position, len),
            ],
        })
    }
}

fn number(frame: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*frame.get(at..)?.first_chunk()?))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = Arc::new(cached_file()?);
    println!("way       answer     socket buffer   GB/s   server CPU s/GB");
    for buffer in [Some(100 * 1024), None] {
        for answer in [16 * 1024, 1024 * 1024] {
            for way in [FileWay::Copy, FileWay::Sendfile] {
                measure(&file, way, answer, buffer)?;
                let (rate, cost) = measure(&file, way, answer, buffer)?;
                let buffer = buffer.map_or("system".to_owned(), |bytes| bytes.to_string());
                println!(
                    "{way:<9} {answer:>7}    {buffer:>13}  {rate:>5.2}   {cost:.3}",
                    way = format!("{way:?}").as_str()
                );
            }
        }
    }
    Ok(())
}

fn cached_file() -> Result<File, std::io::Error> {
    let mut file = tempfile::tempfile()?;
    let piece = vec![7; 1024 * 1024];
    for _ in 0..FILE_BYTES / piece.len() as u64 {
        file.write_all(&piece)?;
    }
    Ok(file)
}

/// Gigabytes per second, and seconds of the server's CPU for each.
fn measure(
    file: &Arc<File>,
    way: FileWay,
    answer: u64,
    buffer: Option<usize>,
) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let (ready, address) = mpsc::channel();
    let (done, wait) = tokio::sync::oneshot::channel::<()>();
    let service = Arc::new(Ranges {
        file: Arc::clone(file),
    });
    let server = std::thread::spawn(move || serve(service, way, buffer, &ready, wait));
    let start = Instant::now();
    let bytes = read_all(address.recv()?, answer)?;
    let elapsed = start.elapsed();
    done.send(()).map_err(|()| "the server is gone")?;
    let cpu = server.join().map_err(|_| "the server failed")?;
    let gigabytes = bytes as f64 / 1e9;
    Ok((
        gigabytes / elapsed.as_secs_f64(),
        cpu.as_secs_f64() / gigabytes,
    ))
}

fn serve(
    service: Arc<Ranges>,
    way: FileWay,
    buffer: Option<usize>,
    ready: &mpsc::Sender<SocketAddr>,
    wait: tokio::sync::oneshot::Receiver<()>,
) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let limits = Limits {
            send_buffer_bytes: buffer,
            receive_buffer_bytes: buffer,
            ..Limits::default()
        };
        let listener = ListenerConfig::new("PLAINTEXT", ([127, 0, 0, 1], 0).into());
        let server = Server::bind_with(limits, &[listener], way).expect("a port");
        let handle = server.start(service);
        let before = thread_cpu();
        ready
            .send(handle.addresses()[0].1)
            .expect("the reader waits");
        wait.await.expect("the reader says when it is done");
        let cpu = thread_cpu() - before;
        handle.stop(Duration::ZERO).await;
        cpu
    })
}

fn thread_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

fn read_all(address: SocketAddr, answer: u64) -> Result<u64, std::io::Error> {
    let mut stream = TcpStream::connect(address)?;
    let mut buffer = vec![0; 4 + HEADER.len() + answer as usize];
    let mut bytes = 0;
    for round in 0..ROUNDS * FILE_BYTES / answer {
        let position = round * answer % FILE_BYTES;
        let mut request = 16_i32.to_be_bytes().to_vec();
        request.extend_from_slice(&position.to_be_bytes());
        request.extend_from_slice(&answer.to_be_bytes());
        stream.write_all(&request)?;
        stream.read_exact(&mut buffer)?;
        bytes += answer;
    }
    Ok(bytes)
}

//! The least that a machine must do for the same bytes: three small servers, each a process of its own.
//!
//! One receives requests on loopback, computes their CRC-32C and writes them to files in the page cache;
//! one sends cached files; one passes records on (`relay.rs`). Invariant: no protocol, no copy and no
//! thread beyond that. The parent (`run`) is the other end of the socket, so the child's accounting holds
//! the server's work alone.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::account::Watch;
use super::metrics::Metrics;
use super::stop;

mod relay;

/// What the client's end of the socket moves with one call.
const CLIENT_BYTES: usize = 1 << 20;
/// What is copied with one call where it is not sent by the kernel.
const COPY_BYTES: usize = 256 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Work {
    /// Receive, checksum, write.
    Receive,
    /// Send files with `sendfile`.
    Sendfile,
    /// Send files with `pread` and `write`.
    Copy,
    /// Receive, write, answer and pass on.
    Relay,
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Sendfile => "sendfile",
            Self::Copy => "copy",
            Self::Relay => "relay",
        }
    }
}

#[derive(clap::Args)]
pub struct Options {
    #[arg(long, value_enum)]
    work: Work,
    /// Where the files are
    #[arg(long)]
    directory: PathBuf,
    #[arg(long)]
    files: usize,
    #[arg(long)]
    bytes: u64,
    #[arg(long)]
    request_bytes: usize,
}

/// The server: says its port, does its work for one connection, and stays until its input closes.
pub fn serve(options: &Options) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    match options.work {
        Work::Receive => receive(options, &mut listener.accept()?.0)?,
        Work::Sendfile => send(options, &mut listener.accept()?.0, false)?,
        Work::Copy => send(options, &mut listener.accept()?.0, true)?,
        Work::Relay => relay::serve(&listener, &mut create(options)?, options.request_bytes)?,
    }
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn create(options: &Options) -> io::Result<Vec<File>> {
    let create = |index| File::create(file(&options.directory, index));
    (0..options.files).map(create).collect()
}

fn receive(options: &Options, stream: &mut TcpStream) -> io::Result<()> {
    let mut files = create(options)?;
    let mut request = vec![0; options.request_bytes];
    let mut checksum = 0;
    for turn in 0..requests(options.bytes, options.request_bytes) {
        stream.read_exact(&mut request)?;
        checksum ^= crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &request);
        let count = files.len();
        files[turn % count].write_all(&request)?;
    }
    stream.write_all(&checksum.to_be_bytes())
}

fn send(options: &Options, stream: &mut TcpStream, by_copy: bool) -> io::Result<()> {
    for index in 0..options.files {
        let file = File::open(file(&options.directory, index))?;
        let length = file.metadata()?.len();
        let mut position = 0;
        let mut buffer = vec![0; COPY_BYTES.min(options.request_bytes)];
        while position < length {
            let count = if by_copy {
                let count = file.read_at(&mut buffer, position)?;
                stream.write_all(&buffer[..count])?;
                count
            } else {
                let mut from = position;
                rustix::fs::sendfile(&*stream, &file, Some(&mut from), options.request_bytes)?
            };
            position += count as u64;
        }
    }
    Ok(())
}

fn file(directory: &Path, index: usize) -> PathBuf {
    directory.join(format!("floor-{index}"))
}

fn requests(bytes: u64, request_bytes: usize) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX) / request_bytes.max(1)
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "`{line}` is no floor: receive|send BYTES REQUEST_BYTES FILES, or relay SECONDS RECORD_BYTES FILES RECORDS_PER_SECOND"
    )]
    Line { line: String },
    #[error("the floor: {0}")]
    Io(#[from] io::Error),
    #[error("interrupted")]
    Interrupted,
}

/// What `WORK BYTES REQUEST_BYTES FILES` costs a process that does nothing else; `relay SECONDS RECORD_BYTES
/// FILES RECORDS_PER_SECOND`: how long records take through one.
pub fn run(line: &str, directory: &Path) -> Result<Metrics, Error> {
    let wrong = || Error::Line {
        line: line.to_owned(),
    };
    let words: Vec<_> = line.split_whitespace().collect();
    let [work, bytes, request_bytes, files, ref rest @ ..] = words[..] else {
        return Err(wrong());
    };
    let mut options = Options {
        work: Work::Receive,
        directory: directory.to_path_buf(),
        files: files
            .parse()
            .ok()
            .filter(|files| *files > 0)
            .ok_or_else(wrong)?,
        bytes: bytes.parse().map_err(|_| wrong())?,
        request_bytes: request_bytes
            .parse()
            .ok()
            .filter(|bytes| *bytes > 0)
            .ok_or_else(wrong)?,
    };
    match (work, rest) {
        ("relay", [rate]) => {
            options.work = Work::Relay;
            let schedule = relay::Schedule {
                records_per_second: rate.parse().map_err(|_| wrong())?,
                record_bytes: options.request_bytes,
                seconds: options.bytes,
            };
            if !schedule.is_possible() {
                return Err(wrong());
            }
            watched(&options, |port| relay::measure(port, &schedule))
        }
        ("receive", []) => measure(&options, produce),
        ("send", []) => {
            fs::create_dir_all(directory)?;
            fill(&options)?;
            options.work = Work::Sendfile;
            let by_kernel = measure(&options, consume)?;
            options.work = Work::Copy;
            let by_copy = measure(&options, consume)?;
            let cost = |metrics: &Metrics| metrics.get("cpu_seconds").unwrap_or(f64::INFINITY);
            let kernel_wins = cost(&by_kernel) <= cost(&by_copy);
            Ok(if kernel_wins { by_kernel } else { by_copy })
        }
        _ => Err(wrong()),
    }
}

/// Writes the files that are to be sent.
fn fill(options: &Options) -> io::Result<()> {
    let block = vec![b'x'; CLIENT_BYTES];
    let each = options.bytes / options.files as u64;
    for index in 0..options.files {
        let mut file = File::create(file(&options.directory, index))?;
        let mut left = each;
        while left > 0 {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
            file.write_all(&block[..count])?;
            left -= count as u64;
        }
    }
    Ok(())
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing is left to be done where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the server, and joins what `load` found at its port with the server's account.
fn watched(
    options: &Options,
    load: impl FnOnce(u16) -> Result<Metrics, Error>,
) -> Result<Metrics, Error> {
    fs::create_dir_all(&options.directory)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["floor", "--work", options.work.name()]);
    command.args(["--files", &options.files.to_string()]);
    command.args(["--bytes", &options.bytes.to_string()]);
    command.args(["--request-bytes", &options.request_bytes.to_string()]);
    command.arg("--directory").arg(&options.directory);
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut server = Server(child);
    let mut port = String::new();
    if let Some(said) = server.0.stdout.take() {
        BufReader::new(said).read_line(&mut port)?;
    }
    let port: u16 = port.trim().parse().map_err(io::Error::other)?;
    let watch = Watch::begin(server.0.id())?;
    let mut metrics = load(port)?;
    metrics.join(watch.end()?);
    Ok(metrics)
}

/// What the server costs while `other_end` moves the bytes, and says how many they were.
fn measure(
    options: &Options,
    other_end: fn(&Options, TcpStream) -> Result<u64, Error>,
) -> Result<Metrics, Error> {
    watched(options, |port| {
        let began = Instant::now();
        let bytes = other_end(options, TcpStream::connect(("127.0.0.1", port))?)?;
        let seconds = began.elapsed().as_secs_f64();
        Ok(Metrics::from_iter([
            ("seconds", seconds),
            ("bytes", bytes as f64),
            ("bytes_per_second", bytes as f64 / seconds),
            ("requests", requests(bytes, options.request_bytes) as f64),
        ]))
    })
}

fn produce(options: &Options, mut stream: TcpStream) -> Result<u64, Error> {
    let block = vec![b'x'; CLIENT_BYTES];
    let requests = requests(options.bytes, options.request_bytes) as u64;
    let total = requests * options.request_bytes as u64;
    let mut left = total;
    while left > 0 {
        if stop::is_asked() {
            return Err(Error::Interrupted);
        }
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        stream.write_all(&block[..count])?;
        left -= count as u64;
    }
    stream.read_exact(&mut [0; 8])?;
    Ok(total)
}

fn consume(_: &Options, mut stream: TcpStream) -> Result<u64, Error> {
    let mut block = vec![0; CLIENT_BYTES];
    let mut total = 0;
    loop {
        if stop::is_asked() {
            return Err(Error::Interrupted);
        }
        match stream.read(&mut block)? {
            0 => return Ok(total),
            count => total += count as u64,
        }
    }
}

#[cfg(test)]
mod tests;

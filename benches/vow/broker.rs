//! The broker under measurement: a process of its own, with its own port and data directory.
use super::link::{Life, connect};
use bytes::BytesMut;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vowmq::codec;
use vowmq::packet::{Packet, Version};

pub struct Broker {
    pub address: SocketAddr,
    process: Child,
    /// Held for its Drop: configuration, log and data go when the broker goes.
    directory: TempDir,
}

const START_WITHIN: Duration = Duration::from_secs(600);
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(2);
const LOG_LINES_SHOWN: usize = 40;

impl Broker {
    /// Starts a broker with an empty data directory below `parent`. `settings` is put into its configuration.
    pub fn start(parent: &Path, settings: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("vow-bench-").tempdir_in(parent);
        let directory = directory.expect("a directory for the broker can be made");
        let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("127.0.0.1 has a free port");
        let address = probe.local_addr().expect("a bound socket has an address");
        drop(probe);
        let data = directory.path().join("data");
        let text = format!(
            "data_dir = {data:?}\n\n{settings}\n\n[[listener]]\naddress = \"{address}\"\nallow_anonymous = true\n"
        );
        fs::write(directory.path().join("vowmq.toml"), text).expect("the configuration can be written");
        let process = spawn(directory.path());
        let mut broker = Self { address, process, directory };
        broker.wait_until_it_answers();
        broker
    }

    /// Starts it again on its data; how long until it answered a CONNECT.
    pub fn start_again(&mut self) -> Duration {
        let begun = Instant::now();
        self.process = spawn(self.directory.path());
        self.wait_until_it_answers();
        begun.elapsed()
    }

    /// Ends it as a crash would (kill -9).
    pub fn kill(&mut self) {
        self.process.kill().expect("our own child can be killed");
        self.process.wait().expect("our own child can be waited for");
    }

    /// Asks it to end in order (SIGTERM); how long it took.
    pub fn stop(&mut self) -> Duration {
        let begun = Instant::now();
        let asked = Command::new("kill").arg("-TERM").arg(self.process.id().to_string()).status();
        assert!(asked.expect("kill can be run").success(), "our own child can be asked to end");
        let status = self.process.wait().expect("our own child can be waited for");
        assert!(status.success(), "the broker did not end in order: {status}");
        begun.elapsed()
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn wait_until_it_answers(&mut self) {
        let deadline = Instant::now() + START_WITHIN;
        while !answers_connect(self.address) {
            let status = self.process.try_wait().expect("our own child can be asked for its status");
            assert!(status.is_none(), "the broker ended at its start: {status:?}");
            assert!(Instant::now() < deadline, "the broker does not answer within {START_WITHIN:?}");
            thread::sleep(ASK_AGAIN_AFTER);
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already; what is left then is only to wait for it.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("the broker's log ends:\n{}", lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n"));
        }
    }
}

fn spawn(directory: &Path) -> Child {
    let log = File::options().create(true).append(true).open(directory.join("log")).expect("a log can be made");
    let program = std::env::var("VOWMQ_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_vowmq").to_owned());
    let mut command = Command::new(&program);
    // Variables that steer this program are no settings of the broker.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VOWMQ_")) {
        command.env_remove(name);
    }
    command.arg("--config").arg(directory.join("vowmq.toml")).stdin(Stdio::null());
    command.stdout(log.try_clone().expect("the log's handle can be shared")).stderr(log);
    command.spawn().unwrap_or_else(|error| panic!("{program} does not start: {error}"))
}

/// Whether a CONNECT is answered with CONNACK.
fn answers_connect(address: SocketAddr) -> bool {
    let mut bytes = BytesMut::new();
    let packet = Packet::Connect(Box::new(connect("bench-start", Life::Passing)));
    codec::encode(&packet, Version::V5, &mut bytes).expect("a legal packet");
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    stream.set_read_timeout(Some(START_WITHIN)).expect("a socket takes its options");
    let mut first = [0];
    const CONNACK: u8 = 0x20;
    stream.write_all(&bytes).is_ok() && stream.read_exact(&mut first).is_ok() && first == [CONNACK]
}

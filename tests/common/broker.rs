//! A broker process for one test: its own port, its own data directory, its log shown if the test fails.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const READY_WITHIN: Duration = Duration::from_secs(15);
#[allow(dead_code, reason = "not every test that starts a broker ends it in order")]
const ENDED_WITHIN: Duration = Duration::from_secs(20);
const CONNECT_AGAIN_AFTER: Duration = Duration::from_millis(20);
const ATTEMPTS_MAX: u32 = 3;
const LOG_LINES_SHOWN: usize = 60;

/// A running broker on 127.0.0.1. Dropping it kills the process and removes its data.
pub struct Broker {
    pub address: SocketAddr,
    pub port: u16,
    process: Child,
    /// Held for its Drop: the directory with configuration, log and data goes when the broker goes.
    directory: TempDir,
}

impl Broker {
    /// Starts the broker under test with anonymous access and `extra_toml` appended to its configuration. Returns once
    /// its ports take connections. `VOWMQ_BIN` puts another binary in place of the one cargo built.
    pub fn start(extra_toml: &str) -> Broker {
        let mut attempt = 1;
        loop {
            let mut broker = Broker::launch(extra_toml);
            match broker.wait_until_ready() {
                Ok(()) => return broker,
                // A port that was free a moment ago may have been taken since.
                Err(_) if attempt < ATTEMPTS_MAX => attempt += 1,
                Err(why) => panic!("the broker did not start, {attempt} times: {why}"),
            }
        }
    }

    fn launch(extra_toml: &str) -> Broker {
        let directory = tempfile::tempdir().expect("a temporary directory for the broker");
        let port = free_port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        configure(&directory, address, extra_toml);
        let process = spawn(&directory);
        Broker { address, port, process, directory }
    }

    /// Writes other settings in place of those it was started with; it does not know of them until it looks.
    #[allow(dead_code, reason = "not every test that starts a broker changes its settings")]
    pub fn configure(&self, extra_toml: &str) {
        configure(&self.directory, self.address, extra_toml);
    }

    /// Ends the process as a power cut would, without a word to it.
    #[allow(dead_code, reason = "not every test that starts a broker kills it")]
    pub fn kill(&mut self) {
        self.process.kill().expect("our own child can be killed");
        self.process.wait().expect("our own child can be waited for");
    }

    /// Starts it again where it was: same port, same data.
    #[allow(dead_code, reason = "not every test that starts a broker kills it")]
    pub fn start_again(&mut self) {
        self.process = spawn(&self.directory);
        self.wait_until_ready().expect("the broker starts again");
    }

    #[allow(dead_code, reason = "not every test looks at the process")]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends the process a signal, such as HUP.
    #[allow(dead_code, reason = "not every test that starts a broker signals it")]
    pub fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill is there");
        assert!(sent.success(), "the broker with process number {pid} could not be sent {name}");
    }

    /// Asks it to end, and waits until it has.
    #[allow(dead_code, reason = "not every test that starts a broker ends it in order")]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        let deadline = Instant::now() + ENDED_WITHIN;
        loop {
            if let Some(status) = self.process.try_wait().expect("our own child can be asked for its status") {
                return status;
            }
            assert!(Instant::now() < deadline, "the broker does not end within {ENDED_WITHIN:?}");
            std::thread::sleep(CONNECT_AGAIN_AFTER);
        }
    }

    /// What it has logged so far.
    #[allow(dead_code, reason = "not every test looks at the log")]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    #[allow(dead_code, reason = "not every test looks at what the broker keeps")]
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let (ports, deadline) = (self.ports(), Instant::now() + READY_WITHIN);
        loop {
            // Looked at from outside: a connection would be one that the test knows nothing of.
            let listening = listening();
            let missing = ports.iter().find(|port| listening.iter().all(|listener| listener.port != **port));
            // Asked after looking: if the process is gone, somebody else listens.
            if let Some(status) = self.process.try_wait().expect("our own child can be asked for its status") {
                return Err(format!("it ended before it listened on ports {ports:?}: {status}"));
            }
            match missing {
                None => return Ok(()),
                Some(port) if Instant::now() > deadline => return Err(format!("nobody listens on port {port}")),
                Some(_) => std::thread::sleep(CONNECT_AGAIN_AFTER),
            }
        }
    }

    /// Its ports on this machine's IPv4 address, those of further listeners in its configuration included.
    fn ports(&self) -> Vec<u16> {
        let text = fs::read_to_string(self.directory.path().join("vowmq.toml")).expect("it was written");
        let table: toml::Table = text.parse().unwrap_or_default();
        let listeners = table.get("listener").and_then(toml::Value::as_array).into_iter().flatten();
        let addresses = listeners.filter_map(|listener| listener.get("address")?.as_str());
        let ports = addresses.filter_map(|address| address.strip_prefix("127.0.0.1:")?.parse().ok());
        // The system chooses another for 0.
        [self.port].into_iter().chain(ports.filter(|port| *port != 0)).collect()
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    fn show_log(&self) {
        let log = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
        eprintln!("--- log of the broker on port {}, last {} lines", self.port, shown.len());
        for line in shown {
            eprintln!("{line}");
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let killed: io::Result<()> = self.process.kill();
        let ended = self.process.wait();
        if std::thread::panicking() {
            self.show_log();
            if let (Err(error), _) | (_, Err(error)) = (killed, ended) {
                eprintln!("the broker on port {} could not be ended: {error}", self.port);
            }
        }
    }
}

/// A socket of this machine that takes connections over IPv4.
#[allow(dead_code, reason = "not every test looks at sockets closely")]
pub struct Listening {
    pub port: u16,
    pub inode: String,
    /// Connections that its program has not taken yet.
    pub waiting: usize,
}

/// All of them.
pub fn listening() -> Vec<Listening> {
    let table = fs::read_to_string("/proc/net/tcp").expect("the kernel tells of sockets");
    table.lines().filter_map(listening_in).collect()
}

/// The one that a line is about, if it is about one.
fn listening_in(line: &str) -> Option<Listening> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let number = |place: usize| Some(fields.get(place)?.split_once(':')?.1);
    let port = u16::from_str_radix(number(1)?, 16).ok()?;
    let waiting = usize::from_str_radix(number(4)?, 16).ok()?;
    (fields.get(3) == Some(&"0A")).then_some(Listening { port, inode: (*fields.get(9)?).to_owned(), waiting })
}

fn configure(directory: &TempDir, address: SocketAddr, extra_toml: &str) {
    let data = directory.path().join("data");
    // What belongs to no table has to stand before the first; other keys are the listener's.
    const TOP: &str = "persistence = false\n";
    let (top, rest) = extra_toml.strip_prefix(TOP).map_or(("", extra_toml), |rest| (TOP, rest));
    let listener = format!("[[listener]]\naddress = \"{address}\"\nallow_anonymous = true\n");
    let text = format!("data_dir = \"{}\"\n{top}\n{listener}\n{rest}\n", data.display());
    // Put in place at once, so that the broker never sees half of it.
    let draft = directory.path().join("vowmq.toml.draft");
    fs::write(&draft, text).expect("the broker's configuration can be written");
    fs::rename(&draft, directory.path().join("vowmq.toml")).expect("the broker's configuration can be replaced");
}

fn spawn(directory: &TempDir) -> Child {
    let log = File::options().create(true).append(true).open(directory.path().join("log"));
    let log = log.expect("the broker's log can be created");
    let program = std::env::var("VOWMQ_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_vowmq").to_owned());
    let mut command = Command::new(&program);
    // Variables that steer the tests are no settings of the broker.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VOWMQ_")) {
        command.env_remove(name);
    }
    command
        .arg("--config")
        .arg(directory.path().join("vowmq.toml"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("the log's handle can be shared"))
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("{program} does not start: {error}"))
}

fn free_port() -> u16 {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("127.0.0.1 has a free port");
    probe.local_addr().expect("a bound socket has an address").port()
}

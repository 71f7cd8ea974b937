//! The broker under test: ours, or any that a command starts and a template configures.
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const OUR_CONFIG: &str = include_str!("vowmq.toml");
const READY_WITHIN: Duration = Duration::from_secs(15);
const CONNECT_AGAIN_AFTER: Duration = Duration::from_millis(2);
const LOG_LINES_SHOWN: usize = 40;

/// What to start.
pub struct Target {
    /// The start command, with `{config}` where the configuration file's path goes.
    pub command: Vec<String>,
    /// The configuration, with `{port}` and `{data}`.
    pub config: String,
}

impl Target {
    /// Our broker, started through `wrapper` if that is not empty. `VOWMQ_BIN` puts another binary in its place.
    pub fn ours(wrapper: &[&str]) -> Self {
        let program = std::env::var("VOWMQ_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_vowmq").to_owned());
        let mut command: Vec<String> = wrapper.iter().map(|&word| word.to_owned()).collect();
        command.extend([program, "--config".to_owned(), "{config}".to_owned()]);
        Self { command, config: OUR_CONFIG.to_owned() }
    }
}

/// A broker's process, its port and its data. Dropping it kills the process and removes the data.
pub struct Broker {
    pub address: SocketAddr,
    command: Vec<String>,
    process: Option<Child>,
    /// Held for its Drop too.
    pub directory: TempDir,
}

impl Broker {
    /// A place for a broker; nothing runs yet.
    pub fn prepare(target: &Target) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory for the broker");
        let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("127.0.0.1 has a free port");
        let address = probe.local_addr().expect("a bound socket has an address");
        let data = directory.path().join("data");
        fs::create_dir(&data).expect("the data directory can be made");
        let config = target.config.replace("{port}", &address.port().to_string());
        let config = config.replace("{data}", data.to_str().expect("a plain path"));
        let path = directory.path().join("config");
        fs::write(&path, config).expect("the configuration can be written");
        let path = path.to_str().expect("a plain path");
        let command = target.command.iter().map(|word| word.replace("{config}", path)).collect();
        Self { address, command, process: None, directory }
    }

    /// Starts the process and returns without waiting for it.
    pub fn launch(&mut self) {
        let log = File::options().create(true).append(true).open(self.directory.path().join("log"));
        let log = log.expect("the broker's log can be created");
        let (program, arguments) = self.command.split_first().expect("a command has a first word");
        let mut command = Command::new(program);
        // Variables that steer the tests are no settings of the broker.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VOWMQ_")) {
            command.env_remove(name);
        }
        command.args(arguments).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("the log's handle can be shared")).stderr(log);
        let process = command.spawn().unwrap_or_else(|error| panic!("{program} does not start: {error}"));
        self.process = Some(process);
    }

    /// Starts the process and waits until it takes connections.
    pub fn start(&mut self) -> Result<(), String> {
        self.launch();
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let answer = TcpStream::connect(self.address);
            if let Some(status) = self.process.as_mut().and_then(|process| process.try_wait().ok().flatten()) {
                return Err(format!("it ended before it listened: {status}"));
            }
            match answer {
                Ok(_) => return Ok(()),
                Err(refusal) if Instant::now() > deadline => return Err(format!("it does not answer: {refusal}")),
                Err(_) => std::thread::sleep(CONNECT_AGAIN_AFTER),
            }
        }
    }

    /// Ends the process with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended already, which its next start will tell.
            let _ = process.kill();
            process.wait().expect("our own child can be waited for");
        }
    }

    fn show_log(&self) {
        let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        eprintln!("--- the broker's log, its last lines");
        for line in lines.iter().skip(lines.len().saturating_sub(LOG_LINES_SHOWN)) {
            eprintln!("{line}");
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            self.show_log();
        }
    }
}

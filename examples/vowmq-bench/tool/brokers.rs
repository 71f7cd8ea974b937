//! The brokers under measurement, each a process of its own with settings that are as fair as they come.
use super::probe::Usage;
use super::problem::{Problem, Tried, Trying};
use super::secure::Secure;
use socket2::{Domain, Socket, Type};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vowmq::packet::Version;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Kind {
    Vowmq,
    Mosquitto,
    Rumqttd,
    Rmqttd,
    Nats,
    Relay,
}

pub struct Broker {
    pub kind: Kind,
    pub address: SocketAddr,
    process: Child,
    /// From the process's birth to the first connection it took.
    pub start: Duration,
    /// Held for its Drop: configuration and data go when the broker goes.
    directory: TempDir,
}

const ATTEMPTS_MAX: u32 = 3;
const START_WITHIN: Duration = Duration::from_secs(20);
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(1);

impl Kind {
    pub const ALL: [Self; 6] = [Self::Vowmq, Self::Mosquitto, Self::Rumqttd, Self::Rmqttd, Self::Nats, Self::Relay];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Vowmq => "VowMQ",
            Self::Mosquitto => "Mosquitto",
            Self::Rumqttd => "rumqttd",
            Self::Rmqttd => "rmqttd",
            Self::Nats => "nats-server",
            Self::Relay => "relay",
        }
    }

    /// The program, if this machine has it.
    pub fn program(self, vowmq: &Path) -> Option<PathBuf> {
        match self {
            Self::Vowmq => Some(vowmq.to_owned()),
            Self::Mosquitto => found("mosquitto"),
            Self::Rumqttd => found("rumqttd"),
            Self::Rmqttd => found("rmqttd"),
            Self::Nats => found("nats-server"),
            Self::Relay => std::env::current_exe().ok(),
        }
    }

    /// The newest version it speaks.
    pub fn version(self) -> Version {
        if self == Self::Nats { Version::V311 } else { Version::V5 }
    }

    /// The arguments to start it with, its conf file written to `directory`.
    fn arguments(self, directory: &Path, address: SocketAddr, secure: Option<&Secure>) -> Tried<Vec<String>> {
        let port = address.port();
        let data = directory.join("data");
        fs::create_dir_all(&data)?;
        let conf = directory.join("broker.conf");
        let path = |path: &Path| path.display().to_string();
        let more = secure.map_or_else(String::new, |secure| self.tls_settings(secure));
        fs::write(&conf, self.settings(&path(&data), port) + &more)?;
        let toml = directory.join("broker.toml");
        fs::copy(&conf, &toml)?;
        Ok(match self {
            Self::Vowmq => vec!["--config".to_owned(), path(&toml)],
            Self::Mosquitto => vec!["-c".to_owned(), path(&conf)],
            Self::Rumqttd => vec!["-c".to_owned(), path(&toml)],
            Self::Rmqttd => vec!["-f".to_owned(), path(&toml)],
            Self::Nats => vec!["-c".to_owned(), path(&conf)],
            Self::Relay => vec!["relay".to_owned(), "--listen".to_owned(), address.to_string()],
        })
    }

    /// Its conf file: durable as it offers, queues wide, no log, small packets sent at once.
    pub fn settings(self, data: &str, port: u16) -> String {
        let mut text = match self {
            Self::Vowmq => include_str!("../brokers/vowmq.toml"),
            Self::Mosquitto => include_str!("../brokers/mosquitto.conf"),
            Self::Rumqttd => include_str!("../brokers/rumqttd.toml"),
            Self::Rmqttd => include_str!("../brokers/rmqttd.toml"),
            Self::Nats => include_str!("../brokers/nats.conf"),
            Self::Relay => "",
        }
        .replace("{data}", data)
        .replace("{port}", &port.to_string());
        if !text.ends_with('\n') {
            let _ = writeln!(text);
        }
        text
    }
}

impl Kind {
    /// Whether it can be asked to listen with TLS as well.
    pub const fn has_tls_settings(self) -> bool {
        matches!(self, Self::Vowmq | Self::Mosquitto)
    }

    /// A further listener.
    fn tls_settings(self, secure: &Secure) -> String {
        let text = match self {
            Self::Vowmq => include_str!("../brokers/vowmq-tls.toml"),
            Self::Mosquitto => include_str!("../brokers/mosquitto-tls.conf"),
            Self::Rumqttd | Self::Rmqttd | Self::Nats | Self::Relay => "",
        };
        text.replace("{certs}", &secure.certificates().display().to_string())
            .replace("{tls_port}", &secure.address.port().to_string())
    }
}

fn found(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let places = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/bin")]);
    places.map(|place| place.join(name)).find(|file| file.is_file())
}

impl Broker {
    /// Starts one with empty data below `parent`, on the processors of `cpus`.
    pub fn start(kind: Kind, program: &Path, cpus: Option<&str>, parent: &Path) -> Tried<Self> {
        Self::start_with(kind, program, cpus, parent, None)
    }

    /// The same, with a listener for TLS beside the other.
    pub fn start_with(
        kind: Kind,
        program: &Path,
        cpus: Option<&str>,
        parent: &Path,
        secure: Option<&Secure>,
    ) -> Tried<Self> {
        let mut attempt = 1;
        loop {
            match Self::try_start(kind, program, cpus, parent, secure) {
                // A port that was free may have been taken since.
                Err(_) if attempt < ATTEMPTS_MAX => attempt += 1,
                result => return result,
            }
        }
    }

    fn try_start(
        kind: Kind,
        program: &Path,
        cpus: Option<&str>,
        parent: &Path,
        secure: Option<&Secure>,
    ) -> Tried<Self> {
        let directory = tempfile::Builder::new().prefix("bench-").tempdir_in(parent)?;
        let address = free_address()?;
        let arguments = kind.arguments(directory.path(), address, secure)?;
        let log = File::create(directory.path().join("log"))?;
        let mut command = match cpus {
            Some(cpus) => {
                let mut command = Command::new("taskset");
                command.arg("-c").arg(cpus).arg(program);
                command
            }
            None => Command::new(program),
        };
        // Variables that steer this program are no settings of the broker.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VOWMQ_")) {
            command.env_remove(name);
        }
        command.args(arguments).current_dir(directory.path()).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        let begun = Instant::now();
        let process = command.spawn().trying(|| format!("starting {}", program.display()))?;
        let mut broker = Self { kind, address, process, start: Duration::ZERO, directory };
        broker.wait_until_it_listens(begun)?;
        broker.start = begun.elapsed();
        Ok(broker)
    }

    pub fn usage(&self) -> Usage {
        Usage { pid: Some(self.process.id()) }
    }

    fn wait_until_it_listens(&mut self, begun: Instant) -> Tried<()> {
        loop {
            let is_answered = answers(self.address);
            // Asked after connecting: if the process is gone, somebody else answered.
            if let Some(status) = self.process.try_wait()? {
                let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
                return Err(Problem::new(format!("{} ended at its start, {status}: {log}", self.kind.name())));
            }
            if is_answered {
                return Ok(());
            }
            if begun.elapsed() > START_WITHIN {
                return Err(Problem::new(format!("{} does not listen within {START_WITHIN:?}", self.kind.name())));
            }
            std::thread::sleep(ASK_AGAIN_AFTER);
        }
    }
}

/// Whether somebody listens. A socket that happens to get the port it connects to is connected to itself.
fn answers(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok_and(|stream| stream.local_addr().is_ok_and(|local| local != address))
}

/// An address that nobody has and that this process has not given away before: two brokers that start at the same time
/// must not be given the same.
pub fn free_address() -> Tried<SocketAddr> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        // Bound, and never listening: nobody can connect to it by mistake.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let address = socket.local_addr()?.as_socket().ok_or_else(|| Problem::new("a socket without a port"))?;
        if GIVEN.lock().expect("nobody panics while holding it").insert(address.port()) {
            return Ok(address);
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already; what is left then is only to wait for it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

//! Arguments, logging and exit codes; everything else is in the library.
#![forbid(unsafe_code)]
use clap::{CommandFactory, Parser, Subcommand};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};
use vowmq::admin::LogLevel;
use vowmq::broker::AccessFile;
use vowmq::clock::Clock;
use vowmq::config::{Config, LogFormat, Mistake, Sources, log_filter};
use vowmq::identity::command::Passwd;
use vowmq::identity::{self, Authenticators};
use vowmq::server::Inherited;
use vowmq::{certs, ctl, data, import, trial};

/// Messages are made on one thread and dropped on another all the time, which this allocator is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// VowMQ: an MQTT 3.1.1 and 5.0 broker whose acknowledgements are vows.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Examples:
  vowmq                                  serve with conf/vowmq.toml, or with the defaults if it is not there
  vowmq --config /etc/vowmq.toml         serve with this file
  vowmq check --config /etc/vowmq.toml   look for mistakes and print the settings in force
  vowmq access test --user ann publish a/b
                                         ask which access rule decides
  vowmq certs --name broker.example.org   make certificates to try TLS with, in certs/
  vowmq import-mosquitto /etc/mosquitto/mosquitto.conf --out vowmq.toml
                                         come here from Mosquitto
  vowmq data check --data-dir data       look for damage and change nothing
  vowmq ctl status                       ask the running broker how it is
  VOWMQ_LIMITS__PACKET_BYTES_MAX=65536 vowmq"
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The conf file [default: conf/vowmq.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the broker keeps its state
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// Listen on this address alone, anonymously if it is this machine's own
    #[arg(long, global = true, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// error, warn, info, debug, trace or off
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
    /// auto, human or json
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look for mistakes in the configuration and print the settings in force
    Check,
    /// Ask what the access rules allow
    Access {
        #[command(subcommand)]
        command: trial::Command,
    },
    /// Make certificates to try TLS with: a CA, a server and clients
    Certs(certs::Arguments),
    /// Translate a mosquitto.conf into a vowmq.toml, and tell what changes
    ImportMosquitto(import::Arguments),
    /// Add, change and remove the users of a password file
    Passwd(Passwd),
    /// Look at the data directory, or repair it
    Data {
        #[command(subcommand)]
        command: data::Command,
    },
    /// See and steer the running broker
    #[command(after_help = ctl::EXIT_CODES)]
    Ctl(ctl::Options),
    /// Print a completion script for a shell
    Completions { shell: clap_complete::Shell },
    /// Print the manual page, e.g. for `vowmq man | man -l -`
    Man,
}

/// The configuration, or what was asked for, is wrong.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let sources = sources(&arguments);
    let config = Config::load(&sources);
    match (arguments.command, config) {
        // They need no configuration.
        (Some(Command::Passwd(passwd)), _) => identity::command::run(&passwd),
        (Some(Command::Certs(arguments)), _) => certs::run(&arguments),
        (Some(Command::ImportMosquitto(arguments)), _) => import::run(&arguments),
        (Some(Command::Completions { shell }), _) => print_completions(shell),
        (Some(Command::Man), _) => print_manual(),
        (_, Err(mistakes)) => tell(&mistakes),
        (Some(Command::Check), Ok(config)) => check(&config),
        (Some(Command::Access { command }), Ok(config)) => trial::run(&command, &config),
        (Some(Command::Ctl(options)), Ok(config)) => ctl::run(&options, &config),
        (Some(Command::Data { command }), Ok(config)) => data::run(&command, &config),
        (None, Ok(config)) => serve(config, sources),
    }
}

fn print_completions(shell: clap_complete::Shell) -> ExitCode {
    clap_complete::generate(shell, &mut Arguments::command(), "vowmq", &mut std::io::stdout());
    ExitCode::SUCCESS
}

/// One page for the program and all its commands.
fn print_manual() -> ExitCode {
    let mut page = Vec::new();
    let mut command = Arguments::command();
    command.build();
    let written = write_manual(&command, true, &mut page).and_then(|()| std::io::stdout().write_all(&page));
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn write_manual(command: &clap::Command, is_first: bool, page: &mut Vec<u8>) -> std::io::Result<()> {
    let manual = clap_mangen::Man::new(command.clone());
    if is_first {
        manual.render(page)?;
    } else {
        let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
        writeln!(page, ".SH {}", name.to_uppercase())?;
        manual.render_synopsis_section(page)?;
        manual.render_options_section(page)?;
    }
    let commands = command.get_subcommands().filter(|command| command.get_name() != "help");
    commands.into_iter().try_for_each(|command| write_manual(command, false, page))
}

fn sources(arguments: &Arguments) -> Sources {
    let default_file = Path::new("conf/vowmq.toml");
    let file = arguments.config.clone().or_else(|| default_file.exists().then(|| default_file.to_owned()));
    let flags = [
        ("--data-dir", "data_dir", &arguments.data_dir),
        ("--listen", "listen", &arguments.listen),
        ("--log-level", "log.level", &arguments.log_level),
        ("--log-format", "log.format", &arguments.log_format),
    ];
    let flags = flags.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value.clone()?)));
    let environment = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        Some((name, value.to_string_lossy().into_owned()))
    });
    Sources { file, environment: environment.collect(), flags: flags.collect() }
}

fn tell(mistakes: &[Mistake]) -> ExitCode {
    for mistake in mistakes {
        eprintln!("vowmq: {mistake}");
    }
    ExitCode::from(EXIT_USAGE)
}

fn check(config: &Config) -> ExitCode {
    if let Some(Err(error)) = AccessFile::configured(&config.access).map(|file| file.read()) {
        error.to_string().lines().for_each(|line| eprintln!("vowmq: {line}"));
        return ExitCode::from(EXIT_USAGE);
    }
    print!("{}", config.to_toml());
    for warning in config.warnings() {
        eprintln!("vowmq: warning: {warning}");
    }
    if let Err(error) = Authenticators::load(config, Clock::start()) {
        eprintln!("vowmq: {error}");
        return ExitCode::from(EXIT_USAGE);
    }
    ExitCode::SUCCESS
}

/// Turns of connections between two looks at who has something to say: half of what tokio does by itself, so that who
/// comes in the middle of a wide fan-out is seen soon.
const EVENT_INTERVAL: u32 = 31;

fn serve(config: Config, sources: Sources) -> ExitCode {
    let inherited = Inherited::take();
    let log_level = start_logging(&config);
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if config.worker_threads > 0 {
        builder.worker_threads(config.worker_threads);
    }
    let runtime = match builder.enable_all().event_interval(EVENT_INTERVAL).build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("vowmq: cannot start threads: {error}; lower worker_threads or raise the process limits");
            return ExitCode::FAILURE;
        }
    };
    // Signals are heeded before anybody can connect: who is told that the broker serves may end it the next moment.
    let served = async { vowmq::run::run(config, sources, inherited, Some(log_level), stop_signal()).await };
    match runtime.block_on(served) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vowmq: {error}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn start_logging(config: &Config) -> Arc<dyn LogLevel> {
    let level = config.log.level.clone();
    // It was checked with all other settings.
    let (filter, handle) = reload::Layer::new(log_filter(&level).unwrap_or_default());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines = match config.log.format {
        LogFormat::Json => lines.json().boxed(),
        LogFormat::Auto | LogFormat::Human => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).init();
    Arc::new(Filter { filter: handle, level: Mutex::new(level) })
}

/// What is logged, to be changed while the broker runs.
struct Filter {
    filter: reload::Handle<Targets, Registry>,
    /// Users: operators. Held for a copy.
    level: Mutex<String>,
}

impl LogLevel for Filter {
    fn level(&self) -> String {
        self.level.lock().map(|level| level.clone()).unwrap_or_default()
    }

    fn set(&self, level: &str) -> Result<(), String> {
        let filter = log_filter(level).map_err(|error| error.to_string())?;
        self.filter.reload(filter).map_err(|error| error.to_string())?;
        if let Ok(mut in_force) = self.level.lock() {
            level.clone_into(&mut in_force);
        }
        Ok(())
    }
}

/// Heeds SIGTERM and SIGINT from this call on, and resolves at the first; a second one ends the process at once.
fn stop_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = signal(SignalKind::terminate()).and_then(|first| Ok((first, signal(SignalKind::interrupt())?)));
    async {
        let Ok((mut terminate, mut interrupt)) = signals else {
            tracing::error!("signals cannot be handled; the broker can only be killed");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            std::process::exit(1);
        });
    }
}

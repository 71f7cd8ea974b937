//! `vowmq ctl`: the admin API for people and scripts (floor 4).
mod client;
mod print;
mod requests;
mod trace;

use crate::config::Config;
use clap::{Args, Subcommand};
use client::{Client, Failure};
use std::path::PathBuf;
use std::process::ExitCode;

/// Where to ask, and as whom.
#[derive(Debug, Args)]
pub struct Options {
    /// The admin address [default: what the broker wrote into its data directory, else admin.address]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The file with the token [default: admin.token in the data directory]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// PEM with who may have signed the broker's certificate [default: those in admin.tls.certificate, or with --url
    /// Mozilla's list]
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Print what the API answers, for scripts
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The broker in one look
    Status,
    /// Succeeds if the broker is ready for clients, and says why if it is not
    Ready,
    /// Clients that are connected
    Clients {
        #[command(flatten)]
        list: List,
    },
    /// Sessions, with and without a connection
    Sessions {
        #[command(flatten)]
        list: List,
        /// client_id, or backlog for the longest queues first
        #[arg(long, default_value = "client_id")]
        sort: String,
        /// connected or away
        #[arg(long)]
        state: Option<String>,
    },
    /// A session and what it has in hand
    Session {
        client_id: String,
        /// Show payloads
        #[arg(long)]
        payload: bool,
        /// The position to begin at
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Deliveries to show, at most 1000
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Subscriptions by client
    Subscriptions {
        #[command(flatten)]
        list: List,
        /// Those of this client alone
        #[arg(long, value_name = "CLIENT_ID")]
        client: Option<String>,
    },
    /// Shared subscriptions with their members
    Groups,
    /// Retained messages
    Retained {
        /// A Topic Filter
        #[arg(default_value = "#")]
        filter: String,
        /// Show payloads
        #[arg(long)]
        payload: bool,
        /// Entries to show
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Who would get a message on a topic
    WhoGets { topic: String },
    /// End a client's connection; its session stays
    Kick { client_id: String },
    /// End a session with all it holds
    EndSession { client_id: String },
    /// Delete the retained message of a topic
    DeleteRetained { topic: String },
    /// Publish a message
    Publish {
        topic: String,
        payload: String,
        #[arg(long, default_value_t = 0)]
        qos: u8,
        #[arg(long)]
        retain: bool,
        /// A User Property, name=value
        #[arg(long, value_name = "NAME=VALUE")]
        property: Vec<String>,
    },
    /// Follow messages from now on, step by step
    Trace {
        /// What this client publishes, and what is for it
        #[arg(long)]
        client: Option<String>,
        /// Messages on topics that match this filter
        #[arg(long)]
        topic: Option<String>,
        /// Messages with this User Property
        #[arg(long, value_name = "NAME=VALUE")]
        property: Option<String>,
        /// Messages with this Correlation Data
        #[arg(long)]
        correlation: Option<String>,
        /// Show payloads
        #[arg(long)]
        payload: bool,
        /// End after so many steps
        #[arg(long)]
        steps: Option<u64>,
    },
    /// Let nobody in and send clients elsewhere, or see how far that is
    Drain {
        /// Where MQTT 5.0 clients are sent
        #[arg(long, value_name = "SERVER")]
        to: Option<String>,
        /// They are to stay there
        #[arg(long)]
        for_good: bool,
        /// Clients asked to leave in one second
        #[arg(long)]
        clients_per_s: Option<u64>,
        /// Milliseconds that exchanges under way may take
        #[arg(long)]
        grace_ms: Option<u64>,
        /// Come back once no client is connected
        #[arg(long)]
        wait: bool,
        /// Only tell how far it is
        #[arg(long, conflicts_with_all = ["to", "for_good", "clients_per_s", "grace_ms", "wait", "end"])]
        show: bool,
        /// Let clients in again
        #[arg(long, conflicts_with_all = ["to", "for_good", "clients_per_s", "grace_ms", "wait"])]
        end: bool,
    },
    /// Who is kept out
    Bans,
    /// Keep an address, or one user from there, out
    Ban {
        address: String,
        #[arg(long)]
        user: Option<String>,
        /// For how long, at most a week
        #[arg(long, default_value_t = 3600)]
        seconds: u32,
    },
    /// Let somebody in again
    Unban {
        address: String,
        #[arg(long)]
        user: Option<String>,
    },
    /// Write a backup of this moment, to a file or the standard output
    Backup { file: Option<PathBuf> },
    /// Read settings, listeners, certificates, users, rules and tokens again
    Reload,
    /// Show or change what is logged
    LogLevel { level: Option<String> },
}

#[derive(Debug, Args)]
pub struct List {
    /// A part of the name
    #[arg(long)]
    pub contains: Option<String>,
    /// Entries to show
    #[arg(long, default_value_t = 100)]
    pub limit: usize,
}

/// What the exit codes mean, for help and manual.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the broker could not do it, or `ready` found that it is not
  2  the command line or the configuration is wrong
  3  the broker does not answer
  4  the token is missing, unknown or not enough
  5  there is no such client, session, topic or message";

/// Asks the broker that this configuration is of.
pub fn run(options: &Options, config: &Config) -> ExitCode {
    let asked = Client::new(options, config).and_then(|client| requests::run(&client, options));
    match asked {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("vowmq: {}", print::plain(&failure.to_string()));
            ExitCode::from(failure.code())
        }
    }
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Refused { status: 401 | 403, .. } => 4,
            Self::Refused { status: 404, .. } => 5,
            Self::Refused { .. } | Self::Output(_) | Self::Incomplete(_) => 1,
            Self::Usage(_) => 2,
            Self::Silent { .. } => 3,
        }
    }
}

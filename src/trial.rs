//! `vowmq access`: what the access rules say to one question, and which of them says it (floor 4).
use crate::access::{Decided, Rights, Rules, Subject, Verdict};
use crate::broker::AccessFile;
use crate::config::Config;
use crate::types::{Attributes, ClientId, Identity, QoS, Text, TopicFilter, TopicName};
use clap::{Args, Subcommand, ValueEnum};
use std::net::IpAddr;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ask whether a client may publish or subscribe, and which rule decides. Exit code 0 is yes, 1 is no
    Test(Question),
}

#[derive(Debug, Clone, Args)]
pub struct Question {
    /// Without it the client is anonymous
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    #[arg(long, value_name = "NAME", default_value = "test")]
    client_id: String,
    /// A group of the user; may be there several times
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,
    /// The name in the client's certificate
    #[arg(long, value_name = "NAME")]
    certificate: Option<String>,
    /// Where the client is
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// A claim of the client's token; may be there several times
    #[arg(long, value_name = "NAME=VALUE")]
    claim: Vec<String>,
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// With the RETAIN flag
    #[arg(long)]
    retain: bool,
    action: Action,
    /// A Topic Name to publish to, or a Topic Filter to subscribe with
    topic: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Action {
    Publish,
    Subscribe,
}

/// The answer is no.
const EXIT_DENIED: u8 = 1;
/// The question, or the rules, are wrong.
const EXIT_USAGE: u8 = 2;

pub fn run(command: &Command, config: &Config) -> ExitCode {
    let Command::Test(question) = command;
    let file = AccessFile::configured(&config.access);
    let answered = read(file.as_ref()).and_then(|rules| question.verdict(&rules));
    match answered {
        Ok((verdict, rights)) => {
            println!("{}", tell(verdict, question, file.as_ref()));
            for place in rights.left_out() {
                println!(
                    "{place} does not count: a name with a wildcard, a slash or a control character is in its way"
                );
            }
            if verdict.is_allowed { ExitCode::SUCCESS } else { ExitCode::from(EXIT_DENIED) }
        }
        Err(why) => {
            eprintln!("vowmq: {why}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn read(file: Option<&AccessFile>) -> Result<Rules, String> {
    file.map_or(Ok(Rules::open()), |file| file.read().map_err(|error| error.to_string()))
}

impl Question {
    fn verdict(&self, rules: &Rules) -> Result<(Verdict, Rights), String> {
        let client_id = ClientId::new(&text("--client-id", &self.client_id)?).ok_or("--client-id: it is empty")?;
        let identity = self.identity()?;
        let rights = rules.rights(Subject { identity: &identity, client_id: &client_id });
        let (topic, qos) = (&self.topic, QoS::from_bits(self.qos).unwrap_or(QoS::ExactlyOnce));
        let verdict = match self.action {
            Action::Publish => {
                let topic = TopicName::try_from(topic.as_str());
                let topic = topic.map_err(|_| format!("\"{}\" is no topic to publish to", self.topic))?;
                rights.publish(&topic, qos, self.retain)
            }
            Action::Subscribe => {
                let filter = TopicFilter::try_from(topic.as_str());
                rights.subscribe(&filter.map_err(|_| format!("\"{topic}\" is no topic filter"))?)
            }
        };
        Ok((verdict, rights))
    }

    fn identity(&self) -> Result<Identity, String> {
        let optional = |flag, name: &Option<String>| name.as_ref().map(|name| text(flag, name)).transpose();
        let claims = self.claim.iter().map(|claim| {
            let (name, value) = claim.split_once('=').ok_or_else(|| format!("--claim: \"{claim}\" has no ="))?;
            Ok((name.to_owned(), value.to_owned()))
        });
        let attributes = Attributes {
            groups: self.group.iter().map(|group| text("--group", group)).collect::<Result<_, _>>()?,
            claims: claims.collect::<Result<_, String>>()?,
            certificate: optional("--certificate", &self.certificate)?,
            expires_at_ms: None,
        };
        let user = optional("--user", &self.user)?;
        Ok(Identity { user, address: self.address, ..Identity::default() }.with(attributes))
    }
}

fn text(flag: &str, name: &str) -> Result<Text, String> {
    Text::try_from(name).map_err(|_| format!("{flag}: {name:?} is no MQTT text"))
}

fn tell(verdict: Verdict, question: &Question, file: Option<&AccessFile>) -> String {
    let word = if verdict.is_allowed { "allowed" } else { "denied" };
    let file = file.map(|file| file.path().display().to_string()).unwrap_or_default();
    let why = match verdict.decided {
        Decided::By(place) => format!("by {place} of {file}"),
        Decided::ByPartOf(place) => format!("by {place} of {file}, which denies a part of it"),
        Decided::ByNone => format!("no rule of {file} allows all of it"),
        Decided::WithoutRules => "there are no access rules".to_owned(),
        Decided::Internal => "$SYS belongs to the broker".to_owned(),
    };
    let is_limited = verdict.is_allowed && u32::from(question.qos) > verdict.qos_max as u32;
    let limit = if is_limited { format!(", with QoS {} at most", verdict.qos_max as u8) } else { String::new() };
    format!("{word}: {why}{limit}")
}

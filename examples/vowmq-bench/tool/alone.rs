//! One case that is not about load alone, with one broker.
use super::brokers::{Broker, Kind};
use super::cases::Figure;
use super::clock::Clock;
use super::problem::{Problem, Tried, Trying};
use super::report::number;
use super::scenario::Stage;
use super::work::{Scene, Work};
use std::time::Duration;

#[derive(Debug, Clone, clap::Args)]
pub struct Arguments<T: clap::Args> {
    #[command(flatten)]
    what: T,
    /// The broker to start
    #[arg(long, value_enum, default_value = "vowmq")]
    broker: Kind,
    /// Seconds to measure, where that is not over when it is done
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl<T: clap::Args> Arguments<T> {
    /// Whether everything was as it should be.
    pub fn run(self, work: impl Fn(T) -> Work, figures: &[Figure], stage: &Stage) -> Tried<bool> {
        let work = work(self.what);
        if !work.is_for(self.broker) {
            return Err(Problem::new(format!("{} cannot do that", self.broker.name())));
        }
        let program = self.broker.program(&stage.vowmq);
        let program = program.ok_or_else(|| Problem::new(format!("there is no {} on PATH", self.broker.name())))?;
        let cpus = stage.place.broker();
        let broker = Broker::start(self.broker, &program, cpus.as_deref(), &stage.directory)?;
        stage.place.bind_tool()?;
        let outcome = work.play(&Scene {
            broker: &broker,
            program: &program,
            cpus: cpus.as_deref(),
            directory: &stage.directory,
            clock: Clock::start(),
            tag: format!("run-{}", std::process::id()),
            measured: Duration::from_secs_f64(self.seconds),
        })?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&outcome).trying(|| "writing JSON".to_owned())?);
        } else {
            for (figure, value) in figures.iter().zip(&outcome.values) {
                println!("{} {} {}", figure.name, number(*value), figure.unit);
            }
            println!("{}", outcome.faults);
        }
        Ok(outcome.is_sound)
    }
}

//! One run: warm up, measure, stop, wait for what is under way, and sum up.
use super::checker::Faults;
use super::clock::Clock;
use super::engine::Engine;
use super::plan::Plan;
use super::probe::{Usage, tool_processor_time};
use super::problem::Tried;
use serde::Serialize;
use std::time::Duration;
use vowmq::types::QoS;

/// How long a run measures.
#[derive(Debug, Clone, Copy)]
pub enum Length {
    For {
        warm: Duration,
        measured: Duration,
    },
    /// Until everything there is to send has arrived.
    UntilDone,
}

/// What a run found.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// Deliveries per second, or publishes where nobody subscribes.
    pub rate: f64,
    pub published_per_s: f64,
    pub seconds: f64,
    /// Deliveries in all, warming up and draining included.
    pub received: u64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub max_us: f64,
    /// Processor time of the broker and of the tool for one message.
    pub broker_us_per_message: f64,
    pub tool_us_per_message: f64,
    pub rss_mib: f64,
    pub faults: Faults,
    /// Whether nothing was doubled, damaged or out of order, and nothing lost above QoS 0.
    pub is_sound: bool,
}

/// Nothing arrives for so long: messages on their way are taken for lost, and publishers go on.
const STALL: Duration = Duration::from_secs(1);
/// At the end, how long silence has to last before what misses is lost.
const QUIET_AT_MOST_ONCE: Duration = Duration::from_millis(700);
const QUIET: Duration = Duration::from_secs(10);

/// Drives an engine whose clients are all there.
pub fn run(engine: &mut Engine, plan: &Plan, length: Length, clock: Clock, usage: &Usage) -> Tried<Found> {
    let begun = clock.now_ns();
    let spins = plan.spins || plan.rate.is_some();
    let (warm, measured) = match length {
        Length::For { warm, measured } => (warm, measured),
        Length::UntilDone => (Duration::ZERO, Duration::from_secs(86_400)),
    };
    let from = begun + nanos(warm);
    let until = from + nanos(measured);
    engine.ledger.measured = from..until;
    engine.begin(begun);
    while clock.now_ns() < from {
        turn(engine, clock, spins)?;
    }
    let before = (usage.processor_time(), tool_processor_time());
    let expected = expectation(engine, plan);
    while clock.now_ns() < until {
        turn(engine, clock, spins)?;
        if matches!(length, Length::UntilDone) && is_done(engine, plan, expected) {
            break;
        }
    }
    let after = (usage.processor_time(), tool_processor_time());
    let last = engine.last_progress_ns();
    let ended = if matches!(length, Length::UntilDone) { last } else { clock.now_ns().min(until) };
    engine.stop_publishing();
    drain(engine, plan, clock)?;
    let elapsed = Duration::from_nanos(ended.saturating_sub(from).max(1));
    let taken = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    Ok(sum_up(engine, plan, elapsed, taken, usage))
}

fn turn(engine: &mut Engine, clock: Clock, spins: bool) -> Tried<()> {
    engine.turn(clock, spins)?;
    if clock.now_ns().saturating_sub(engine.last_progress_ns()) > nanos(STALL) {
        engine.forgive();
    }
    Ok(())
}

/// Deliveries after which a run that is to be done is done; none known while publishers are at it.
fn expectation(engine: &Engine, plan: &Plan) -> u64 {
    if plan.count < u32::MAX {
        return u64::from(plan.count) * plan.tally_streams().len() as u64;
    }
    engine.ledger.lost(&plan.tally_streams())
}

fn is_done(engine: &Engine, plan: &Plan, expected: u64) -> bool {
    engine.is_settled() && (plan.copies() == 0 || engine.ledger.arrivals_in_all >= expected)
}

/// Waits until everything has come, or nothing comes any more.
fn drain(engine: &mut Engine, plan: &Plan, clock: Clock) -> Tried<()> {
    let quiet = nanos(if plan.qos == QoS::AtMostOnce { QUIET_AT_MOST_ONCE } else { QUIET });
    let tally_streams = plan.tally_streams();
    let begun = clock.now_ns();
    while clock.now_ns().saturating_sub(engine.last_progress_ns().max(begun)) < quiet {
        if engine.is_settled() && engine.ledger.lost(&tally_streams) == 0 {
            break;
        }
        engine.turn(clock, false)?;
    }
    Ok(())
}

fn sum_up(engine: &Engine, plan: &Plan, elapsed: Duration, taken: (Duration, Duration), usage: &Usage) -> Found {
    let ledger = &engine.ledger;
    let lost = ledger.lost(&plan.tally_streams());
    let faults = Faults { lost, refused: engine.refused(), ..ledger.faults };
    let seconds = elapsed.as_secs_f64();
    let messages = if plan.copies() == 0 { engine.published() } else { ledger.arrivals };
    let each = |taken: Duration| taken.as_secs_f64() * 1e6 / messages.max(1) as f64;
    let age = |quantile| micros(ledger.ages.value_at_quantile(quantile));
    Found {
        rate: messages as f64 / seconds,
        published_per_s: engine.published() as f64 / seconds,
        seconds,
        received: ledger.arrivals_in_all,
        p50_us: age(0.5),
        p99_us: age(0.99),
        p999_us: age(0.999),
        max_us: micros(ledger.ages.max()),
        broker_us_per_message: each(taken.0),
        tool_us_per_message: each(taken.1),
        rss_mib: usage.resident_mib(),
        faults,
        is_sound: faults.is_sound(plan.qos == QoS::AtMostOnce),
    }
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

//! The house's clockwork: deadlines of absent clients, `$SYS`, and what became of messages that were dropped.
use super::Shared;
use crate::broker::{Broker, DENIED, REFUSED, Surroundings};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep};

/// How often the log tells of dropped messages.
const DROP_LOG: Duration = Duration::from_secs(60);

/// How often the memory of the process is looked at.
const MEMORY_LOOK: Duration = Duration::from_millis(100);

/// Runs until told to stop. `sys_interval_s` of 0 publishes no `$SYS`; it may change.
pub(super) async fn run(
    shared: Arc<Shared>,
    mut sys_interval_s: watch::Receiver<u64>,
    mut stopped: watch::Receiver<bool>,
) {
    let (broker, clock) = (&shared.broker, &shared.clock);
    let every = |seconds: u64| interval(Duration::from_secs(seconds.max(1)));
    let mut seconds = *sys_interval_s.borrow_and_update();
    let mut sys = every(seconds);
    let mut drop_log = interval_at(Instant::now() + DROP_LOG, DROP_LOG);
    drop_log.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut memory = interval(MEMORY_LOOK);
    memory.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = clock.now();
        broker.handle_timeouts(now);
        let until_next =
            broker.next_timeout().map_or(Duration::from_secs(3600), |at| Duration::from_millis(now.millis_until(at)));
        tokio::select! {
            () = sleep(until_next) => {}
            () = poll_fn(|context| broker.poll_earlier_timeout(context)) => {}
            () = poll_fn(|context| broker.counters.drops.poll_lost(context)) => broker.publish_dead_letters(clock.now()),
            Ok(()) = sys_interval_s.changed() => {
                seconds = *sys_interval_s.borrow_and_update();
                sys = every(seconds);
            }
            _ = sys.tick(), if seconds > 0 => broker.publish_sys(surroundings(&shared), clock.now()),
            _ = drop_log.tick() => log_drops(broker),
            _ = memory.tick() => broker.note_memory(crate::machine::resident_bytes().unwrap_or(0)),
            _ = stopped.changed() => break,
        }
    }
    broker.publish_dead_letters(clock.now());
    log_drops(broker);
}

fn surroundings(shared: &Shared) -> Surroundings {
    let resident_bytes = crate::machine::resident_bytes().unwrap_or(0);
    Surroundings { started: shared.clock.started_at(), resident_bytes }
}

/// One line for each session and reason, so that no drop is silent and no flood of them floods the log.
fn log_drops(broker: &Broker) {
    let gathered = broker.counters.drops.take_gathered();
    for line in gathered.lines() {
        let (client_id, topic) = (line.client_id.as_str(), line.example.as_str());
        let (reason, messages) = (line.reason, line.messages);
        if reason == REFUSED {
            tracing::warn!(client_id, messages, topic, "publishes were refused, as this session has no room for them");
        } else if reason == DENIED {
            tracing::warn!(client_id, messages, topic, "publishes were denied by the access rules");
        } else {
            tracing::warn!(client_id, reason, messages, topic, "messages were dropped");
        }
    }
    if gathered.others() > 0 {
        broker.counters.drops_unnamed.add(gathered.others());
        tracing::warn!(messages = gathered.others(), "messages of further sessions were dropped");
    }
}

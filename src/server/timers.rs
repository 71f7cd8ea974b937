//! The house's clockwork: deadlines of absent clients, and `$SYS`.
use super::Shared;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Runs until told to stop. `sys_interval_s` of 0 publishes no `$SYS`.
pub(super) async fn run(shared: Arc<Shared>, sys_interval_s: u64, mut stopped: watch::Receiver<bool>) {
    let broker = &shared.broker;
    let mut sys = tokio::time::interval(Duration::from_secs(sys_interval_s.max(1)));
    loop {
        let now = shared.clock.now();
        broker.handle_timeouts(now);
        let until_next =
            broker.next_timeout().map_or(Duration::from_secs(3600), |at| Duration::from_millis(now.millis_until(at)));
        tokio::select! {
            () = tokio::time::sleep(until_next) => {}
            () = poll_fn(|context| broker.poll_earlier_timeout(context)) => {}
            _ = sys.tick(), if sys_interval_s > 0 => broker.publish_sys(shared.clock.started_at(), shared.clock.now()),
            _ = stopped.changed() => return,
        }
    }
}

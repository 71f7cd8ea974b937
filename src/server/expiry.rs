//! Certificates that are about to end are told of in time.
use super::doors::Doors;
use crate::tls::Guard;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

const DAY: Duration = Duration::from_secs(86_400);
/// Days before the end from which on the log warns, once a day.
const WARN_DAYS: i64 = 30;

/// Warns once a day until told to stop.
pub(super) async fn watch(doors: Arc<Doors>, mut stopped: watch::Receiver<bool>) {
    let mut days = tokio::time::interval(DAY);
    loop {
        tokio::select! {
            _ = days.tick() => doors.guards().iter().for_each(|guard| warn(guard)),
            _ = stopped.changed() => return,
        }
    }
}

fn warn(guard: &Guard) {
    let Some(left) = days_left(guard, SystemTime::now()) else { return };
    let certificate = guard.name();
    if left < 0 {
        tracing::error!(certificate, "the certificate has expired; clients that check it are refused by themselves");
    } else if left < WARN_DAYS {
        tracing::warn!(certificate, days = left, "the certificate expires soon; put a new one in its place");
    }
}

/// Whole days until the first of a listener's certificates ends.
pub(super) fn days_left(guard: &Guard, now: SystemTime) -> Option<i64> {
    let now = now.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_secs()).ok())?;
    guard.expires_at_s().map(|at| (at - now).div_euclid(86_400))
}

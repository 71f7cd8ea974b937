//! The listeners at work, and how they come, change and go while the broker runs.
use super::binding::{self, Bound};
use super::inherited::Inherited;
use super::listeners::Ending;
use super::peer::Entrance;
use super::{ServerError, Shared};
use crate::config::Listener;
use crate::identity::Authenticators;
use crate::tls::{Guard, Life};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

/// What came of one thing that was read again: its name, and whether it is different now, or why it stays as it was.
pub(super) type Outcome = (String, Result<bool, String>);

pub(super) struct Doors {
    shared: Arc<Shared>,
    authenticators: Arc<Authenticators>,
    /// TLS of others than MQTT clients.
    others: Vec<Arc<Guard>>,
    /// Users: reloads and the broker's end (to change it), whoever looks at certificates. Held until sockets that are to
    /// be closed are.
    inner: Mutex<Inner>,
}

struct Inner {
    doors: Vec<Door>,
    /// The accept loops; `None` once the broker ends.
    tasks: Option<JoinSet<()>>,
}

/// One listener.
struct Door {
    settings: Listener,
    entrance: Arc<ArcSwap<Entrance>>,
    ending: watch::Sender<Ending>,
    /// Told when its socket is closed.
    closed: oneshot::Receiver<()>,
}

impl Doors {
    /// Listens at all addresses that were taken.
    pub fn open(
        shared: Arc<Shared>,
        authenticators: Arc<Authenticators>,
        bound: Vec<Bound>,
        others: Vec<Arc<Guard>>,
    ) -> Result<Arc<Self>, ServerError> {
        let mut inner = Inner { doors: Vec::new(), tasks: Some(JoinSet::new()) };
        bound.into_iter().try_for_each(|bound| inner.open(&shared, bound))?;
        Ok(Arc::new(Self { shared, authenticators, others, inner: Mutex::new(inner) }))
    }

    /// The TLS of all listeners that have it, and of others.
    pub fn guards(&self) -> Vec<Arc<Guard>> {
        let inner = self.inner.lock();
        let own = inner.doors.iter().filter_map(|door| door.entrance.load().tls.clone());
        own.chain(self.others.iter().cloned()).collect()
    }

    /// Until when the certificates of each listener are good, by its name.
    pub fn certificates(&self) -> Vec<(String, Vec<Life>)> {
        let inner = self.inner.lock();
        let own = inner.doors.iter().filter_map(|door| {
            let entrance = door.entrance.load();
            entrance.tls.as_ref().map(|guard| (entrance.name.to_string(), guard.lives()))
        });
        own.chain(self.others.iter().map(|guard| (guard.place().to_owned(), guard.lives()))).collect()
    }

    /// The listeners at work.
    pub fn settings(&self) -> Vec<Listener> {
        self.inner.lock().doors.iter().map(|door| door.settings.clone()).collect()
    }

    /// Opens, changes and closes listeners until they are as wanted. One whose address stays is never closed, and its
    /// connections are not touched. As long as a new one cannot be opened none is closed, so that a mistake in an
    /// address does not lock everybody out. Waits for sockets; to be called where there is a runtime, and not in a task.
    pub fn change(&self, wanted: &[Listener], packet_bytes_max: usize) -> Vec<Outcome> {
        let mut inner = self.inner.lock();
        let mut told = inner.change_those_that_stay(wanted, &self.authenticators, packet_bytes_max);
        let is_there = |listener: &Listener, inner: &Inner| {
            inner.doors.iter().any(|door| door.settings.to_string() == listener.to_string())
        };
        let mut has_failed = false;
        let added: Vec<_> = wanted.iter().filter(|listener| !is_there(listener, &inner)).collect();
        for listener in added {
            // The wildcard address and others of the same port shut each other out.
            let ports = |door: &Door| door.settings.address.map(|address| address.port());
            let rival = listener.address.map(|address| address.port());
            let is_in_the_way = |door: &Door| rival.is_some() && ports(door) == rival && !is_wanted(door, wanted);
            let result = match self.add(listener, &mut inner, packet_bytes_max) {
                Err(_) if inner.doors.iter().any(is_in_the_way) => {
                    told.extend(inner.remove(is_in_the_way));
                    self.add(listener, &mut inner, packet_bytes_max)
                }
                result => result,
            };
            has_failed |= result.is_err();
            told.extend(result.map_or_else(|why| Some(Err(why)), |is_open| is_open.then_some(Ok(true))).map(
                |result| {
                    let what = if result.is_ok() { "opened" } else { "not opened" };
                    (format!("listener {listener} {what}"), result)
                },
            ));
        }
        if has_failed {
            let kept = inner.doors.iter().filter(|door| !is_wanted(door, wanted));
            let why = "it is kept open, as another listener could not be opened";
            told.extend(kept.map(|door| (format!("listener {} not closed", door.settings), Err(why.to_owned()))));
        } else {
            told.extend(inner.remove(|door| !is_wanted(door, wanted)));
        }
        told
    }

    /// False if this machine cannot have it, and need not.
    fn add(&self, listener: &Listener, inner: &mut Inner, packet_bytes_max: usize) -> Result<bool, String> {
        if inner.tasks.is_none() {
            return Err("the broker ends".to_owned());
        }
        let entrance = Entrance::open(listener, &self.authenticators, packet_bytes_max)?;
        let bound = binding::bind_one(listener, entrance, &mut Inherited::default());
        match bound.and_then(|bound| inner.open(&self.shared, bound)) {
            Ok(()) => Ok(true),
            Err(ServerError::Bind { source, .. }) if binding::is_without_ipv6(listener, &source) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Tells all listeners that the broker ends; the tasks end when their last connection has.
    pub fn close(&self) -> JoinSet<()> {
        let mut inner = self.inner.lock();
        for door in &inner.doors {
            door.ending.send_replace(Ending::Shutdown);
        }
        inner.tasks.take().unwrap_or_default()
    }
}

fn is_wanted(door: &Door, wanted: &[Listener]) -> bool {
    wanted.iter().any(|listener| listener.to_string() == door.settings.to_string())
}

impl Inner {
    fn open(&mut self, shared: &Arc<Shared>, bound: Bound) -> Result<(), ServerError> {
        let settings = bound.settings.clone();
        let open = bound.listen()?;
        let entrance = open.entrance.clone();
        let (ending, ends) = watch::channel(Ending::Open);
        let (is_closed, closed) = oneshot::channel();
        if let Some(tasks) = &mut self.tasks {
            while tasks.try_join_next().is_some() {}
            tasks.spawn(open.accept(shared.clone(), ends, is_closed));
            self.doors.push(Door { settings, entrance, ending, closed });
        }
        Ok(())
    }

    fn change_those_that_stay(
        &mut self,
        wanted: &[Listener],
        authenticators: &Authenticators,
        packet_bytes_max: usize,
    ) -> Vec<Outcome> {
        let mut told = Vec::new();
        for door in &mut self.doors {
            let name = door.settings.to_string();
            let Some(to) = wanted.iter().find(|listener| listener.to_string() == name) else { continue };
            let result = door.change(to, authenticators, packet_bytes_max);
            if result != Ok(false) {
                told.push((format!("listener {name}"), result));
            }
        }
        told
    }

    /// Closes listeners and waits until their sockets are closed. Their connections are asked to leave.
    fn remove(&mut self, is_gone: impl Fn(&Door) -> bool) -> Vec<Outcome> {
        let (gone, stay) = std::mem::take(&mut self.doors).into_iter().partition::<Vec<_>, _>(is_gone);
        self.doors = stay;
        let closed = gone.into_iter().map(|door| {
            door.ending.send_replace(Ending::Removed);
            // An error is a loop that is over already.
            let _ = door.closed.blocking_recv();
            (format!("listener {} closed", door.settings), Ok(true))
        });
        closed.collect()
    }
}

impl Door {
    /// Whether anything is different for those who come from now on.
    fn change(
        &mut self,
        to: &Listener,
        authenticators: &Authenticators,
        packet_bytes_max: usize,
    ) -> Result<bool, String> {
        let before = self.entrance.load_full();
        let entrance = before.changed(&self.settings, to, authenticators, packet_bytes_max)?;
        if *to == self.settings && entrance.websocket == before.websocket {
            return Ok(false);
        }
        if let Some(path) = to.unix.as_ref().filter(|_| to.unix_mode != self.settings.unix_mode) {
            let mode = to.unix_mode.as_deref().ok_or("listener.unix_mode: it can be changed, but not be left out")?;
            binding::set_mode(path, Some(mode)).map_err(|error| format!("listener.unix_mode: {error}"))?;
        }
        self.entrance.store(Arc::new(entrance));
        self.settings = to.clone();
        Ok(true)
    }
}

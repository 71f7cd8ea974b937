//! The connections of one listener.
use parking_lot::Mutex;
use slab::Slab;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// The connections that came through a listener and are there. Only its accept loop lets anybody in.
#[derive(Debug, Clone, Default)]
pub(super) struct Room(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The task of each, once it is known. Users: the accept loop, connections that end. Held for an entry.
    tasks: Mutex<Slab<Option<AbortHandle>>>,
    left: Notify,
}

/// A connection's place; dropping it makes room.
#[derive(Debug)]
pub(super) struct Place {
    room: Room,
    number: usize,
}

/// Ends all connections of a room that are left when it is dropped.
#[derive(Debug)]
pub(super) struct Cut(pub Room);

impl Room {
    /// `at_most` of 0 sets no limit.
    pub fn enter(&self, at_most: usize) -> Option<Place> {
        let mut tasks = self.0.tasks.lock();
        if at_most > 0 && tasks.len() >= at_most {
            return None;
        }
        let number = tasks.insert(None);
        Some(Place { room: self.clone(), number })
    }

    /// Runs a connection that has a place; `serve` holds it until its end.
    pub fn spawn<F: Future<Output = ()> + Send + 'static>(&self, place: Place, serve: impl FnOnce(Place) -> F) {
        let number = place.number;
        let task = tokio::spawn(serve(place)).abort_handle();
        // One that is over already has left.
        if let Some(held) = self.0.tasks.lock().get_mut(number) {
            *held = Some(task);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.tasks.lock().is_empty()
    }

    /// Waits until the last connection leaves.
    pub async fn left(&self) {
        self.0.left.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut tasks = self.room.0.tasks.lock();
        let task = tasks.try_remove(self.number);
        let is_last = tasks.is_empty();
        drop(tasks);
        drop(task);
        if is_last {
            self.room.0.left.notify_one();
        }
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        let tasks: Vec<_> = self.0.0.tasks.lock().iter().filter_map(|(_, task)| task.clone()).collect();
        tasks.iter().for_each(AbortHandle::abort);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[test]
    fn it_lets_in_as_many_as_there_may_be() {
        let room = Room::default();
        let (first, second) = (room.enter(2), room.enter(2));
        assert!(first.is_some() && second.is_some() && room.enter(2).is_none());
        assert!(room.enter(0).is_some());
        drop(first);
        assert!(room.enter(2).is_some());
    }

    #[tokio::test]
    async fn those_who_are_left_at_the_end_are_cut() {
        let room = Room::default();
        let cut = Cut(room.clone());
        for _ in 0..3 {
            let place = room.enter(0).unwrap();
            room.spawn(place, |place| async move {
                let _place = place;
                pending::<()>().await;
            });
        }
        let place = room.enter(0).unwrap();
        room.spawn(place, |place| async move { drop(place) });
        assert!(!room.is_empty());
        drop(cut);
        room.left().await;
        assert!(room.is_empty());
    }
}

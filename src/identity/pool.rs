//! Threads for what takes long: hashing passwords and asking web services. Messages never wait for them.
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// A few threads and a line of jobs before them. When the line is full, further jobs are refused.
#[derive(Debug)]
pub(super) struct Pool {
    line: Arc<Line>,
}

struct Line {
    /// Users: whoever adds a job, and the threads that take one.
    state: Mutex<State>,
    changed: Condvar,
    queue_max: usize,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    is_over: bool,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Line").field("queue_max", &self.queue_max).finish_non_exhaustive()
    }
}

/// The line is full, or the threads could not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Busy;

impl Pool {
    pub fn start(name: &str, threads: usize, queue_max: usize) -> std::io::Result<Self> {
        let line = Arc::new(Line { state: Mutex::default(), changed: Condvar::new(), queue_max });
        // Made first, so that threads which have started end again if another one cannot.
        let pool = Self { line: line.clone() };
        for _ in 0..threads {
            let line = line.clone();
            std::thread::Builder::new().name(name.to_owned()).spawn(move || line.work())?;
        }
        Ok(pool)
    }

    /// Has `work` done by one of the threads. It is left undone if nobody waits for it any more when its turn comes.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let (answer, answered) = oneshot::channel();
        let job = move || {
            if !answer.is_closed() {
                // Nobody may wait for it any more when it is done.
                let _ = answer.send(work());
            }
        };
        self.line.add(Box::new(job))?;
        answered.await.map_err(|_| Busy)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.line.state.lock();
        state.is_over = true;
        state.jobs.clear();
        self.line.changed.notify_all();
    }
}

impl Line {
    fn add(&self, job: Job) -> Result<(), Busy> {
        let mut state = self.state.lock();
        if state.jobs.len() >= self.queue_max {
            return Err(Busy);
        }
        state.jobs.push_back(job);
        self.changed.notify_one();
        Ok(())
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            // One login that goes wrong in an unforeseen way must not take the thread from all others.
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("a login could not be checked because of a fault in the broker");
            }
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if state.is_over {
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            self.changed.wait(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn jobs_beyond_the_line_are_refused_and_a_fault_costs_one_job_only() {
        let pool = Pool::start("test", 1, 1).expect("a thread can be started");
        let (begun, has_begun) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let first = pool.run(move || {
            begun.send(()).expect("the test waits");
            may_go.recv().is_ok()
        });
        let mut first = std::pin::pin!(first);
        assert!(futures_pending(first.as_mut()).await);
        has_begun.recv().expect("the thread takes the first job");
        let mut second = std::pin::pin!(pool.run(|| panic!("a fault")));
        assert!(futures_pending(second.as_mut()).await);
        assert_eq!(pool.run(|| 3).await, Err(Busy));
        go.send(()).expect("the job waits");
        assert_eq!(first.await, Ok(true));
        assert_eq!(second.await.map(|(): ()| ()), Err(Busy));
        assert_eq!(pool.run(|| 4).await, Ok(4));
    }

    /// Polls once.
    async fn futures_pending<F: Future>(mut future: std::pin::Pin<&mut F>) -> bool {
        std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context).is_pending())).await
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_not_done() {
        let pool = Pool::start("test", 1, 8).expect("a thread can be started");
        let (go, may_go) = mpsc::channel::<()>();
        let mut first = std::pin::pin!(pool.run(move || may_go.recv().is_ok()));
        assert!(futures_pending(first.as_mut()).await);
        let (done, was_done) = mpsc::channel();
        {
            let mut given_up = std::pin::pin!(pool.run(move || done.send(()).is_ok()));
            assert!(futures_pending(given_up.as_mut()).await);
        }
        go.send(()).expect("the job waits");
        assert_eq!(first.await, Ok(true));
        assert_eq!(pool.run(|| ()).await, Ok(()));
        assert!(was_done.try_recv().is_err());
    }
}

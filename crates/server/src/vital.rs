//! Tasks without which a node only looks alive. Tokio keeps a panic to the task in which it happens. That is right for a
//! connection, and wrong for what all connections need: they would stay open and get nothing.

use std::future::{Future, pending};

use tokio::task::{JoinError, JoinSet};

/// Tasks of one thread, all of which are needed for as long as they have work.
#[derive(Debug, Default)]
pub(crate) struct Vital(JoinSet<()>);

impl Vital {
    /// Starts a task on this thread. Needs a `LocalSet` around it.
    pub(crate) fn spawn_local(&mut self, task: impl Future<Output = ()> + 'static) {
        self.0.spawn_local(task);
    }

    /// Starts a task on the runtime around it.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task);
    }

    /// Ends when a task has panicked. One whose work is done may end.
    pub(crate) async fn failed(&mut self) -> JoinError {
        loop {
            match self.0.join_next().await {
                Some(Err(error)) if error.is_panic() => return error,
                Some(_) => {}
                None => pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_told_and_an_end_is_not() {
        let mut vital = Vital::default();
        let hour = Duration::from_secs(3600);
        assert!(timeout(hour, vital.failed()).await.is_err(), "nothing has been started");
        vital.spawn(async {});
        vital.spawn(pending());
        assert!(timeout(hour, vital.failed()).await.is_err(), "nothing has panicked");
        vital.spawn(async { panic!("of all things") });
        let failed = timeout(hour, vital.failed()).await.expect("the panic is told");
        assert!(failed.to_string().contains("of all things"), "{failed}");
    }
}

//! An outbox that is written in turn with others (`turns.rs`), while its writer has nothing to do but to wait.

use std::io;
use std::rc::{Rc, Weak};

use super::{Entry, Outbox, Waits};
use crate::turns::{Direct, Sink, Turns};

impl Outbox {
    /// Has what comes from now on written to `sink` without waking the writer, as long as the writer has nothing to
    /// do but to wait for it.
    pub fn write_directly(self: &Rc<Self>, turns: &Rc<Turns>, sink: Weak<dyn Sink>) {
        let _ = self.direct.set(Box::new(Direct::new(self, turns, sink)));
    }

    /// Begins its turn: gives what to write to, if that is for the one to do who holds the turn.
    pub(crate) fn begin_turn(&self) -> Option<Rc<dyn Sink>> {
        let sink = self.direct.get()?.begin()?;
        let inner = self.inner.borrow();
        (inner.waits == Waits::More && !inner.backlog.is_empty()).then_some(sink)
    }

    /// What waits, if it is one thing that can be written as it is.
    pub(crate) fn only(&self) -> Option<Entry> {
        self.inner.borrow().backlog.only()
    }

    /// Writes what waits. Where that does not go at once, it is the writer's again.
    pub(crate) fn write_to(&self, sink: &dyn Sink) {
        while !self.is_empty() {
            if !matches!(self.write_with(|slices| sink.try_write(slices)), Ok(1..)) {
                return self.inner.borrow_mut().wake_writer();
            }
        }
    }

    /// So much of [`only`](Self::only) was written in its turn.
    pub(crate) fn written(&self, sink: &dyn Sink, written: &io::Result<usize>) {
        let mut inner = self.inner.borrow_mut();
        let Ok(written @ 1..) = written else { return inner.wake_writer() };
        self.advance(&mut inner, None, *written);
        drop(inner);
        self.write_to(sink);
    }
}

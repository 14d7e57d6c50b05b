//! Writing without waking anybody: outboxes whose sockets take what is written at once have it written by whoever
//! holds the turn, one after another. A task of its own for each write is what costs most of a small room's message.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use crate::outbox::Outbox;

/// Writes between two looks at what else the core has to do: a quarter of a millisecond.
const WRITES_MAX: usize = 64;

/// So many are written together; fewer cost as much one by one.
const TOGETHER_MIN: usize = 16;

/// Places kept for the next batch: 8 KiB a core. A large room's list is allocated for each message, which is little
/// beside its writes.
const KEPT_MAX: usize = 1024;

/// Where an outbox can be written to without waiting.
pub trait Sink {
    /// Writes as much as goes at once, and gives how much of it that was. An error, [`io::ErrorKind::WouldBlock`] among
    /// them, leaves what is to be done to the connection's own writer, which will meet it again.
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// What it writes to, if bytes can be written there as they are, without anything around them.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;
}

/// Writes to many at once, with less work for the kernel than if each were written to by itself.
pub trait Batch {
    /// Writes to each as much as goes at once. `written` gets for each how much that was, or why nothing was.
    fn write(&mut self, writes: &[(BorrowedFd<'_>, &[u8])], written: &mut Vec<io::Result<usize>>);
}

/// What an outbox needs to be written in turn.
pub(crate) struct Direct {
    /// Not kept open by those who still hold the outbox when the connection has ended.
    sink: Weak<dyn Sink>,
    turns: Rc<Turns>,
    outbox: Weak<Outbox>,
    /// It is among those that wait for a turn; it is there once at most.
    queued: Cell<bool>,
}

/// The outboxes of one core that have something to write: each of them once, so there are no more than connections.
#[derive(Default)]
pub struct Turns {
    waiting: RefCell<Vec<Rc<Outbox>>>,
    writer: RefCell<Option<Waker>>,
    /// Somebody fills the list who will see to it that it is written.
    held: Cell<bool>,
    batch: RefCell<Option<Box<dyn Batch>>>,
}

impl Direct {
    pub(crate) fn new(outbox: &Rc<Outbox>, turns: &Rc<Turns>, sink: Weak<dyn Sink>) -> Self {
        Self { sink, turns: Rc::clone(turns), outbox: Rc::downgrade(outbox), queued: Cell::new(false) }
    }

    /// Has the outbox written when it is its turn.
    #[inline]
    pub(crate) fn queue(&self) {
        if self.queued.replace(true) {
            return;
        }
        if let Some(outbox) = self.outbox.upgrade() {
            self.turns.queue(outbox);
        }
    }

    /// What to write to in the turn that begins with this.
    pub(crate) fn begin(&self) -> Option<Rc<dyn Sink>> {
        self.queued.set(false);
        self.sink.upgrade()
    }
}

impl fmt::Debug for Direct {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Direct").field("queued", &self.queued).finish_non_exhaustive()
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Turns").field("waiting", &self.waiting.borrow().len()).finish_non_exhaustive()
    }
}

impl Turns {
    fn queue(&self, outbox: Rc<Outbox>) {
        self.waiting.borrow_mut().push(outbox);
        if !self.held.get() {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(writer) = &*self.writer.borrow() {
            writer.wake_by_ref();
        }
    }

    /// Until the next [`write`](Self::write) nobody is woken for what is queued: the caller will call that.
    pub(crate) fn hold(&self) {
        self.held.set(true);
    }

    /// Writes what waits now, with a look at the rest of the core's work now and then.
    pub(crate) async fn write(&self) {
        self.held.set(false);
        let mut batch = self.waiting.take();
        for (index, outboxes) in batch.chunks(WRITES_MAX).enumerate() {
            if index > 0 {
                tokio::task::yield_now().await;
            }
            self.write_some(outboxes);
        }
        batch.clear();
        // The room for the next batch is kept, as long as nothing has been queued meanwhile.
        let mut waiting = self.waiting.borrow_mut();
        if waiting.is_empty() && batch.capacity() <= KEPT_MAX {
            *waiting = batch;
        }
    }

    fn write_some(&self, outboxes: &[Rc<Outbox>]) {
        let mut batch = self.batch.borrow_mut();
        let begun = outboxes.iter().filter_map(|outbox| Some((outbox, outbox.begin_turn()?)));
        let Some(batch) = batch.as_mut().filter(|_| outboxes.len() >= TOGETHER_MIN) else {
            return begun.for_each(|(outbox, sink)| outbox.write_to(&*sink));
        };
        let mut together = Vec::with_capacity(outboxes.len());
        for (outbox, sink) in begun {
            match outbox.only().filter(|_| sink.descriptor().is_some()) {
                Some(entry) => together.push((outbox, sink, entry)),
                None => outbox.write_to(&*sink),
            }
        }
        let mut writes = Vec::with_capacity(together.len());
        for (_, sink, entry) in &together {
            writes.extend(sink.descriptor().map(|descriptor| (descriptor, entry.bytes())));
        }
        let mut written = Vec::with_capacity(writes.len());
        batch.write(&writes, &mut written);
        for ((outbox, sink, _), written) in together.iter().zip(&written) {
            outbox.written(&**sink, written);
        }
    }

    /// Has what waits at the same time written together.
    pub fn write_together(&self, batch: Box<dyn Batch>) {
        self.batch.replace(Some(batch));
    }

    /// Writes what is queued while nobody holds the turn: replies to what clients have sent. Never ends.
    pub(crate) async fn keep_writing(&self) {
        loop {
            poll_fn(|context| self.poll_queued(context)).await;
            self.write().await;
        }
    }

    fn poll_queued(&self, context: &Context<'_>) -> Poll<()> {
        if !self.waiting.borrow().is_empty() && !self.held.get() {
            return Poll::Ready(());
        }
        let mut writer = self.writer.borrow_mut();
        if !writer.as_ref().is_some_and(|writer| writer.will_wake(context.waker())) {
            *writer = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;

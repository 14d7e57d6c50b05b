//! What waits to be written to one client: the second of the two queues through which data returns.
//!
//! An outbox belongs to one thread. Fan-out puts shared handles in, the connection's write loop takes
//! many of them out with one vectored write, and nobody else touches the socket.

mod direct;

use std::cell::{OnceCell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use roomcast_protocol::{Close, WireForm};

use crate::backlog::Backlog;
use crate::compression::Compressor;
use crate::overflow::{Lane, notice, tells};
use crate::speakers::Speakers;
use crate::stats::ShardStats;
use crate::turns::Direct;

/// What each queued entry is reckoned to cost besides its bytes, so that one bound in bytes also
/// bounds the number of entries.
pub const ENTRY_COST_BYTES: usize = 48;

/// Most entries in one vectored write: beyond this the kernel gains nothing.
const SLICES_MAX: usize = 64;
const SLICES_FEW: usize = 4;

/// Bytes on their way to one client.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A message of a room, shared with the other members on this core.
    Message(Rc<Bytes>),
    /// Something for this client alone: a reply, a pong.
    Reply(Bytes),
}

impl Entry {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Message(bytes) => bytes,
            Self::Reply(bytes) => bytes,
        }
    }
}

/// The queue is full: the client reads more slowly than its rooms speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow;

/// The queue of one client.
#[derive(Debug)]
pub struct Outbox {
    inner: RefCell<Inner>,
    bytes_max: usize,
    form: WireForm,
    /// For a client that takes compressed messages.
    compressor: OnceCell<Rc<Compressor>>,
    /// For a client whose socket can be written to without its writer.
    direct: OnceCell<Box<Direct>>,
    stats: Arc<ShardStats>,
}

#[derive(Debug)]
struct Inner {
    backlog: Backlog,
    /// Kept from one wait to the next: taking one and giving it back would be two atomic operations a message.
    writer: Option<Waker>,
    waits: Waits,
    speakers: Option<Box<Speakers>>,
    closing: Option<Box<Close>>,
    /// A message has been written since [`Outbox::take_progress`] was last asked.
    progress: bool,
}

/// What a writer wants to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    Nothing,
    More,
    /// The peer keeps it waiting: more to write is no news to it.
    End,
}

impl Outbox {
    /// A queue of up to `bytes_max` bytes. One entry is always taken into an empty queue, however
    /// large, so that the largest message of a room fits whatever the bound.
    pub fn new(bytes_max: usize, form: WireForm, stats: Arc<ShardStats>) -> Self {
        let inner = Inner {
            backlog: Backlog::new(bytes_max, tells(form)),
            writer: None,
            waits: Waits::Nothing,
            speakers: None,
            closing: None,
            progress: false,
        };
        Self {
            inner: RefCell::new(inner),
            bytes_max,
            form,
            compressor: OnceCell::new(),
            direct: OnceCell::new(),
            stats,
        }
    }

    /// Has messages of rooms compressed from now on: the client has agreed.
    pub fn compress_with(&self, compressor: &Rc<Compressor>) {
        let _ = self.compressor.set(Rc::clone(compressor));
    }

    pub(crate) fn compressor(&self) -> Option<&Compressor> {
        self.compressor.get().map(|compressor| &**compressor)
    }

    /// How its client wants messages.
    pub fn form(&self) -> WireForm {
        self.form
    }

    /// Queues an entry. After [`close`](Self::close) entries are dropped without an error: the
    /// client has been told that it gets no more.
    #[inline]
    pub fn push(&self, entry: Entry) -> Result<(), Overflow> {
        let mut inner = self.inner.borrow_mut();
        if inner.closing.is_some() {
            return Ok(());
        }
        let before = inner.backlog.cost();
        let result = inner.backlog.push(entry, &self.stats);
        self.reckon(before, inner.backlog.cost());
        self.wake(&mut inner);
        result
    }

    /// Queues a message of a room whose messages may be dropped, and the `id:` field that comes before it. `turn` is
    /// the shard's: between two of them writers have theirs.
    pub(crate) fn push_droppable(
        &self,
        lane: &Rc<Lane>,
        field: Option<Bytes>,
        message: Rc<Bytes>,
        turn: u32,
    ) -> Result<(), Overflow> {
        let mut inner = self.inner.borrow_mut();
        if inner.closing.is_some() {
            return Ok(());
        }
        let before = inner.backlog.cost();
        let result = inner.backlog.push_droppable(lane, field, message, turn, &self.stats);
        self.reckon(before, inner.backlog.cost());
        self.wake(&mut inner);
        result
    }

    /// Tells the client that so many messages of a room were dropped before they came here.
    pub(crate) fn count_dropped(&self, lane: &Rc<Lane>, count: u64) {
        let mut inner = self.inner.borrow_mut();
        if inner.closing.is_none() {
            inner.backlog.count_dropped(lane, count, &self.stats);
            self.wake(&mut inner);
        }
    }

    /// There is something to write, or the end.
    #[inline]
    fn wake(&self, inner: &mut Inner) {
        let ends = inner.closing.is_some();
        match (inner.waits, self.direct.get()) {
            (Waits::More, Some(direct)) if !ends => direct.queue(),
            (Waits::More, _) => inner.wake_writer(),
            (Waits::End, _) if ends => inner.wake_writer(),
            (Waits::Nothing | Waits::End, _) => {}
        }
        if ends {
            inner.wake_speakers();
        }
    }

    /// Counts what waits now in place of what waited before.
    fn reckon(&self, before: usize, now: usize) {
        self.stats.outbox_bytes.add((now as u64).wrapping_sub(before as u64));
    }

    /// Ends the conversation after everything that is queued. The first close wins.
    pub fn close(&self, close: Close) {
        let mut inner = self.inner.borrow_mut();
        inner.closing.get_or_insert_with(|| Box::new(close));
        self.wake(&mut inner);
    }

    /// Ends the conversation without what is queued, except for the rest of an entry that is
    /// partly written, which the peer could not do without.
    pub fn abort(&self, close: Close) {
        let mut inner = self.inner.borrow_mut();
        let before = inner.backlog.cost();
        inner.backlog.clear();
        self.reckon(before, inner.backlog.cost());
        inner.closing.get_or_insert_with(|| Box::new(close));
        self.wake(&mut inner);
    }

    /// Ready when there is something to write or the conversation is to end.
    pub fn poll_ready(&self, context: &Context<'_>) -> Poll<()> {
        self.poll_next(context).map(drop)
    }

    /// What a writer does next: write if it is `None`, or end like this. Waits while there is neither.
    #[inline]
    pub fn poll_next(&self, context: &Context<'_>) -> Poll<Option<Close>> {
        let mut inner = self.inner.borrow_mut();
        if !inner.backlog.is_empty() {
            return Poll::Ready(None);
        }
        if let Some(close) = &inner.closing {
            return Poll::Ready(Some(Close::clone(close)));
        }
        inner.wait(context, Waits::More);
        Poll::Pending
    }

    /// For a writer whom the peer keeps waiting: wakes it when the conversation is to end.
    pub fn wake_at_end(&self, context: &Context<'_>) {
        self.inner.borrow_mut().wait(context, Waits::End);
    }

    /// Waits until an entry of `bytes` fits and leaves half of the bound to others, or nothing waits at all, or the
    /// conversation is to end.
    pub async fn room(&self, bytes: usize) {
        let speaker = Speaker::new(self);
        poll_fn(|context| self.poll_room(context, bytes, speaker.number)).await;
    }

    fn poll_room(&self, context: &mut Context<'_>, bytes: usize, speaker: u32) -> Poll<()> {
        let mut inner = self.inner.borrow_mut();
        let fits = inner.backlog.cost() + bytes <= self.bytes_max / 2;
        if fits || inner.backlog.is_empty() || inner.closing.is_some() {
            return Poll::Ready(());
        }
        inner.speakers.get_or_insert_default().wait(speaker, context.waker());
        Poll::Pending
    }

    /// How to end, once everything before it is written.
    pub fn closing(&self) -> Option<Close> {
        let inner = self.inner.borrow();
        if inner.backlog.is_empty() { inner.closing.as_deref().cloned() } else { None }
    }

    /// Whether an end has been decided, written or not.
    pub fn is_closing(&self) -> bool {
        self.inner.borrow().closing.is_some()
    }

    /// Bytes that wait, with what each entry costs besides.
    pub fn queued_bytes(&self) -> usize {
        self.inner.borrow().backlog.cost()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.inner.borrow().backlog.is_empty()
    }

    /// Offers what waits to a vectored write and takes out as much as it wrote, in bytes.
    pub fn write_with(&self, write: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>) -> io::Result<usize> {
        // Mostly one entry waits; preparing a place for many would cost more than all the rest.
        let waiting = self.inner.borrow().backlog.len();
        match waiting {
            0..SLICES_FEW => self.write_slices::<SLICES_FEW>(write),
            _ => self.write_slices::<SLICES_MAX>(write),
        }
    }

    fn write_slices<const N: usize>(
        &self,
        write: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut inner = self.inner.borrow_mut();
        let notice = self.notice(&inner);
        let mut slices = [IoSlice::new(&[]); N];
        let mut count = 0;
        if let Some(notice) = &notice {
            slices[0] = IoSlice::new(notice);
            count = 1;
        }
        count += inner.backlog.fill(&mut slices[count..]);
        let written = write(&slices[..count])?;
        // Nothing of the notice has gone out: there may be more to count until some of it does.
        self.advance(&mut inner, notice.filter(|_| written > 0), written);
        Ok(written)
    }

    /// Takes the first entry out whole, for a writer that keeps its own buffers.
    pub fn take(&self) -> Option<Bytes> {
        let mut inner = self.inner.borrow_mut();
        let notice = self.notice(&inner);
        let bytes = notice.as_ref().or_else(|| inner.backlog.front())?.clone();
        self.advance(&mut inner, notice, bytes.len());
        Some(bytes)
    }

    /// What is to be told before anything else is written.
    fn notice(&self, inner: &Inner) -> Option<Bytes> {
        let (lane, count) = inner.backlog.gap()?;
        notice(self.form, &lane.room, count)
    }

    /// Whether anything was written whole since the last call: a sign that the peer reads.
    pub fn take_progress(&self) -> bool {
        std::mem::take(&mut self.inner.borrow_mut().progress)
    }

    /// So many bytes were written, beginning with a notice if there was one.
    fn advance(&self, inner: &mut Inner, notice: Option<Bytes>, written: usize) {
        let before = inner.backlog.cost();
        if let Some(notice) = notice {
            inner.backlog.tell_gap(notice);
        }
        let whole = inner.backlog.advance(written);
        self.reckon(before, inner.backlog.cost());
        self.stats.sent_bytes.add(written as u64);
        self.stats.delivered[self.form as usize].add(whole.messages);
        inner.progress |= whole.entries > 0;
        if inner.backlog.cost() <= self.bytes_max / 2 {
            inner.wake_speakers();
        }
    }
}

/// One who waits for room, until it is dropped: a client that leaves and joins rooms again and again must not leave
/// those behind that waited for it.
struct Speaker<'a> {
    outbox: &'a Outbox,
    number: u32,
}

impl<'a> Speaker<'a> {
    fn new(outbox: &'a Outbox) -> Self {
        let number = outbox.inner.borrow_mut().speakers.get_or_insert_default().number();
        Self { outbox, number }
    }
}

impl Drop for Speaker<'_> {
    fn drop(&mut self) {
        if let Some(speakers) = &mut self.outbox.inner.borrow_mut().speakers {
            speakers.leave(self.number);
        }
    }
}

impl Inner {
    fn wake_speakers(&mut self) {
        if let Some(speakers) = &mut self.speakers {
            speakers.wake();
        }
    }

    fn wait(&mut self, context: &Context<'_>, waits: Waits) {
        self.waits = waits;
        match &mut self.writer {
            Some(writer) if writer.will_wake(context.waker()) => {}
            writer => *writer = Some(context.waker().clone()),
        }
    }

    fn wake_writer(&mut self) {
        self.waits = Waits::Nothing;
        self.writer.iter().for_each(Waker::wake_by_ref);
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.stats.outbox_bytes.sub(self.inner.get_mut().backlog.cost() as u64);
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;

//! What waits to be written to one client: the second of the two queues through which data returns.
//!
//! An outbox belongs to one thread. Fan-out puts shared handles in, the connection's write loop takes
//! many of them out with one vectored write, and nobody else touches the socket.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use roomcast_protocol::{Close, WireForm};

use crate::stats::ShardStats;

/// What each queued entry is reckoned to cost besides its bytes, so that one bound in bytes also
/// bounds the number of entries.
pub const ENTRY_COST_BYTES: usize = 48;

/// Most entries in one vectored write: beyond this the kernel gains nothing.
const SLICES_MAX: usize = 64;

/// A queue that has grown beyond this many entries gives its memory back when it is empty.
const ENTRIES_KEPT: usize = 16;

/// Bytes on their way to one client.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A message of a room, shared with the other members on this core.
    Message(Rc<Bytes>),
    /// Something for this client alone: a reply, a pong.
    Reply(Bytes),
}

impl Entry {
    fn bytes(&self) -> &Bytes {
        match self {
            Self::Message(bytes) => bytes,
            Self::Reply(bytes) => bytes,
        }
    }

    fn cost(&self) -> usize {
        self.bytes().len() + ENTRY_COST_BYTES
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
    stats: Arc<ShardStats>,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Entry>,
    /// Cost of what is in the queue.
    cost: usize,
    /// How much of the first entry is written already.
    written: usize,
    writer: Option<Waker>,
    /// Those who have much to say, one for each room at most, wait until there is room.
    speakers: Vec<Waker>,
    closing: Option<Close>,
    /// A message has been written since [`Outbox::take_progress`] was last asked.
    progress: bool,
}

impl Outbox {
    /// A queue of up to `bytes_max` bytes. One entry is always taken into an empty queue, however
    /// large, so that the largest message of a room fits whatever the bound.
    pub fn new(bytes_max: usize, form: WireForm, stats: Arc<ShardStats>) -> Self {
        Self { inner: RefCell::default(), bytes_max, form, stats }
    }

    /// Queues an entry. After [`close`](Self::close) entries are dropped without an error: the
    /// client has been told that it gets no more.
    pub fn push(&self, entry: Entry) -> Result<(), Overflow> {
        let mut inner = self.inner.borrow_mut();
        if inner.closing.is_some() {
            return Ok(());
        }
        let cost = entry.cost();
        if !inner.queue.is_empty() && inner.cost + cost > self.bytes_max {
            return Err(Overflow);
        }
        inner.cost += cost;
        inner.queue.push_back(entry);
        self.stats.outbox_bytes.add(cost as u64);
        inner.wake();
        Ok(())
    }

    /// Ends the conversation after everything that is queued. The first close wins.
    pub fn close(&self, close: Close) {
        let mut inner = self.inner.borrow_mut();
        inner.closing.get_or_insert(close);
        inner.wake();
    }

    /// Ends the conversation without what is queued, except for the rest of an entry that is
    /// partly written, which the peer could not do without.
    pub fn abort(&self, close: Close) {
        let mut inner = self.inner.borrow_mut();
        let keep = usize::from(inner.written > 0);
        let dropped: usize = inner.queue.drain(keep..).map(|entry| entry.cost()).sum();
        inner.cost -= dropped;
        self.stats.outbox_bytes.sub(dropped as u64);
        inner.closing.get_or_insert(close);
        inner.wake();
    }

    /// Ready when there is something to write or the conversation is to end.
    pub fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.inner.borrow_mut();
        if !inner.queue.is_empty() || inner.closing.is_some() {
            return Poll::Ready(());
        }
        if !inner.writer.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            inner.writer = Some(context.waker().clone());
        }
        Poll::Pending
    }

    /// Ready when an entry of `bytes` fits and leaves half of the bound to others, or when nothing waits
    /// at all, or when the conversation is to end.
    pub fn poll_room(&self, context: &mut Context<'_>, bytes: usize) -> Poll<()> {
        let mut inner = self.inner.borrow_mut();
        let fits = inner.cost + bytes <= self.bytes_max / 2;
        if fits || inner.queue.is_empty() || inner.closing.is_some() {
            return Poll::Ready(());
        }
        if !inner.speakers.iter().any(|waker| waker.will_wake(context.waker())) {
            inner.speakers.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// How to end, once everything before it is written.
    pub fn closing(&self) -> Option<Close> {
        let inner = self.inner.borrow();
        if inner.queue.is_empty() { inner.closing.clone() } else { None }
    }

    /// Whether an end has been decided, written or not.
    pub fn is_closing(&self) -> bool {
        self.inner.borrow().closing.is_some()
    }

    /// Bytes that wait, with what each entry costs besides.
    pub fn queued_bytes(&self) -> usize {
        self.inner.borrow().cost
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.inner.borrow().queue.is_empty()
    }

    /// Offers what waits to a vectored write and takes out as much as it wrote, in bytes.
    pub fn write_with(&self, write: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>) -> io::Result<usize> {
        let mut inner = self.inner.borrow_mut();
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        for (slice, entry) in slices.iter_mut().zip(&inner.queue) {
            let skip = if count == 0 { inner.written } else { 0 };
            *slice = IoSlice::new(&entry.bytes()[skip..]);
            count += 1;
        }
        let written = write(&slices[..count])?;
        self.stats.sent_bytes.add(written as u64);
        self.advance(&mut inner, written);
        Ok(written)
    }

    /// Takes the first entry out whole, for a writer that keeps its own buffers.
    pub fn take(&self) -> Option<Bytes> {
        let mut inner = self.inner.borrow_mut();
        let bytes = inner.queue.front()?.bytes().clone();
        self.stats.sent_bytes.add(bytes.len() as u64);
        self.advance(&mut inner, bytes.len());
        Some(bytes)
    }

    /// Whether anything was written whole since the last call: a sign that the peer reads.
    pub fn take_progress(&self) -> bool {
        std::mem::take(&mut self.inner.borrow_mut().progress)
    }

    fn advance(&self, inner: &mut Inner, written: usize) {
        inner.written += written;
        while let Some(entry) = inner.queue.front() {
            if inner.written < entry.bytes().len() {
                break;
            }
            let (len, cost) = (entry.bytes().len(), entry.cost());
            if matches!(entry, Entry::Message(_)) {
                self.stats.delivered[self.form as usize].add(1);
            }
            inner.queue.pop_front();
            inner.written -= len;
            inner.cost -= cost;
            inner.progress = true;
            self.stats.outbox_bytes.sub(cost as u64);
        }
        if inner.cost <= self.bytes_max / 2 {
            inner.wake_speakers();
        }
        if inner.queue.is_empty() && inner.queue.capacity() > ENTRIES_KEPT {
            inner.queue = VecDeque::new();
        }
    }
}

impl Inner {
    fn wake_speakers(&mut self) {
        self.speakers.drain(..).for_each(Waker::wake);
    }

    fn wake(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
        if self.closing.is_some() {
            self.wake_speakers();
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.stats.outbox_bytes.sub(self.inner.get_mut().cost as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Default)]
    struct Woken(std::sync::atomic::AtomicBool);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }

    fn outbox(bytes_max: usize) -> Outbox {
        Outbox::new(bytes_max, WireForm::Sse, Arc::default())
    }

    fn entry(text: &str) -> Entry {
        Entry::Message(Rc::new(Bytes::copy_from_slice(text.as_bytes())))
    }

    #[test]
    fn a_full_queue_refuses_and_an_empty_one_takes_anything() {
        let outbox = outbox(100);
        assert_eq!(outbox.push(entry(&"x".repeat(1000))), Ok(()));
        assert_eq!(outbox.push(entry("y")), Err(Overflow));
        assert_eq!(outbox.take().unwrap().len(), 1000);
        assert_eq!(outbox.push(entry("y")), Ok(()));
        assert_eq!(outbox.push(entry("z")), Ok(()));
        assert_eq!(outbox.push(entry("z")), Err(Overflow));
    }

    #[test]
    fn everyone_who_waits_for_room_is_woken() {
        let outbox = outbox(1000);
        outbox.push(entry(&"x".repeat(900))).unwrap();
        let woken: Vec<_> = (0..3).map(|_| Arc::new(Woken::default())).collect();
        for each in &woken {
            let waker = Waker::from(Arc::clone(each));
            assert!(outbox.poll_room(&mut Context::from_waker(&waker), 10).is_pending());
        }
        outbox.take();
        assert!(woken.iter().all(|each| each.0.load(std::sync::atomic::Ordering::Relaxed)));
        assert!(outbox.poll_room(&mut Context::from_waker(Waker::noop()), 10_000).is_ready(), "it is empty");
    }

    #[test]
    fn close_comes_after_what_is_queued_and_abort_instead_of_it() {
        let outbox = outbox(1000);
        outbox.push(entry("a")).unwrap();
        outbox.close(Close::NORMAL);
        assert_eq!(outbox.closing(), None);
        outbox.push(entry("late")).unwrap();
        assert_eq!(outbox.take().unwrap(), "a");
        assert_eq!((outbox.take(), outbox.closing()), (None, Some(Close::NORMAL)));

        let outbox = self::outbox(1000);
        for text in ["abc", "def"] {
            outbox.push(entry(text)).unwrap();
        }
        outbox.write_with(|_| Ok(1)).unwrap();
        outbox.abort(Close::SLOW_CONSUMER);
        assert_eq!(outbox.closing(), None);
        outbox.write_with(|slices| Ok(slices.iter().map(|s| s.len()).sum())).unwrap();
        assert_eq!(outbox.closing(), Some(Close::SLOW_CONSUMER));
        assert_eq!(outbox.stats.sent_bytes.get(), 3);
    }

    proptest! {
        #[test]
        fn whatever_the_write_sizes_the_bytes_are_whole(
            texts in proptest::collection::vec("[a-z]{0,9}", 0..90),
            sizes in proptest::collection::vec(1..20_usize, 1..9),
        ) {
            let outbox = outbox(1 << 20);
            for text in &texts {
                outbox.push(entry(text)).unwrap();
            }
            let mut written = Vec::new();
            let mut sizes = sizes.iter().cycle();
            while !outbox.is_empty() {
                outbox.write_with(|slices| {
                    let all: Vec<u8> = slices.iter().flat_map(|s| s.to_vec()).collect();
                    let n = all.len().min(*sizes.next().unwrap());
                    written.extend_from_slice(&all[..n]);
                    Ok(n)
                }).unwrap();
            }
            prop_assert_eq!(written, texts.concat().into_bytes());
            prop_assert_eq!(outbox.stats.outbox_bytes.get(), 0);
            prop_assert_eq!(outbox.stats.delivered[WireForm::Sse as usize].get(), texts.len() as u64);
        }
    }
}

//! The ring of one thread.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;

use io_uring::{IoUring, opcode, types};

use crate::Write;

/// What the kernel shares with this thread: places for so many writes, and for their answers.
pub struct Ring {
    ring: IoUring,
}

/// Places of a ring. More writes than this are submitted in parts.
const ENTRIES: u32 = 64;

/// Calls that answer none of the writes, in a row, until that is taken for a defect: one answers all of them.
const SILENT_CALLS_MAX: u32 = 100;

impl Ring {
    /// Opens a ring for this thread, and sends something through it to see that it does what is expected.
    ///
    /// # Errors
    ///
    /// Where the kernel is older than 6.1, or does not allow it, as in many containers.
    pub fn open() -> io::Result<Self> {
        // Answers are worked out in the call that waits for them, and no other thread may submit: the cheapest there is.
        let ring = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(ENTRIES)?;
        let mut opened = Self { ring };
        opened.try_out()?;
        Ok(opened)
    }

    fn try_out(&mut self) -> io::Result<()> {
        let (socket, peer) = UnixStream::pair()?;
        let mut written = Vec::new();
        self.write(&[(socket.as_fd(), b"?")], &mut written);
        drop(peer);
        match written.pop() {
            Some(Ok(1)) => Ok(()),
            Some(Err(error)) => Err(error),
            _ => Err(io::Error::other("nothing came of a first write")),
        }
    }

    /// Gives each socket its bytes, as much as it takes at once, in the order of `writes`. `written` gets for each how
    /// many bytes that was, or the error; [`io::ErrorKind::WouldBlock`] where it takes none now.
    pub fn write(&mut self, writes: &[Write<'_>], written: &mut Vec<io::Result<usize>>) {
        written.clear();
        for part in writes.chunks(ENTRIES as usize) {
            let begin = written.len();
            written.extend(part.iter().map(|_| Err(io::ErrorKind::WouldBlock.into())));
            self.write_part(part, &mut written[begin..]);
        }
    }

    fn write_part(&mut self, writes: &[Write<'_>], written: &mut [io::Result<usize>]) {
        for (index, (socket, bytes)) in writes.iter().enumerate() {
            let len = bytes.len().min(u32::MAX as usize) as u32;
            let entry = opcode::Send::new(types::Fd(socket.as_raw_fd()), bytes.as_ptr(), len)
                .flags(libc_flags::DONTWAIT | libc_flags::NOSIGNAL)
                .build()
                .user_data(index as u64);
            // SAFETY: the socket and the bytes are borrowed until this function returns, and it returns when the kernel
            // has answered every entry (see `finish`). Nobody else can change the bytes meanwhile.
            let pushed = unsafe { self.ring.submission().push(&entry) };
            // A part has no more writes than there are places. One without would stay for its own writer.
            debug_assert!(pushed.is_ok());
        }
        self.finish(written);
    }

    /// Submits what has been pushed, and waits until all of it is answered.
    fn finish(&mut self, written: &mut [io::Result<usize>]) {
        let mut silent = 0;
        let mut open = self.ring.submission().len();
        while open > 0 {
            let submitted = self.ring.submit_and_wait(open);
            let mut answers = 0;
            for answer in self.ring.completion() {
                answers += 1;
                if let Some(place) = written.get_mut(answer.user_data() as usize) {
                    *place = match answer.result() {
                        error @ ..0 => Err(io::Error::from_raw_os_error(-error)),
                        len => Ok(len as usize),
                    };
                }
            }
            open = open.saturating_sub(answers);
            let interrupted = matches!(&submitted, Err(error) if error.kind() == io::ErrorKind::Interrupted);
            silent = if answers > 0 || interrupted { 0 } else { silent + 1 };
            if silent > SILENT_CALLS_MAX {
                // Writes may be under way whose bytes will not be there any more.
                eprintln!(
                    "the kernel does not answer what was submitted to io_uring; set server.batched_writes = \"off\""
                );
                std::process::abort();
            }
        }
    }
}

/// Flags of send(2), the same on all Linux architectures.
mod libc_flags {
    pub(super) const DONTWAIT: i32 = 0x40;
    pub(super) const NOSIGNAL: i32 = 0x4000;
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;

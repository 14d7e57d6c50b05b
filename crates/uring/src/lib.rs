//! Many writes to many sockets with one system call.
//!
//! The only unsafe code of the project. What makes it sound is that nothing outlasts a call: each write is one that the
//! kernel does at once or not at all (`MSG_DONTWAIT`), and a call returns when all of its writes have been answered. So
//! the kernel knows no buffer whose borrow has ended.

#[cfg(target_os = "linux")]
mod ring;
#[cfg(target_os = "linux")]
pub use ring::Ring;

use std::os::fd::BorrowedFd;

/// A socket, which need not be non-blocking, and the bytes for it.
pub type Write<'a> = (BorrowedFd<'a>, &'a [u8]);

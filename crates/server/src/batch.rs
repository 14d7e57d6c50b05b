//! Messages for many clients, handed to the kernel together where it takes them so. A thousand writes cost a quarter less
//! (docs/performance.md).

use roomcast_hub::Shard;
use tracing::info;

/// Has the core of this thread, number `index`, write together. Where that cannot be, it writes one by one as before.
pub(crate) fn write_together(index: usize, shard: &Shard) {
    let opened = open().map(|batch| shard.turns().write_together(batch));
    if index > 0 {
        return;
    }
    match opened {
        Ok(()) => info!("messages for many clients go to the kernel together (io_uring)"),
        Err(error) => info!(%error, "messages go to the kernel one by one: it does not let us use io_uring"),
    }
}

#[cfg(all(target_os = "linux", feature = "io-uring"))]
fn open() -> std::io::Result<Box<dyn roomcast_hub::Batch>> {
    Ok(Box::new(ring::Together(roomcast_uring::Ring::open()?)))
}

#[cfg(not(all(target_os = "linux", feature = "io-uring")))]
fn open() -> std::io::Result<Box<dyn roomcast_hub::Batch>> {
    Err(std::io::Error::new(std::io::ErrorKind::Unsupported, "this binary is built without it"))
}

#[cfg(all(target_os = "linux", feature = "io-uring"))]
mod ring {
    use std::io;
    use std::os::fd::BorrowedFd;

    use roomcast_hub::Batch;
    use roomcast_uring::Ring;

    pub(super) struct Together(pub(super) Ring);

    impl Batch for Together {
        fn write(&mut self, writes: &[(BorrowedFd<'_>, &[u8])], written: &mut Vec<io::Result<usize>>) {
            self.0.write(writes, written);
        }
    }
}

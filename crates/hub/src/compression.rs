//! Messages compressed once, for all WebSockets of a room that have agreed on it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use roomcast_protocol::wire::deflate::{DeflateSettings, Deflater, Window};
use roomcast_protocol::{Push, WireForm};

use crate::stats::ShardStats;

/// The compressors of one core, one for each window. Connections share them, so that one that is idle holds nothing.
#[derive(Debug)]
pub struct Compression {
    settings: DeflateSettings,
    compressors: [Rc<Compressor>; Window::COUNT],
}

impl Compression {
    /// Compressors that take their memory when they are first used.
    pub fn new(settings: DeflateSettings, stats: &Arc<ShardStats>) -> Self {
        let compressors = Window::ALL.map(|window| {
            let deflater = RefCell::new(Deflater::new(settings, window));
            Rc::new(Compressor { window, deflater, stats: Arc::clone(stats) })
        });
        Self { settings, compressors }
    }

    /// How messages are compressed.
    pub fn settings(&self) -> DeflateSettings {
        self.settings
    }

    /// The compressor for clients that have agreed on this window.
    pub fn compressor(&self, window: Window) -> &Rc<Compressor> {
        &self.compressors[window as usize]
    }
}

/// Compresses messages with one window.
#[derive(Debug)]
pub struct Compressor {
    window: Window,
    deflater: RefCell<Deflater>,
    stats: Arc<ShardStats>,
}

impl Compressor {
    pub(crate) fn window(&self) -> Window {
        self.window
    }

    /// The bytes of a message, compressed if that makes them fewer; made by the first core that asks.
    pub(crate) fn form<'a>(&self, push: &'a Push, form: WireForm) -> &'a Bytes {
        push.compressed_form(form, self.window, |plain| {
            let compressed = self.deflater.borrow_mut().frame(plain)?;
            self.stats.deflated_from_bytes.add(plain.len() as u64);
            self.stats.deflated_bytes.add(compressed.len() as u64);
            Some(compressed)
        })
    }
}

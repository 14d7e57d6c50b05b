//! Bytes on each wire: WebSocket frames in and out, compressed if both sides want it, Server-Sent Events out.

pub mod deflate;
pub mod deflate_offer;
pub mod sse;
pub mod ws_frame;
mod ws_head;
pub mod ws_reader;

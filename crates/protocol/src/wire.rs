//! Bytes on each wire: WebSocket frames in and out, Server-Sent Events out.

pub mod sse;
pub mod ws_frame;
pub mod ws_reader;

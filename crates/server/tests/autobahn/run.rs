//! Plays a case against a server, and says what was not as expected.

use std::io::{self, ErrorKind};

use roomcast_bench::ws::frame;
use roomcast_bench::{Frame, WsClient};

use crate::case::{CLOSE, Case, End, PING, Step, close_payload};

/// What the servers under test take as one message.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// What became of a step; the error tells what was not as expected.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// Whether to wait for an echo before that is sent which ends the connection.
///
/// The suite does not wait. Where echoes come from the reader itself that makes no difference;
/// here they go round through the broker, as messages of other members do, and a close may overtake
/// them. The suite lets that pass as "non-strict". Both ways are played: waiting, where the echo must
/// come, and back to back, where the room must get the message and its sender may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    InStep,
    BackToBack,
}

/// Plays a case on a connection that was just opened.
pub(crate) fn play(client: &mut WsClient, case: &Case, pace: Pace) -> Outcome {
    let mut echoes = Vec::new();
    for step in &case.steps {
        match step {
            Step::Send { bytes, chop } => send(client, bytes, *chop)?,
            Step::Echo(frame) if pace == Pace::BackToBack => echoes.push(frame),
            Step::Receive(frame) | Step::Echo(frame) => expect(client, frame)?,
        }
    }
    if matches!(case.end, End::Clean) {
        send(client, &frame(CLOSE, &close_payload(1000, b"")), usize::MAX)?;
    }
    let mut last = next(client).map_err(|error| format!("{error} instead of {}", case.end))?;
    // As many as were not overtaken; what comes is in order and without a gap.
    for echo in echoes {
        if last != *echo {
            break;
        }
        last = next(client)?;
    }
    check_close(&last, &case.end)?;
    expect_end(client)
}

fn send(client: &mut WsClient, bytes: &[u8], chop: usize) -> Outcome {
    for part in bytes.chunks(chop) {
        client.send_bytes(part).map_err(|error| format!("cannot send: {error}"))?;
    }
    Ok(())
}

fn expect(client: &mut WsClient, expected: &Frame) -> Outcome {
    let frame = next(client).map_err(|error| format!("{error} instead of {}", describe(expected)))?;
    if frame != *expected {
        return Err(format!("{} instead of {}", describe(&frame), describe(expected)));
    }
    Ok(())
}

fn check_close(frame: &Frame, end: &End) -> Outcome {
    let as_expected = match end {
        End::Clean => frame.payload == close_payload(1000, b""),
        End::Closed(payload) => frame.payload == *payload,
        End::Failed(code) => frame.close_code() == Some(*code),
    };
    if frame.first != CLOSE || !as_expected {
        return Err(format!("{} instead of {end}", describe(frame)));
    }
    Ok(())
}

/// The next frame that is not a heartbeat, which may come at any time.
fn next(client: &mut WsClient) -> Outcome<Frame> {
    loop {
        match client.frame() {
            Ok(frame) if frame.first == PING => {}
            result => return result.map_err(|error| describe_error(&error)),
        }
    }
}

/// The server closes the TCP connection, in order: not by a reset.
fn expect_end(client: &mut WsClient) -> Outcome {
    match next(client) {
        Ok(frame) => Err(format!("{} after the close", describe(&frame))),
        Err(error) if error == END => Ok(()),
        Err(error) => Err(format!("{error} after the close")),
    }
}

const END: &str = "end of the connection";

fn describe_error(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => END.to_owned(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "silence".to_owned(),
        _ => error.to_string(),
    }
}

fn describe(frame: &Frame) -> String {
    if let Some(code) = frame.close_code() {
        return format!("close {code} {:?}", String::from_utf8_lossy(&frame.payload[2..]));
    }
    let start = String::from_utf8_lossy(&frame.payload[..frame.payload.len().min(40)]);
    format!("frame {:#04x} of {} bytes: {start:?}", frame.first, frame.payload.len())
}

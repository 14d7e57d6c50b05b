//! Long-poll: one answer after the other.

use memchr::memmem;

use super::{Answers, Broken, Heard};

const CURSOR: &[u8] = b"\"cursor\":";

/// Reads the answers to polls.
#[derive(Debug, Default)]
pub struct PollScanner {
    answers: Answers,
    is_open: bool,
}

impl PollScanner {
    /// Takes all of `input`. The first answer opens; each ends in [`Heard::Polled`].
    pub fn feed(&mut self, input: &[u8], on: &mut impl FnMut(Heard<'_>)) -> Result<(), Broken> {
        let is_open = &mut self.is_open;
        self.answers.feed(input, &mut |answer| {
            if answer.status != 200 {
                return on(Heard::Refused(answer.status));
            }
            if !std::mem::replace(is_open, true) {
                on(Heard::Open);
            }
            on(Heard::Data(answer.body));
            let rest = rest_of(answer.body);
            if rest.is_some_and(|rest| !rest.ends_with(b"\"reset\":[]}")) {
                on(Heard::Told);
            }
            on(Heard::Polled(rest.and_then(cursor)));
        })
    }
}

/// What follows the messages, from the cursor on.
fn rest_of(body: &[u8]) -> Option<&[u8]> {
    memmem::rfind(body, CURSOR).map(|at| &body[at..])
}

fn cursor(rest: &[u8]) -> Option<&str> {
    let text = rest.strip_prefix(CURSOR)?.strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', text)?;
    std::str::from_utf8(&text[..end]).ok()
}

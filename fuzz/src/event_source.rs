//! The receiving side of Server-Sent Events, step by step as the HTML standard has it (sections 9.2.5 and 9.2.6).

/// What a page gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Event {
    pub(crate) event: String,
    pub(crate) data: String,
    pub(crate) id: String,
}

/// The events of a whole stream, and every reconnection time that it set, in ms.
pub(crate) fn interpret(stream: &[u8]) -> (Vec<Event>, Vec<u64>) {
    // "UTF-8 decode" takes one BOM off and replaces what is not UTF-8.
    let text = String::from_utf8_lossy(stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream));
    let mut source = Source::default();
    for line in lines(&text) {
        source.line(line);
    }
    (source.events, source.retries)
}

/// Lines that have an end: CRLF, LF or CR. What follows the last end is discarded.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.find(['\r', '\n'])?;
        let line = &rest[..end];
        let after = &rest[end..];
        rest = after.strip_prefix("\r\n").unwrap_or(&after[1..]);
        Some(line)
    })
}

#[derive(Default)]
struct Source {
    event: String,
    data: String,
    last_id: String,
    events: Vec<Event>,
    retries: Vec<u64>,
}

impl Source {
    fn line(&mut self, line: &str) {
        if line.is_empty() {
            return self.dispatch();
        }
        match line.split_once(':') {
            Some(("", _)) => {}
            Some((field, value)) => self.field(field, value.strip_prefix(' ').unwrap_or(value)),
            None => self.field(line, ""),
        }
    }

    fn field(&mut self, field: &str, value: &str) {
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.last_id),
            "retry" if value.bytes().all(|b| b.is_ascii_digit()) => {
                self.retries.extend(value.parse::<u64>().ok())
            }
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        let (mut event, mut data) = (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
        if data.is_empty() {
            return;
        }
        data.pop();
        if event.is_empty() {
            "message".clone_into(&mut event);
        }
        self.events.push(Event { event, data, id: self.last_id.clone() });
    }
}

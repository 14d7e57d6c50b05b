//! curl: streams with `-N`, and POST.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::content::Content;
use crate::program::{Job, Program};

/// curl's option for HTTP/2 without TLS.
pub(crate) const HTTP2: &str = "--http2-prior-knowledge";

/// How often a loop runs curl for one event, and what it waits in between: a minute. Only bounds a failure.
const RUNS_MAX: usize = 600;
const PAUSE: Duration = Duration::from_millis(100);

/// What curl got for a POST.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    /// `1.1` or `2`
    pub(crate) version: String,
    pub(crate) body: String,
}

/// `curl --data-binary @- URL`, under way.
pub(crate) struct Post(Job);

impl Post {
    /// `target` is what comes after `/rooms/`, such as `a/messages`; `options` are curl's.
    pub(crate) fn start(port: u16, target: &str, options: &[&str], body: &[u8]) -> Self {
        let mut command = curl();
        command.args(options).args([
            "--data-binary",
            "@-",
            "-w",
            "\n%{http_code} %{http_version} %{content_type}",
        ]);
        command.arg(format!("http://127.0.0.1:{port}/rooms/{target}"));
        Self(Job::start(command, body))
    }

    #[track_caller]
    pub(crate) fn wait(self) -> Answer {
        let output = self.0.wait();
        let (body, written) = output.rsplit_once('\n').unwrap();
        let written: Vec<_> = written.split(' ').collect();
        Answer {
            status: written[0].parse().unwrap(),
            version: written[1].to_owned(),
            content_type: written[2].to_owned(),
            body: body.to_owned(),
        }
    }
}

/// Posts and waits; the answer must be that the broker has it.
#[track_caller]
pub(crate) fn post(port: u16, target: &str, content_type: &str, body: &[u8]) {
    let answer = try_post(port, target, content_type, body);
    assert_eq!((answer.status, &*answer.body), (202, "{\"id\":null}"), "{answer:?}");
}

/// Posts and gives the answer.
#[track_caller]
pub(crate) fn try_post(port: u16, target: &str, content_type: &str, body: &[u8]) -> Answer {
    Post::start(port, target, &["-H", &format!("Content-Type: {content_type}")], body).wait()
}

/// `curl -N`, reading a stream.
pub(crate) struct CurlStream {
    program: Program,
    pub(crate) status_line: String,
    pub(crate) headers: BTreeMap<String, String>,
    last_id: String,
}

impl CurlStream {
    /// Opens a stream and reads its `connected`.
    pub(crate) fn open(port: u16, target: &str, options: &[&str]) -> Self {
        Self::open_url(&format!("http://127.0.0.1:{port}{target}"), options)
    }

    /// The same, wherever it is.
    pub(crate) fn open_url(url: &str, options: &[&str]) -> Self {
        let mut stream = Self::ask(url, options).expect("an answer");
        let (event, _) = stream.event();
        assert_eq!(event, "connected");
        stream
    }

    /// Asks for a stream and reads the head of the answer; none where there is no answer.
    fn ask(url: &str, options: &[&str]) -> Option<Self> {
        let mut command = curl();
        command.args(["-N", "-i"]).args(options).arg(url);
        let mut program = Program::start(command);
        let status_line = program.line_or_end()?.trim().to_owned();
        let mut headers = BTreeMap::new();
        loop {
            let line = program.line_or_end()?;
            match line.trim().split_once(": ") {
                Some((name, value)) => drop(headers.insert(name.to_ascii_lowercase(), value.to_owned())),
                None => return Some(Self { program, status_line, headers, last_id: String::new() }),
            }
        }
    }

    /// Name and data of the next event.
    #[track_caller]
    pub(crate) fn event(&mut self) -> (String, String) {
        self.event_or_end().expect("an event")
    }

    /// Name and data of the next event; none at the end of the stream.
    #[track_caller]
    fn event_or_end(&mut self) -> Option<(String, String)> {
        let (mut event, mut data) = ("message".to_owned(), Vec::new());
        // An id counts when its event is whole.
        let mut id = None;
        loop {
            let line = self.program.line_or_end()?;
            match line.split_once(": ") {
                Some(("event", name)) => event = name.to_owned(),
                Some(("data", line)) => data.push(line.to_owned()),
                Some(("id", value)) => id = Some(value.to_owned()),
                None if line.is_empty() && !data.is_empty() => {
                    self.last_id = id.unwrap_or_else(|| std::mem::take(&mut self.last_id));
                    return Some((event, data.join("\n")));
                }
                _ => {}
            }
        }
    }

    /// What the next event carries.
    #[track_caller]
    pub(crate) fn message(&mut self) -> Content {
        match self.event() {
            (event, data) if event == "message" => Content::text(data),
            (event, data) if event == "message;base64" => Content::bytes(STANDARD.decode(data).unwrap()),
            other => panic!("nobody expects {other:?}"),
        }
    }
}

/// `curl -N` in a loop, as in a script: when its stream ends it is run again, with the last id as `Last-Event-ID`.
pub(crate) struct CurlLoop {
    url: String,
    stream: Option<CurlStream>,
    last_id: String,
}

impl CurlLoop {
    /// Opens the first stream.
    pub(crate) fn open(port: u16, target: &str) -> Self {
        let url = format!("http://127.0.0.1:{port}{target}");
        let stream = CurlStream::open_url(&url, &[]);
        let last_id = stream.last_id.clone();
        Self { url, stream: Some(stream), last_id }
    }

    /// Name and data of the next event, over any number of streams. Each one begins with a `connected`.
    pub(crate) fn event(&mut self) -> (String, String) {
        for _ in 0..RUNS_MAX {
            let header = format!("Last-Event-ID: {}", self.last_id);
            let stream = self.stream.take().or_else(|| CurlStream::ask(&self.url, &["-H", &header]));
            if let Some(mut stream) = stream
                && let Some(event) = stream.event_or_end()
            {
                self.last_id.clone_from(&stream.last_id);
                self.stream = Some(stream);
                return event;
            }
            std::thread::sleep(PAUSE);
        }
        panic!("curl was run {RUNS_MAX} times for one event of {}", self.url);
    }
}

pub(crate) fn curl() -> Command {
    let mut command = Command::new("curl");
    // No configuration of whoever runs the tests, no progress, but errors; no proxy before loopback.
    command.args(["-q", "-sS", "--noproxy", "*", "-H", "Expect:"]);
    command
}

//! curl: streams with `-N`, and POST.

use std::collections::BTreeMap;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::content::Content;
use crate::program::{Job, Program};

/// curl's option for HTTP/2 without TLS.
pub(crate) const HTTP2: &str = "--http2-prior-knowledge";

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
}

impl CurlStream {
    /// Opens a stream and reads its `connected`.
    pub(crate) fn open(port: u16, target: &str, options: &[&str]) -> Self {
        Self::open_url(&format!("http://127.0.0.1:{port}{target}"), options)
    }

    /// The same, wherever it is.
    pub(crate) fn open_url(url: &str, options: &[&str]) -> Self {
        let mut command = curl();
        command.args(["-N", "-i"]).args(options).arg(url);
        let mut program = Program::start(command);
        let status_line = program.line().trim().to_owned();
        let head: Vec<_> =
            std::iter::from_fn(|| Some(program.line().trim().to_owned()).filter(|l| !l.is_empty())).collect();
        let headers = head.iter().filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        let mut stream = Self { program, status_line, headers };
        let (event, _) = stream.event();
        assert_eq!(event, "connected");
        stream
    }

    /// Name and data of the next event.
    #[track_caller]
    pub(crate) fn event(&mut self) -> (String, String) {
        let (mut event, mut data) = ("message".to_owned(), Vec::new());
        loop {
            let line = self.program.line();
            match line.split_once(": ") {
                Some(("event", name)) => event = name.to_owned(),
                Some(("data", line)) => data.push(line.to_owned()),
                None if line.is_empty() && !data.is_empty() => return (event, data.join("\n")),
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

pub(crate) fn curl() -> Command {
    let mut command = Command::new("curl");
    // No configuration of whoever runs the tests, no progress, but errors; no proxy before loopback.
    command.args(["-q", "-sS", "--noproxy", "*", "-H", "Expect:"]);
    command
}

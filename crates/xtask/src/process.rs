//! A program that runs in the background until its handle is dropped.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

/// How long a program may take to open its port. Only bounds a failure.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a program may take to end after SIGTERM before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A running program and the file that holds what it printed.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts a program; standard output and error go to `<folder>/<name>.log`.
    pub fn start(name: &str, command: &mut Command, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log)?;
        let program = command.get_program().to_string_lossy().into_owned();
        let child =
            command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).spawn().with_context(|| {
                format!("cannot start {program}; `cargo xtask test` installs what is missing")
            })?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Waits until the program accepts connections.
    pub fn wait_for_port(&mut self, port: u16) -> Result<()> {
        let begin = Instant::now();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status} before it listened on {port}:\n{}", self.name, self.output());
            }
            if begin.elapsed() > START_LIMIT {
                bail!("{} does not listen on {port}:\n{}", self.name, self.output());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Everything that the program has printed.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal).context("cannot send a signal")
    }

    /// How the program has ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for the program to end, up to `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if begin.elapsed() > limit {
                bail!("{} did not end within {limit:?}:\n{}", self.name, self.output());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends the program at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let _ = self.signal(Signal::TERM);
        if self.wait(STOP_LIMIT).is_err() {
            self.kill();
        }
    }
}

/// Ends a process of ours and everything it has started, at once: parents first, so that none can start more.
pub fn kill_with_descendants(pid: u32) {
    let children = children_of(pid);
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
    children.into_iter().for_each(kill_with_descendants);
}

fn children_of(pid: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = threads
        .flatten()
        .map(|thread| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>()).collect()
}

/// Raises this process' soft limit of descriptors to the hard one; panics if that is below `needed`.
pub fn need_descriptors(needed: u64) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let allowed = maximum.unwrap_or(u64::MAX);
    assert!(
        allowed >= needed,
        "this test needs {needed} descriptors, the hard limit is {allowed}: see `ulimit -Hn`"
    );
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("the soft limit can be raised");
}

/// A port of the loopback address that is free now. Ports are taken below the range that the
/// kernel gives to outgoing connections, each process in its own order, so that two tests hardly
/// ever meet.
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(7919);
    for _ in 0..COUNT {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = (FIRST + start.wrapping_add(n) % COUNT) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}

/// The well-known port where it is free, else another one.
pub fn preferred_port(port: u16) -> u16 {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => port,
        Err(_) => free_port(),
    }
}

/// Waits until `condition` holds; panics with `what` after a generous limit.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(60), "waited for a minute: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A folder that goes with its handle, unless a test has failed: then somebody may want to look into it.
#[derive(Debug)]
pub struct ScratchFolder(PathBuf);

impl std::ops::Deref for ScratchFolder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// An own empty folder below the system's temporary one. Whoever still uses a file in it keeps the handle.
pub fn scratch_folder(name: &str) -> Result<ScratchFolder> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let unique = format!("roomcast-{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(unique);
    std::fs::create_dir_all(&folder)?;
    Ok(ScratchFolder(folder))
}

/// The status of a GET, if there is an answer.
pub fn http_status(port: u16, path: &str) -> Option<u16> {
    http(port, path).ok()?.split(' ').nth(1)?.parse().ok()
}

/// The body of a GET.
pub fn http_get(port: u16, path: &str) -> Result<String> {
    let answer = http(port, path)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("not an HTTP answer")?;
    Ok(body.to_owned())
}

fn http(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_has_started_ends_with_it() {
        // The shell's own process and a grandchild, which prints its id.
        let mut shell = Command::new("sh")
            .args(["-c", "(sleep 600 & echo $!; wait) & wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = std::io::BufReader::new(shell.stdout.take().unwrap());
        let mut pid = String::new();
        std::io::BufRead::read_line(&mut output, &mut pid).unwrap();
        kill_with_descendants(shell.id());
        assert!(!shell.wait().unwrap().success());
        // All of them held the output open.
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        wait_until("the grandchild is gone", || {
            let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            status.is_empty() || status.contains(") Z ")
        });
    }
}

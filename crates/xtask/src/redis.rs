//! A real redis-server of our own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{Daemon, ScratchFolder, free_port, scratch_folder};

/// A redis-server on a free port, without persistence unless asked for, stopped when dropped.
#[derive(Debug)]
pub struct Redis {
    daemon: Option<Daemon>,
    port: u16,
    folder: ScratchFolder,
    arguments: Vec<String>,
}

impl Redis {
    /// Starts a server.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// Starts a server with further arguments, such as `["--requirepass", "secret"]`.
    pub fn start_with(arguments: &[&str]) -> Result<Self> {
        Self::start_on(free_port(), arguments)
    }

    /// Starts a server on a given port.
    pub fn start_on(port: u16, arguments: &[&str]) -> Result<Self> {
        let folder = scratch_folder("redis")?;
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let mut redis = Self { daemon: None, port, folder, arguments };
        redis.restart()?;
        Ok(redis)
    }

    /// Starts the server again on the same port after [`stop`](Self::stop).
    pub fn restart(&mut self) -> Result<()> {
        self.stop();
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .args(["--enable-debug-command", "local"])
            .arg("--dir")
            .arg(&*self.folder)
            .args(&self.arguments);
        let mut daemon = Daemon::start("redis", &mut command, &self.folder)?;
        daemon.wait_for_port(self.port)?;
        self.daemon = Some(daemon);
        Ok(())
    }

    /// Kills the server, as a crash would.
    pub fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill();
        }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends one command on a connection of its own and gives the answer as Redis writes it.
    pub fn command(&self, parts: &[&[u8]]) -> Result<String> {
        let mut stream =
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).context("cannot reach Redis")?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut out = format!("*{}\r\n", parts.len()).into_bytes();
        for part in parts {
            out.extend(format!("${}\r\n", part.len()).as_bytes());
            out.extend_from_slice(part);
            out.extend(b"\r\n");
        }
        stream.write_all(&out)?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if answer.starts_with('-') {
            bail!("Redis refused: {answer}");
        }
        Ok(answer)
    }

    /// `PUBLISH channel payload`; gives the number of receivers.
    pub fn publish(&self, channel: &str, payload: &[u8]) -> Result<u64> {
        let answer = self.command(&[b"PUBLISH", channel.as_bytes(), payload])?;
        answer.trim().trim_start_matches(':').parse().context("not a number of receivers")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

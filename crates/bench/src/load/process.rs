//! CPU time and memory of processes, from `/proc`.

use std::io;

use serde::{Deserialize, Serialize};

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// User and system time, in µs, to the clock tick (10 ms).
    pub cpu_us: u64,
    /// Resident memory.
    pub resident_kib: u64,
}

/// A process that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// What to call it.
    pub name: String,
    /// Its id.
    pub pid: u32,
    /// Whether it counts as the server; others are only reported.
    pub is_server: bool,
}

/// What a process has used so far; an error if it is gone.
pub fn usage(pid: u32) -> io::Result<Usage> {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}"));
    let (stat, statm) = (read("stat")?, read("statm")?);
    let ticks =
        ticks(&stat).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat is not understood")))?;
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
    Ok(Usage {
        cpu_us: ticks * 1_000_000 / rustix::param::clock_ticks_per_second(),
        resident_kib: pages * rustix::param::page_size() as u64 / 1024,
    })
}

/// Ticks of user and system time. The second field is the program's name, which may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 1000 1000 100 18446744073709551615";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("7 (a"), None);
    }

    #[test]
    fn this_process() {
        let usage = usage(std::process::id()).unwrap();
        assert!(usage.resident_kib > 500, "{usage:?}");
        assert!(super::usage(0).is_err(), "no process has the id 0");
    }
}

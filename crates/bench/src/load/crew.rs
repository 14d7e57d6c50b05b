//! Worker processes, as the conductor sees them.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::plan::Plan;
use super::socket;
use super::words::{Lines, News, Order};

/// The workers of a run, which end with it.
pub(super) struct Crew {
    members: Vec<Member>,
    buffer: Vec<u8>,
}

struct Member {
    child: Child,
    orders: ChildStdin,
    news: ChildStdout,
    lines: Lines,
}

impl Crew {
    /// Starts `program bench worker` as often as the plan says, and hands out the plan.
    pub(super) fn start(program: &Path, plan: &Plan) -> Result<Self> {
        let mut crew = Self { members: Vec::new(), buffer: vec![0; 64 * 1024] };
        for worker in 0..plan.workers {
            let mut child = Command::new(program)
                .args(["bench", "worker"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .with_context(|| format!("cannot start {}", program.display()))?;
            let (orders, news) = (child.stdin.take(), child.stdout.take());
            let (Some(orders), Some(news)) = (orders, news) else { bail!("a worker has no pipes") };
            rustix::io::ioctl_fionbio(&news, true)?;
            crew.members.push(Member { child, orders, news, lines: Lines::default() });
            let plan = Box::new(plan.clone());
            crew.members[worker].tell(&Order::Plan { plan, worker })?;
        }
        Ok(crew)
    }

    /// The workers' process ids.
    pub(super) fn pids(&self) -> impl Iterator<Item = u32> {
        self.members.iter().map(|member| member.child.id())
    }

    /// Tells all.
    pub(super) fn tell(&mut self, order: &Order) -> Result<()> {
        self.members.iter_mut().try_for_each(|member| member.tell(order))
    }

    /// What workers have told, after waiting up to `patience` for it.
    pub(super) fn hear(&mut self, patience: Duration) -> Result<Vec<News>> {
        let timeout = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() };
        let mut fds: Vec<_> = self
            .members
            .iter()
            .map(|member| PollFd::from_borrowed_fd(member.news.as_fd(), PollFlags::IN))
            .collect();
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        let mut all = Vec::new();
        for member in &mut self.members {
            while let Some(len) = socket::read(&member.news, &mut self.buffer)? {
                if len == 0 {
                    let status = member.child.wait()?;
                    bail!("a worker ended with {status}; its last words are above");
                }
                member.lines.push(&self.buffer[..len])?;
            }
            while let Some(news) = member.lines.next()? {
                if let News::Failed(why) = news {
                    bail!("{why}");
                }
                all.push(news);
            }
        }
        Ok(all)
    }
}

impl Member {
    fn tell(&mut self, order: &Order) -> Result<()> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        self.orders.write_all(&line).context("a worker does not listen; its last words are above")
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for member in &mut self.members {
            let _ = member.child.kill();
            let _ = member.child.wait();
        }
    }
}

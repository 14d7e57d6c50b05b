//! `cargo xtask cost`: what one delivery costs the program itself, in instructions, which are the same however busy the
//! machine is. A node runs under valgrind; as many messages go to few and to many members, and the difference between the
//! two counts is divided by the deliveries in between. The kernel's part, which is several times larger, is not in it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use xtask::process::{Daemon, free_port, scratch_folder, wait_until};
use xtask::project_root;

/// Instructions of a delivery, as they were measured last, by how the client is connected. Who makes it cheaper writes it
/// down here, so that it stays so.
const MEASURED: [(&str, &str, u64); 2] = [("WebSocket", WEBSOCKET, 1065), ("SSE", SSE, 1780)];
/// How much more it may be, in percent: what another compiler makes of the same sources. Two runs differ by a thousandth.
const SLACK: u64 = 5;

const WEBSOCKET: &str = "GET /ws?room=a HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
const SSE: &str = "GET /sse?room=a HTTP/1.1\r\nHost: localhost\r\n\r\n";

const PAYLOAD: [u8; 128] = [b'x'; 128];
const FEW: usize = 50;
const MANY: usize = 250;
/// Messages that are counted, after some that warm up.
const MESSAGES: usize = 20;
const WARM_UP: usize = 3;
/// A program under valgrind takes fifty times as long. Only bounds a failure.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run() -> Result<()> {
    let build = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--profile", "cost", "--package", "roomcast"])
        .current_dir(project_root())
        .status()?;
    ensure!(build.success(), "the program cannot be built");
    let mut dear = Vec::new();
    for (name, request, measured) in MEASURED {
        let bound = measured + measured * SLACK / 100;
        let (few, many) = (instructions(request, FEW)?, instructions(request, MANY)?);
        let cost = many.saturating_sub(few) / ((MANY - FEW) * MESSAGES) as u64;
        eprintln!("a delivery by {name} takes {cost} instructions, and may take {bound}");
        if cost > bound {
            dear.push(name);
        }
    }
    if !dear.is_empty() {
        bail!(
            "deliveries by {} cost more than they may; see what has become dear with callgrind_annotate, or say in \
             crates/xtask/src/cost.rs why it has to be so",
            dear.join(" and ")
        );
    }
    Ok(())
}

/// What a node executes while it gives all messages to so many members.
fn instructions(request: &str, members: usize) -> Result<u64> {
    let folder = scratch_folder("cost")?;
    let (port, admin_port) = (free_port(), free_port());
    let mut node = start(&folder, port, admin_port)?;
    node.wait_for_port(port)?;
    let mut clients = (0..members).map(|_| Client::open(port, request)).collect::<Result<Vec<_>>>()?;
    let mut publisher = connect(port)?;
    for _ in 0..WARM_UP {
        publish(&mut publisher, &mut clients)?;
    }
    control(&["--instr=on"], &node)?;
    for _ in 0..MESSAGES {
        publish(&mut publisher, &mut clients)?;
    }
    control(&["--instr=off"], &node)?;
    control(&["--dump"], &node)?;
    let profile = folder.join("profile.1");
    wait_until("the counts are written", || total(&profile).is_some());
    node.kill();
    total(&profile).context("valgrind has counted nothing")
}

fn start(folder: &Path, port: u16, admin_port: u16) -> Result<Daemon> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--instr-atstart=no"]);
    command.arg(format!("--callgrind-out-file={}", folder.join("profile").display()));
    command.arg(project_root().join("target/cost/roomcast"));
    command.args([
        "--listen",
        &format!("127.0.0.1:{port}"),
        "--admin-listen",
        &format!("127.0.0.1:{admin_port}"),
    ]);
    // One core and one write for each, so that what is counted depends neither on who is where nor on the kernel.
    for setting in ["server.cores=1", "server.batched_writes=off", "limits.first_byte=60s"] {
        command.args(["--set", setting]);
    }
    Daemon::start("valgrind", &mut command, folder)
}

fn control(options: &[&str], node: &Daemon) -> Result<()> {
    let mut command = Command::new("callgrind_control");
    let status = command
        .args(options)
        .arg(node.pid().to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    ensure!(
        status.context("cannot start callgrind_control")?.success(),
        "callgrind_control {options:?} failed"
    );
    Ok(())
}

/// The count in a profile that is written whole.
fn total(profile: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(profile).ok()?;
    text.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

struct Client(TcpStream);

impl Client {
    /// Connected, and a member: the answer is there.
    fn open(port: u16, request: &str) -> Result<Self> {
        let mut stream = connect(port)?;
        stream.write_all(request.as_bytes())?;
        let mut client = Self(stream);
        client.read_until(|bytes| bytes.windows(4).any(|four| four == b"\r\n\r\n"))?;
        Ok(client)
    }

    fn read_until(&mut self, is_enough: impl Fn(&[u8]) -> bool) -> Result<()> {
        let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
        while !is_enough(&bytes) {
            match self.0.read(&mut part)? {
                0 => bail!("the node has ended a connection"),
                len => bytes.extend_from_slice(&part[..len]),
            }
        }
        Ok(())
    }
}

fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One message, and everyone has it: so nothing is ever written together with the next one.
fn publish(publisher: &mut TcpStream, clients: &mut [Client]) -> Result<()> {
    let len = PAYLOAD.len();
    let head = format!("POST /rooms/a/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len}\r\n\r\n");
    publisher.write_all(&[head.as_bytes(), &PAYLOAD].concat())?;
    let mut answer = [0; 1024];
    let len = publisher.read(&mut answer)?;
    ensure!(answer[..len].starts_with(b"HTTP/1.1 202"), "{}", String::from_utf8_lossy(&answer[..len]));
    for client in clients {
        client.read_until(|bytes| bytes.windows(PAYLOAD.len()).any(|window| window == PAYLOAD))?;
    }
    Ok(())
}

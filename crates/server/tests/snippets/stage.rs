//! Where the commands of a document run: a folder that looks like a checkout of the project, ports of its own for those in
//! the text, and one bash, whose variables last from block to block as they do in a terminal.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use xtask::process::{ScratchFolder, scratch_folder};
use xtask::{foreign, free_port, javascript, project_root};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

/// Ports in the text; each document has free ones in their place, in what is run and in what is shown.
const PORTS: [&str; 12] =
    ["6379", "8000", "8080", "8081", "8082", "8083", "9090", "9091", "9092", "9093", "3000", "3001"];

/// What else has another name on the machine of a test.
const NAMES: [(&str, &str); 2] =
    [("https://rt.example", "http://127.0.0.1:8080"), ("https://app.example", "http://127.0.0.1:8000")];
/// What belongs to the machine's administrator is in the document's folder instead.
const SYSTEM_FOLDER: &str = "/etc/roomcast";

/// Functions for hidden commands.
const PRELUDE: &str = include_str!("prelude.sh");

/// Programs that are to be found before those of the machine, because what they do without being told is another here.
const PROGRAMS: [(&str, &str); 5] = [
    ("browser", include_str!("programs/browser")),
    ("python3", include_str!("programs/python3")),
    ("redis-cli", include_str!("programs/redis-cli")),
    ("redis-server", include_str!("programs/redis-server")),
    ("roomcast", include_str!("programs/roomcast")),
];

/// Clients that others wrote.
const FOREIGN: &str = "crates/server/tests/foreign";

/// How often is looked for something to happen, and how long is waited between: two minutes, which only bound a failure.
/// They are counted, because time goes on while this process is not let run, and what it waits for is not either.
const LOOKS_MAX: usize = 6000;
const PAUSE: Duration = Duration::from_millis(20);

/// Waits for something; none if it does not happen.
pub(crate) fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..LOOKS_MAX {
        if let Some(found) = look() {
            return Some(found);
        }
        std::thread::sleep(PAUSE);
    }
    None
}

pub(crate) struct Stage {
    folder: ScratchFolder,
    ports: BTreeMap<&'static str, u16>,
    shell: Child,
    input: Option<ChildStdin>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let folder = scratch_folder("snippets").unwrap();
        let ports = PORTS.map(|port| (port, free_port())).into_iter().collect();
        let (shell, input) = start(&folder);
        let mut stage = Self { folder, ports, shell, input: Some(input) };
        stage.furnish();
        stage
    }

    /// A text of the document with this stage's ports and names in it.
    pub(crate) fn here(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, here) in NAMES {
            text = text.replace(name, here);
        }
        let mut replaced = String::new();
        let mut rest = &*text;
        while let Some(begin) = rest.find(|c: char| c.is_ascii_digit()) {
            let (before, behind) = rest.split_at(begin);
            let end = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
            let (number, behind) = behind.split_at(end);
            replaced += before;
            replaced += &self.ports.get(number).map_or_else(|| number.to_owned(), u16::to_string);
            rest = behind;
        }
        replaced += rest;
        replaced.replace(SYSTEM_FOLDER, &format!("{}{SYSTEM_FOLDER}", self.folder.display()))
    }

    /// Saves a text of the document, as it is here.
    pub(crate) fn save(&self, name: &str, text: &str) {
        let path = self.folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, self.here(text)).unwrap();
    }

    /// Runs a saved script in the shell itself, and waits for it; what it prints goes to `name.out`. Gives whether it ended
    /// without an error; none if it does not end. Where it `may_fail` the shell outlives that.
    pub(crate) fn run(&mut self, name: &str, may_fail: bool) -> Option<bool> {
        let errors = if may_fail { "set +e" } else { "set -e" };
        let path = self.folder.join(name).display().to_string();
        self.tell(&format!(
            "{errors}; . {path} >{path}.out 2>&1 </dev/null; code=$?; set +e; echo $code >{path}.code"
        ));
        wait_for(|| {
            if let Some(code) = self.read(&format!("{name}.code")).filter(|code| code.ends_with('\n')) {
                return Some(code.trim() == "0");
            }
            self.shell.try_wait().unwrap().map(|_| false)
        })
    }

    /// Runs a saved script in a terminal of its own, with the variables of the shell.
    pub(crate) fn start(&mut self, name: &str, terminal: &str) {
        let path = self.folder.join(name).display().to_string();
        let [pid, out] = ["pid", "out"].map(|ending| self.folder.join(format!("{terminal}.{ending}")));
        let (pid, out) = (pid.display(), out.display());
        self.tell(&format!("ln -sf '{path}.out' '{out}'"));
        let inside = format!("(set -e; echo $BASHPID >'{pid}'; . {path}) >{path}.out 2>&1 </dev/null");
        self.tell(&format!("{{ {inside}; echo $? >{path}.code; }} &"));
    }

    /// What a file of the folder has in it, if it is there.
    pub(crate) fn read(&self, name: &str) -> Option<String> {
        let bytes = std::fs::read(self.folder.join(name)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        // Where the shell has ended, whoever waits for the answer finds that out.
        let _ = writeln!(input, "{line}").and_then(|()| input.flush());
    }

    /// What a checkout has, packages where Node.js looks for them, and programs that know the ports of this stage.
    fn furnish(&mut self) {
        let root = project_root();
        for name in ["clients", "deploy", "docs", "helm", "loadtest", "crates"] {
            symlink(root.join(name), self.folder.join(name)).unwrap();
        }
        for name in ["go.mod", "go.sum"] {
            symlink(root.join(FOREIGN).join(name), self.folder.join(name)).unwrap();
        }
        std::fs::create_dir_all(self.folder.join("node_modules")).unwrap();
        let modules = self.folder.join("node_modules");
        for package in std::fs::read_dir(root.join(FOREIGN).join("node_modules")).unwrap().flatten() {
            symlink(package.path(), modules.join(package.file_name())).unwrap();
        }
        symlink(javascript::prepare().unwrap(), modules.join("roomcast")).unwrap();
        for (name, text) in PROGRAMS {
            self.save_program(&format!("bin/{name}"), text);
        }
        self.save_program("target/release/roomcast", "#!/bin/sh\nexec \"$BINARY\" \"$@\"\n");
        self.save(".curlrc", "silent\nshow-error\n");
        self.save("prelude.sh", PRELUDE);
        self.tell(". ./prelude.sh");
    }

    fn save_program(&self, name: &str, text: &str) {
        self.save(name, text);
        std::fs::set_permissions(self.folder.join(name), Permissions::from_mode(0o755)).unwrap();
    }
}

/// A bash in a process group of its own, which it takes with it whatever ends it, be it the end of its input.
fn start(folder: &Path) -> (Child, ChildStdin) {
    let log = std::fs::File::create(folder.join("bash.log")).unwrap();
    let foreign = foreign::prepare().unwrap();
    // It has the Python with the packages of the list, wherever those are.
    let python = foreign.python("");
    let mut bash = Command::new("bash");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ROOMCAST_")) {
        bash.env_remove(name);
    }
    bash.envs(python.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let path = std::env::var("PATH").unwrap();
    bash.env("PATH", format!("{}:{path}:/usr/sbin", folder.join("bin").display()))
        .env("PYTHON", python.get_program())
        .env("BINARY", BINARY)
        .env("FOREIGN", project_root().join(FOREIGN))
        .env("FOLDER", folder)
        .env("CURL_HOME", folder);
    bash.current_dir(folder).args(["--norc", "--noprofile"]).process_group(0);
    let mut shell = bash.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let input = shell.stdin.take().unwrap();
    (shell, input)
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = kill_process_group(Pid::from_child(&self.shell), Signal::KILL);
        let _ = self.shell.wait();
    }
}

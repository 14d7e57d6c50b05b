//! One document from its first block to its last.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use crate::document::{Block, Marker, blocks};
use crate::output::{is_all_described, lines_described};
use crate::stage::{Stage, wait_for};

/// What is done with a language's blocks; `FILE` is where the block was saved, `COMPILED` what TypeScript makes of it.
struct Language {
    name: &'static str,
    extension: &'static str,
    /// How it is run; none for what only describes something.
    run: Option<&'static str>,
    /// How it is checked where it is not run.
    check: &'static str,
}

const LANGUAGES: [Language; 10] = [
    language("sh", "sh", Some(". FILE"), "bash -n FILE && shellcheck --severity=error --shell=bash FILE"),
    language("js", "mjs", Some("node FILE"), "node --check FILE"),
    language("ts", "mts", Some("TSC --outDir . FILE && node COMPILED"), "TSC --noEmit FILE"),
    language("python", "py", Some("python3 FILE"), "python3 -m py_compile FILE"),
    language("go", "go", Some("go run FILE"), "gofmt -l FILE"),
    language("php", "php", Some("php FILE"), "php -l FILE"),
    language("html", "html", None, "grep -qi '<!doctype html>' FILE"),
    language("json", "json", None, "python3 -m json.tool FILE"),
    language("toml", "toml", None, "roomcast config check --config FILE"),
    language(
        "yaml",
        "yaml",
        None,
        "python3 -c 'import sys, yaml; list(yaml.safe_load_all(open(sys.argv[1])))' FILE",
    ),
];

const TSC: &str =
    "node clients/javascript/node_modules/typescript/bin/tsc --strict --target es2022 --module nodenext";

/// A command for a file.
fn on(file: &str, command: &str) -> String {
    let compiled = file.replace(".mts", ".mjs");
    command.replace("COMPILED", &compiled).replace("FILE", &format!("./{file}")).replace("TSC", TSC)
}

const fn language(
    name: &'static str,
    extension: &'static str,
    run: Option<&'static str>,
    check: &'static str,
) -> Language {
    Language { name, extension, run, check }
}

/// What has become of the blocks that readers see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Run, or saved and then used by what was run.
    pub(crate) run: usize,
    /// Shown as the output of something that was run, and so it was.
    pub(crate) compared: usize,
    /// Settings and data, read by who reads them.
    pub(crate) read: usize,
    /// Not run, for the reason beside them; their syntax is right.
    pub(crate) checked: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.run += other.run;
        self.compared += other.compared;
        self.read += other.read;
        self.checked += other.checked;
    }
}

/// Plays a document; the error says where it went wrong and what was printed.
pub(crate) fn play(text: &str) -> Result<Counts, String> {
    let blocks = blocks(text)?;
    let mut play = Play {
        stage: Stage::new(),
        counts: Counts::default(),
        shown: None,
        terminals: BTreeMap::new(),
        programs: Vec::new(),
        files: BTreeMap::new(),
    };
    for block in &blocks {
        play.block(block).map_err(|error| format!("line {}: {error}", block.line))?;
    }
    play.programs_are_well()?;
    match play.files.iter().find(|(_, used)| !**used) {
        Some((name, _)) => Err(format!("nothing that is run uses {name}")),
        None => Ok(play.counts),
    }
}

struct Play {
    stage: Stage,
    counts: Counts,
    /// Where the block before has printed.
    shown: Option<Shown>,
    terminals: BTreeMap<String, Terminal>,
    /// Scripts of programs, other than shells, in terminals.
    programs: Vec<(usize, String)>,
    /// Saved files, and whether something has used them.
    files: BTreeMap<String, bool>,
}

/// What the shell says of a program that was killed, as the text tells its reader to do.
const KILLED: &str = "137";

/// What a block of output belongs to.
enum Shown {
    /// A script that has ended.
    Script(String),
    Terminal(String),
}

struct Terminal {
    script: String,
    /// Lines that were compared before.
    read: usize,
}

impl Play {
    fn block(&mut self, block: &Block) -> Result<(), String> {
        if block.language == "text" {
            return self.text(block);
        }
        let known = LANGUAGES.iter().find(|language| language.name == block.language);
        let language = known.ok_or_else(|| format!("{:?} is no language that can be run", block.language))?;
        let file =
            block.file().map_or_else(|| format!("block{}.{}", block.line, language.extension), str::to_owned);
        self.stage.save(&file, &block.body);
        self.use_files(&block.body);
        match language.run {
            _ if block.reason().is_some() => self.counts.checked += 1,
            _ if block.file().is_some() => {
                self.counts.run += 1;
                self.files.insert(file.clone(), false);
            }
            None => self.counts.read += 1,
            Some(run) => {
                self.counts.run += usize::from(!block.has(&Marker::Hidden));
                return self.run(block, &file, run);
            }
        }
        self.shown = None;
        self.command(block, &on(&file, language.check)).map(drop)
    }

    /// Runs a saved block, in the way that is said above it.
    fn run(&mut self, block: &Block, file: &str, run: &str) -> Result<(), String> {
        let run = on(file, run);
        if let Some(url) = block.page() {
            return self.terminal(block, "page", &format!("browser {url} {file}"));
        }
        if let Some(name) = block.terminal() {
            return self.terminal(block, name, &run);
        }
        let script =
            if block.has(&Marker::Terminals) { self.lines(block)? } else { self.command(block, &run)? };
        if !block.has(&Marker::Hidden) {
            self.shown = Some(Shown::Script(script));
        }
        Ok(())
    }

    /// What is shown is compared, unless something else does that.
    fn text(&mut self, block: &Block) -> Result<(), String> {
        if block.reason().is_none() {
            self.counts.compared += 1;
            return self.output(block);
        }
        self.counts.checked += 1;
        Ok(())
    }

    /// Notes which of the saved files a block names.
    fn use_files(&mut self, body: &str) {
        for (name, used) in &mut self.files {
            *used |= body.contains(&**name);
        }
    }

    /// Runs a command and waits for it; gives the script that it was made.
    fn command(&mut self, block: &Block, command: &str) -> Result<String, String> {
        let script = format!("run{}.sh", block.line);
        self.stage.save(&script, command);
        let fails = block.has(&Marker::Fails);
        let succeeded = self.stage.run(&script, fails);
        let printed = self.stage.read(&format!("{script}.out")).unwrap_or_default();
        match succeeded {
            None => Err(format!("does not end; printed:\n{printed}")),
            Some(true) if fails => Err(format!("does not fail; printed:\n{printed}")),
            Some(false) if !fails => Err(format!("fails; printed:\n{printed}")),
            Some(_) => Ok(script),
        }
    }

    /// Starts a command in a terminal.
    fn terminal(&mut self, block: &Block, name: &str, command: &str) -> Result<(), String> {
        let script = format!("terminal{}.sh", block.line);
        self.stage.save(&script, command);
        self.stage.start(&script, name);
        if block.language != "sh" {
            self.programs.push((block.line, script.clone()));
        }
        self.terminals.insert(name.to_owned(), Terminal { script, read: 0 });
        self.shown = Some(Shown::Terminal(name.to_owned()));
        Ok(())
    }

    /// A program that goes on in a terminal may have failed there after all that was looked at.
    fn programs_are_well(&self) -> Result<(), String> {
        for (line, script) in &self.programs {
            let code = self.stage.read(&format!("{script}.code")).unwrap_or_default();
            if !["", "0", KILLED].contains(&code.trim()) {
                let printed = self.stage.read(&format!("{script}.out")).unwrap_or_default();
                return Err(format!("line {line}: has failed in its terminal; printed:\n{printed}"));
            }
        }
        Ok(())
    }

    /// Each line in a terminal of its own; the next is typed when there is something to see in the one before.
    fn lines(&mut self, block: &Block) -> Result<String, String> {
        let lines: Vec<_> = block.body.lines().collect();
        let (last, others) = lines.split_last().ok_or("the block is empty")?;
        for (n, line) in others.iter().enumerate() {
            let script = format!("line{}.sh", block.line + n);
            self.stage.save(&script, line);
            let name = (n + 1).to_string();
            self.stage.start(&script, &name);
            self.terminals.insert(name, Terminal { script: script.clone(), read: 0 });
            let out = format!("{script}.out");
            wait_for(|| self.stage.read(&out).filter(|printed| !printed.is_empty()))
                .ok_or_else(|| format!("{line} prints nothing"))?;
        }
        self.command(block, last)
    }

    /// Compares what is shown with what was printed.
    fn output(&mut self, block: &Block) -> Result<(), String> {
        let expected = self.stage.here(&block.body);
        let shown = match block.output() {
            Some(name) => Shown::Terminal(name.to_owned()),
            None => self.shown.take().ok_or("output of what? It stands behind nothing that prints")?,
        };
        match shown {
            Shown::Script(script) => {
                let printed = self.stage.read(&format!("{script}.out")).unwrap_or_default();
                if is_all_described(&expected, &printed) {
                    return Ok(());
                }
                Err(format!("printed:\n{printed}\ninstead of:\n{expected}"))
            }
            Shown::Terminal(name) => self.terminal_shows(&name, &expected),
        }
    }

    fn terminal_shows(&mut self, name: &str, expected: &str) -> Result<(), String> {
        let terminal =
            self.terminals.get_mut(name).ok_or_else(|| format!("there is no terminal {name:?}"))?;
        let out = format!("{}.out", terminal.script);
        let mut unread = String::new();
        let found = wait_for(|| {
            let printed = self.stage.read(&out).unwrap_or_default();
            // The last line may not be whole yet.
            let whole = printed.rfind('\n').map_or("", |end| &printed[..end]);
            unread = whole.lines().skip(terminal.read).collect::<Vec<_>>().join("\n");
            lines_described(expected, &unread)
        });
        let read = found.ok_or_else(|| format!("{name} shows:\n{unread}\ninstead of:\n{expected}"))?;
        terminal.read += read;
        Ok(())
    }
}

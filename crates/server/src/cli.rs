//! The command line. Errors go to standard error as a sentence; exit codes are 0, 1 (it failed) and
//! 2 (it was asked wrongly).

mod bench;
mod doctor;
mod publish;
mod subscribe;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigError, Raw, default_file};
use crate::{app, cores, log};

/// Rooms over WebSocket and Server-Sent Events, fanned out through Redis.
#[derive(Debug, Parser)]
#[command(name = "roomcast", version, about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Settings,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a gateway node (what happens without a command, too)
    Serve(Settings),
    /// Publish one message through a running gateway
    Publish(publish::Arguments),
    /// Print the messages of rooms, one a line
    Subscribe(subscribe::Arguments),
    /// Make a token for trying things out
    Token(Box<token::Arguments>),
    /// Look at the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Put load on a server, count every message, and measure what it costs
    #[command(long_about = bench::ABOUT)]
    Bench(Box<bench::Arguments>),
    /// Check what usually goes wrong: Redis, its version and settings, descriptors, ports, proxies in front
    Doctor(Box<doctor::Arguments>),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Report everything that is wrong with the configuration
    Check(Settings),
    /// Print a commented configuration file with every default
    Default,
}

/// Where settings come from.
#[derive(Debug, Clone, Args)]
struct Settings {
    /// Configuration file; without it ./roomcast.toml is read if it exists
    #[arg(long, value_name = "FILE", env = "ROOMCAST_CONFIG")]
    config: Option<PathBuf>,
    /// Where clients connect [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where operators connect [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<String>,
    /// Redis that connects the nodes; without it the broker is embedded
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// Any setting, such as drain.window=5s; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Read without being asked for.
const DEFAULT_FILE: &str = "roomcast.toml";

impl Settings {
    fn read(&self) -> Result<Config, Vec<ConfigError>> {
        let mut raw = Raw::default();
        match &self.config {
            Some(path) => raw.file(path),
            None if PathBuf::from(DEFAULT_FILE).exists() => raw.file(DEFAULT_FILE.as_ref()),
            None => {}
        }
        raw.environment(
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))),
        );
        let flags = [
            ("--listen", "server.listen", &self.listen),
            ("--admin-listen", "admin.listen", &self.admin_listen),
            ("--redis", "broker.url", &self.redis),
        ];
        for (flag, path, value) in flags {
            if let Some(value) = value {
                raw.flag(flag, path, value);
            }
        }
        for assignment in &self.set {
            raw.assignment("--set", assignment);
        }
        Config::from_raw(raw, &environment)
    }
}

/// A variable that a setting names.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    let Cli { command, serve } = Cli::parse();
    match command.unwrap_or(Command::Serve(serve)) {
        Command::Serve(settings) => run_node(settings),
        Command::Publish(arguments) => report(block_on(publish::run(arguments))),
        Command::Subscribe(arguments) => report(block_on(subscribe::run(arguments))),
        Command::Token(arguments) => {
            with_config(&arguments.settings, |config| report(arguments.run(&config, &environment)))
        }
        Command::Config { command: ConfigCommand::Default } => {
            print!("{}", default_file());
            ExitCode::SUCCESS
        }
        Command::Config { command: ConfigCommand::Check(settings) } => with_config(&settings, |_| {
            println!("the configuration is good");
            ExitCode::SUCCESS
        }),
        Command::Bench(arguments) => match arguments.node() {
            Some(settings) => {
                bench::end_with_parent().map_or_else(|error| report(Err(error)), |()| run_node(settings))
            }
            None => report(arguments.run()),
        },
        Command::Doctor(arguments) => examine(*arguments),
    }
}

fn examine(arguments: doctor::Arguments) -> ExitCode {
    if let Err(message) = arguments.check() {
        eprintln!("error: {message}");
        return ExitCode::from(2);
    }
    with_config(&arguments.settings.clone(), |config| match block_on(arguments.run(config)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => report(Err(error)),
    })
}

fn run_node(settings: Settings) -> ExitCode {
    with_config(&settings.clone(), |config| {
        let lines = log::start(&config);
        report(app::serve(config, &(Box::new(move || settings.read()) as app::Reload), lines))
    })
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::task::LocalSet::new().block_on(&cores::runtime()?, work)
}

fn with_config(settings: &Settings, work: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    match settings.read() {
        Ok(config) => work(config),
        Err(errors) => {
            for error in errors {
                eprintln!("error: {error}");
            }
            ExitCode::from(2)
        }
    }
}

fn report(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

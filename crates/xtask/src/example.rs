//! `cargo xtask example`: one of the examples in `docs/examples`, for somebody to look at.

use std::time::Duration;

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};
use xtask::process::preferred_port;
use xtask::{Example, Node, examples, project_root};

use crate::{cluster, install};

/// How often it is looked whether all of it still runs.
const LOOK: Duration = Duration::from_millis(500);

/// Runs until Ctrl-C or SIGTERM, or until a part of it ends; then stops everything it has started.
pub(crate) fn run(name: &str) -> Result<()> {
    // A wrong name is told before anything is built.
    examples::backend_file(name)?;
    install::programs()?;
    cluster::build()?;
    let binary = project_root().join("target/release/roomcast");
    let mut example = Example::start(&binary, name, preferred_port)?;
    announce(&example);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        loop {
            tokio::select! {
                result = tokio::signal::ctrl_c() => return Ok(result?),
                _ = terminate.recv() => return Ok(()),
                () = tokio::time::sleep(LOOK) => example.check()?,
            }
        }
    })
}

fn announce(example: &Example) {
    let admin: Vec<_> = example.nodes().iter().map(Node::admin_port).collect();
    println!("\n  the page    {}", example.url());
    println!("  the nodes   http://127.0.0.1:{}/metrics, http://127.0.0.1:{}/metrics", admin[0], admin[1]);
    println!("  Redis       {}", example.redis().url());
    println!("  access log  {}\n", example.log().display());
    println!("Open the page twice. Ctrl-C ends all of it.");
}

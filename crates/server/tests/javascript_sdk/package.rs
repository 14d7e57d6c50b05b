//! What the package itself is checked by: unit tests on a clock of their own, types, its size, whether npm would like it, and its
//! example.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use xtask::{Node, javascript};

#[test]
fn its_own_checks_pass() {
    for script in ["types", "unit", "lint"] {
        println!("{}", javascript::run(script).unwrap());
    }
}

#[test]
fn the_example_runs() {
    let node =
        Node::start(env!("CARGO_BIN_EXE_roomcast"), &["--set", "namespaces.default.history=10"]).unwrap();
    let package = javascript::prepare().unwrap();
    let readme = std::fs::read_to_string(package.join("README.md")).unwrap();
    let example = readme.split("```js\n").nth(1).unwrap().split("```").next().unwrap();
    let address = "https://rt.example";
    assert!(example.contains(address));
    let example = example.replace(address, &format!("http://127.0.0.1:{}", node.port()));
    let mut command = Command::new("node");
    command.current_dir(package).args(["--input-type=module", "--eval", &example]).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.starts_with("order { id: 7, paid: true } "), "{line}");
}

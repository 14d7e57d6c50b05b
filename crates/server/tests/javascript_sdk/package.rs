//! What the package itself is checked by: unit tests on a clock of their own, types, its size, and whether npm would like it.

use xtask::javascript;

#[test]
fn its_own_checks_pass() {
    for script in ["types", "unit", "lint"] {
        println!("{}", javascript::run(script).unwrap());
    }
}

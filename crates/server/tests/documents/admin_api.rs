//! docs/admin_api.md says what the OpenAPI says that a node serves.

use serde_json::{Map, Value};
use xtask::Node;
use xtask::process::http_get;

use crate::{BINARY, document};

const PAGE: &str = "docs/admin_api.md";

/// What the page has to say of one operation: lines that stand in its section as they are.
fn described(operation: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = vec![format!("{}.", text(&operation["summary"]))];
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let (name, place) = (text(&parameter["name"]), text(&parameter["in"]));
        lines.push(format!("| `{name}` | {place} | {} |", text(&parameter["description"])));
    }
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    for body in schema["oneOf"].as_array().unwrap_or(&vec![schema.clone()]) {
        let required: Vec<_> = body["required"].as_array().into_iter().flatten().map(text).collect();
        for name in body["properties"].as_object().into_iter().flat_map(Map::keys) {
            let need = if required.contains(name) { "required" } else { "optional" };
            lines.push(format!("| `{name}` | body, {need} |"));
        }
    }
    let answers: Vec<_> = operation["responses"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(status, answer)| format!("{status} {}", text(&answer["description"])))
        .collect();
    lines.push(format!("Answers: {}.", answers.join("; ")));
    lines
}

#[test]
fn the_documented_admin_api_is_the_one_that_is_served() {
    let node = Node::start(BINARY, &[]).unwrap();
    let served: Value =
        serde_json::from_str(&http_get(node.admin_port(), "/api/openapi.json").unwrap()).unwrap();
    let page = document(PAGE);
    let mut headings = Vec::new();
    for (path, methods) in served["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let heading = format!("### `{} {path}`", method.to_uppercase());
            let section =
                page.split("\n### ").find(|section| heading.ends_with(section.lines().next().unwrap_or("-")));
            let section = section.unwrap_or_else(|| panic!("{PAGE} has no section {heading}"));
            for line in described(operation) {
                assert!(section.contains(&line), "in {PAGE}, section {heading}, put\n{line}");
            }
            headings.push(heading);
        }
    }
    let documented: Vec<_> = page.lines().filter(|line| line.starts_with("### ")).collect();
    let unknown: Vec<_> =
        documented.iter().filter(|line| !headings.iter().any(|heading| heading == *line)).collect();
    assert!(unknown.is_empty(), "{PAGE} has sections of what is not served: {unknown:?}");
    assert_eq!(documented.len(), 10);
}

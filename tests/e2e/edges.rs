//! The dependency rule of docs/architecture.md, held against the manifests.

use std::collections::BTreeMap;
use std::process::Command;

/// The allowed edges, as the block between the two fences in docs/architecture.md lists them.
fn allowed() -> BTreeMap<String, Vec<String>> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/architecture.md")).unwrap();
    let block = page.split("```edges\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block of edges");
    let line = |line: &str| {
        let (from, to) = line.split_once("->").expect("an arrow");
        (from.trim().to_owned(), to.split(',').map(|name| name.trim().to_owned()).filter(|n| !n.is_empty()).collect())
    };
    block.lines().map(line).collect()
}

#[test]
fn crates_depend_only_where_the_architecture_allows() {
    let output = Command::new(env!("CARGO")).args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).output().unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let names: Vec<_> = packages.iter().map(|p| p["name"].as_str().unwrap()).collect();
    let allowed = allowed();
    for package in packages {
        let from = package["name"].as_str().unwrap();
        let allowed = allowed.get(from).unwrap_or_else(|| panic!("docs/architecture.md does not list {from}"));
        let normal = package["dependencies"].as_array().unwrap().iter().filter(|d| d["kind"].is_null());
        let within = normal.map(|d| d["name"].as_str().unwrap()).filter(|name| names.contains(name));
        for to in within {
            assert!(allowed.iter().any(|name| name == to), "{from} -> {to} is not an edge of docs/architecture.md");
        }
    }
}

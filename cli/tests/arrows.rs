//! The arrows between crates are those of docs/architecture.md, no others.

use std::fs;
use std::path::Path;

/// Each crate and what it may depend on, of ours.
const ARROWS: [(&str, &[&str]); 16] = [
    ("config", &[]),
    ("admin", &[]),
    ("keys", &["config"]),
    ("expr", &["keys"]),
    ("api", &["config"]),
    ("plan", &["api", "config", "expr", "keys"]),
    ("import", &["api", "config", "expr", "plan"]),
    ("operator", &["plan", "admin", "api", "config"]),
    ("gateway", &["admin", "config", "expr", "keys", "tunnel"]),
    ("tunnel", &["config", "tcpinfo"]),
    ("tcpinfo", &[]),
    ("wire", &[]),
    (
        "cli",
        &["api", "config", "expr", "gateway", "import", "plan", "wire"],
    ),
    ("e2e", &["api", "config", "wire"]),
    ("bench", &["wire"]),
    ("fuzz", &["expr", "gateway", "tunnel"]),
];

/// Crates that must not reach the cluster or the network.
const PURE: [&str; 5] = ["config", "keys", "expr", "plan", "import"];

fn manifest(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(name)
        .join("Cargo.toml");
    fs::read_to_string(path).expect("every crate has a manifest")
}

/// Names of all dependencies that are compiled into the crate itself, tests aside.
fn dependencies(manifest: &str) -> Vec<&str> {
    let sections = manifest.split("\n[");
    let normal = sections.filter(|section| section.starts_with("dependencies]"));
    let lines = normal.flat_map(|section| section.lines().skip(1));
    lines
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn no_crate_depends_on_what_it_must_not_know() {
    for (name, allowed) in ARROWS {
        let manifest = manifest(name);
        for dependency in dependencies(&manifest) {
            if let Some(ours) = dependency.strip_prefix("tidegate-") {
                assert!(allowed.contains(&ours), "{name} must not depend on {ours}");
            }
        }
    }
}

#[test]
fn the_pure_crates_have_no_runtime_and_no_client() {
    for name in PURE {
        let manifest = manifest(name);
        for banned in ["tokio", "reqwest", "hyper", "kube-client", "kube-runtime"] {
            assert!(
                !dependencies(&manifest).contains(&banned),
                "{name} must not depend on {banned}"
            );
        }
    }
}

#[test]
fn the_gateway_names_kube_in_its_cluster_source_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/src");
    let mut found = 0;
    let mut directories = vec![root];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            if text.contains("kube::") || text.contains("k8s_openapi::") {
                let place = path.to_string_lossy().into_owned();
                assert!(
                    place.contains("source/cluster"),
                    "{place} must not name kube"
                );
                found += 1;
            }
        }
    }
    assert!(
        found > 0,
        "the cluster source has moved: look for it elsewhere"
    );
}

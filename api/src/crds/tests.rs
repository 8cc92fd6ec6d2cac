use std::path::Path;

use super::*;

#[test]
fn checked_in_files_are_what_the_types_say() {
    let api = Path::new(env!("CARGO_MANIFEST_DIR"));
    for crd in crds() {
        for (path, wanted) in [
            (api.join("../crds").join(crd.file_name()), crd.yaml()),
            (
                api.join("schemas").join(crd.schema_file_name()),
                crd.schema_json(),
            ),
        ] {
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                found == wanted,
                "{} differs from the types: run `cargo run -p tidegate-api --bin crdgen`",
                path.display()
            );
        }
    }
}

#[test]
fn a_definition_fits_into_an_annotation() {
    // kubectl apply keeps the whole object in an annotation, which may have 256 KiB.
    for crd in crds() {
        let bytes = crd.json.to_string().len();
        assert!(bytes < 220 * 1024, "{} has {bytes} bytes", crd.kind);
    }
}

/// The API server refuses rules whose estimated cost is too high; unbounded strings and lists make
/// it so. Kubernetes' own types carry no rules and are left as they are.
#[test]
fn everything_of_ours_is_bounded() {
    const KUBERNETES: [&str; 13] = [
        ".resources",
        ".podLabels",
        ".podAnnotations",
        ".nodeSelector",
        ".tolerations",
        ".affinity",
        ".topologySpreadConstraints",
        ".extraEnv",
        ".readinessGates",
        ".autoscaling.metrics",
        ".autoscaling.behavior",
        "elector",
        ".annotations",
    ];
    fn unbounded(schema: &Value, path: &str, found: &mut Vec<String>) {
        if KUBERNETES.iter().any(|skipped| path.ends_with(skipped)) {
            return;
        }
        let bound = match schema["type"].as_str() {
            Some("string") if !schema["enum"].is_array() && schema["format"] != "date-time" => {
                Some("maxLength")
            }
            Some("array") => Some("maxItems"),
            _ => None,
        };
        if let Some(bound) = bound.filter(|bound| !schema[*bound].is_number()) {
            found.push(format!("{path} lacks {bound}"));
        }
        for (name, below) in schema["properties"].as_object().into_iter().flatten() {
            unbounded(below, &format!("{path}.{name}"), found);
        }
        if schema["items"].is_object() {
            unbounded(&schema["items"], &format!("{path}[]"), found);
        }
    }
    for crd in crds() {
        let mut found = Vec::new();
        unbounded(&crd.schema()["properties"]["spec"], &crd.kind, &mut found);
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn every_field_of_ours_is_documented() {
    fn undocumented(schema: &Value, path: &str, found: &mut Vec<String>) {
        for (name, below) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            if below["description"].as_str().is_none_or(str::is_empty) {
                found.push(path.clone());
            }
            undocumented(below, &path, found);
        }
        if schema["items"].is_object() {
            undocumented(&schema["items"], path, found);
        }
    }
    for crd in crds() {
        let mut found = Vec::new();
        for part in ["spec", "status"] {
            undocumented(
                &crd.schema()["properties"][part],
                &format!("{}.{part}", crd.kind),
                &mut found,
            );
        }
        assert!(found.is_empty(), "{found:#?}");
    }
}

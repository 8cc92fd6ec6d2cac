//! Writes `crds/*.yaml`, `api/schemas/*.json` for `tidegate validate`, `schemas/tidegate.json` for editors, and
//! `docs/reference.md`.

mod reference;

use std::path::PathBuf;
use std::{fs, io};

use serde_json::Value;
use tidegate_api::json_schemas;

fn main() -> io::Result<()> {
    let api = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let (crds, schemas) = (api.join("../crds"), api.join("schemas"));
    let editors = api.join("../schemas");
    for directory in [&crds, &schemas, &editors] {
        fs::create_dir_all(directory)?;
    }
    for crd in tidegate_api::crds() {
        fs::write(crds.join(crd.file_name()), crd.yaml())?;
        fs::write(schemas.join(crd.schema_file_name()), crd.schema_json())?;
    }
    fs::write(editors.join("tidegate.json"), short_lines(&json_schemas()))?;
    fs::write(api.join("../docs/reference.md"), reference::page())
}

/// Short lines for diffs, without indentation: it would be half of the file.
fn short_lines(schema: &Value) -> String {
    let text = format!("{schema:#}");
    let lines: Vec<_> = text.lines().map(str::trim_start).collect();
    lines.join("\n") + "\n"
}

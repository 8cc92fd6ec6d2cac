//! Writes `crds/*.yaml`, `api/schemas/*.json` for `tidegate validate`, and `docs/reference.md`.

mod reference;

use std::path::PathBuf;
use std::{fs, io};

fn main() -> io::Result<()> {
    let api = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let (crds, schemas) = (api.join("../crds"), api.join("schemas"));
    fs::create_dir_all(&crds)?;
    fs::create_dir_all(&schemas)?;
    for crd in tidegate_api::crds() {
        fs::write(crds.join(crd.file_name()), crd.yaml())?;
        fs::write(schemas.join(crd.schema_file_name()), crd.schema_json())?;
    }
    fs::write(api.join("../docs/reference.md"), reference::page())
}

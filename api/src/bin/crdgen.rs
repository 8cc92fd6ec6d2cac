//! Writes `crds/*.yaml`.

use std::path::PathBuf;
use std::{fs, io};

fn main() -> io::Result<()> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crds");
    fs::create_dir_all(&directory)?;
    for crd in tidegate_api::crds() {
        fs::write(directory.join(crd.file_name()), crd.yaml())?;
    }
    Ok(())
}

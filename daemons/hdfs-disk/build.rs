//! Compiles the `.proto` texts of this crate with protox, so that no protoc is needed.

use std::path::Path;

fn main() {
    let folder = Path::new("proto");
    println!("cargo:rerun-if-changed=proto");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the proto folder is part of the crate")
        .map(|entry| entry.expect("readable folder entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "proto"))
        .collect();
    files.sort();
    let descriptors = protox::compile(&files, [folder]).expect("the .proto texts are valid");
    prost_build::Config::new().compile_fds(descriptors).expect("code generation into OUT_DIR");
}

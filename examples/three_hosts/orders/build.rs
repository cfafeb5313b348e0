// SPDX-License-Identifier: MIT
fn main() {
    println!("cargo::rerun-if-changed=../shop.proto");
    tonic_prost_build::configure()
        .compile_protos(&["../shop.proto"], &[".."])
        .expect("protoc");
}

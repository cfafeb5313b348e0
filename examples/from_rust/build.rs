// SPDX-License-Identifier: MIT
//! Links libctx. CTX_LIB_DIR names the folder of libctx.so, such as a build folder of this project;
//! without it the linker looks where libraries are installed.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CTX_LIB_DIR");
    println!("cargo:rustc-link-lib=dylib=ctx");
    if let Ok(dir) = std::env::var("CTX_LIB_DIR") {
        println!("cargo:rustc-link-search=native={dir}");
        println!("cargo:rustc-link-arg=-Wl,-rpath,{dir}");
    }
}

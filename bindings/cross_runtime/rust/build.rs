// SPDX-License-Identifier: MIT
//! Links the C worker, and has the loader find it and the installed libctx where they are.

fn main() {
    println!("cargo:rerun-if-env-changed=WORKER_DIR");
    let worker = std::env::var("WORKER_DIR").expect("WORKER_DIR names the folder of libworker.so");
    println!("cargo:rustc-link-search=native={worker}");
    println!("cargo:rustc-link-lib=dylib=worker");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{worker}");
    println!("cargo:rerun-if-env-changed=LIBCTX_LIBDIR");
    let libctx = std::env::var("LIBCTX_LIBDIR").expect("LIBCTX_LIBDIR names that of libctx.so");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{libctx}");
}

// SPDX-License-Identifier: MIT
//! Finds the C library or, with the feature `bundled`, compiles it. README.md has the order of the search.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if variable("DOCS_RS").is_some() {
        return; // documentation links nothing, and the machine that makes it has no libctx
    }
    let forced = variable("LIBCTX_BUNDLED").is_some_and(|value| value != "0");
    if forced && !cfg!(feature = "bundled") {
        panic!("LIBCTX_BUNDLED is set, but libctx-sys is built without its feature `bundled`");
    }
    if forced || !(by_pkg_config() || by_variables()) {
        bundled();
    }
}

/// An environment variable that, when it changes, has this script run again.
fn variable(name: &str) -> Option<String> {
    println!("cargo:rerun-if-env-changed={name}");
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn by_pkg_config() -> bool {
    if pkg_config::Config::new().atleast_version("0.1").probe("libctx").is_err() {
        return false;
    }
    let folder =
        |name| pkg_config::get_variable("libctx", name).expect("libctx.pc has its folders");
    tell(Path::new(&folder("includedir")), Path::new(&folder("libdir")));
    true
}

fn by_variables() -> bool {
    let prefix = variable("LIBCTX_DIR").map(PathBuf::from);
    let folder = |name, below| {
        let own = variable(name).map(PathBuf::from);
        own.or_else(|| prefix.as_ref().map(|prefix| prefix.join(below)))
    };
    let include = folder("LIBCTX_INCLUDE_DIR", "include");
    let Some(lib) = folder("LIBCTX_LIB_DIR", "lib") else {
        return false;
    };
    let include = include.unwrap_or_else(|| bundled_folder().join("include"));
    assert!(include.join("ctx/ctx.h").exists(), "no ctx/ctx.h in {}", include.display());
    assert!(lib.join("libctx.so").exists(), "no libctx.so in {}", lib.display());
    println!("cargo:rustc-link-search=native={}", lib.display());
    println!("cargo:rustc-link-lib=dylib=ctx");
    tell(&include, &lib);
    true
}

/// Where headers and library are: for crates built on this one, and for this one's own tests.
fn tell(include: &Path, lib: &Path) {
    println!("cargo:include={}", include.display());
    println!("cargo:rustc-env=LIBCTX_SYS_INCLUDE={}", include.display());
    println!("cargo:rustc-env=LIBCTX_SYS_LIB={}", lib.display());
}

fn bundled_folder() -> PathBuf {
    Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap()).join("bundled")
}

#[cfg(not(feature = "bundled"))]
fn bundled() {
    panic!(
        "no libctx found: install it where pkg-config sees it (PKG_CONFIG_PATH), \
         or set LIBCTX_DIR to its prefix, or build with the feature `bundled`"
    );
}

/// Every C++ source in a folder and the folders in it, in a fixed order.
#[cfg(feature = "bundled")]
fn sources_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the crate has its sources");
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let (folders, mut sources): (Vec<_>, Vec<_>) =
        paths.into_iter().partition(|path| path.is_dir());
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "cc"));
    sources.extend(folders.iter().flat_map(|folder| sources_below(folder)));
    sources
}

/// As cmake/library.cmake does it for a static library, with the same flags.
#[cfg(feature = "bundled")]
fn bundled() {
    let root = bundled_folder();
    let mut build = cc::Build::new();
    let flags = root.join("core/flags.txt");
    println!("cargo:rerun-if-changed={}", flags.display());
    for flag in std::fs::read_to_string(flags).expect("the crate has its flags").lines() {
        build.flag(flag);
    }
    let mut includes = String::new(); // all as one file, which compiles in a fifth of the time
    for folder in ["core", "capi"] {
        let folder = root.join(folder);
        println!("cargo:rerun-if-changed={}", folder.display());
        for source in sources_below(&folder) {
            includes += &format!("#include {:?}\n", source);
        }
    }
    let one_file = Path::new(&env::var("OUT_DIR").unwrap()).join("ctx.cc");
    std::fs::write(&one_file, includes).expect("there is room for the generated file");
    println!("cargo:rerun-if-changed={}", root.join("include").display());
    build
        .cpp(true)
        .file(&one_file)
        .cpp_link_stdlib(None)
        .std("c++20")
        .opt_level(2) // as it is released, also below a program that is built for a debugger
        .include(root.join("include"))
        .include(&root)
        .define("CTX_STATIC", None)
        .compile("ctx");
    println!("cargo:rustc-link-lib=pthread");
    tell(&root.join("include"), Path::new(&env::var("OUT_DIR").unwrap()));
}

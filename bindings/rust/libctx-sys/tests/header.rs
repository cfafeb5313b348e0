// SPDX-License-Identifier: MIT
//! The declarations are those of the C headers: a C compiler compares each function's type, each size,
//! offset and constant with what `src/` says, and nothing of the headers is missing there.

use libctx_sys::*;
use std::collections::BTreeSet;
use std::env;
use std::ffi::{c_char, c_int, c_void};
use std::fmt::Write as _;
use std::mem::{align_of, offset_of, size_of};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const INCLUDE: &str = env!("LIBCTX_SYS_INCLUDE");
const LIB: &str = env!("LIBCTX_SYS_LIB");
const PRELUDE: &str = "#include <ctx/ctx.h>\n#include <poll.h>\n#include <stddef.h>\n";

/// A function as `src/functions.rs` declares it, its types already those of C.
#[derive(Clone)]
struct Function {
    name: String,
    parameters: Vec<String>,
    result: String,
}

fn declared() -> Vec<Function> {
    let source = include_str!("../src/functions.rs");
    let block = source.split_once("extern \"C\" {").expect("an extern block").1;
    let block = block.rsplit_once('}').expect("its end").0;
    let lines = block.lines().map(|line| line.split("//").next().unwrap());
    let text = lines.collect::<Vec<_>>().join(" ");
    text.split(';').map(str::trim).filter(|item| !item.is_empty()).map(parse).collect()
}

fn parse(item: &str) -> Function {
    let item = item.strip_prefix("pub fn ").unwrap_or_else(|| panic!("not a function: {item}"));
    let (name, rest) = item.split_once('(').unwrap();
    let (parameters, result) = rest.rsplit_once(')').unwrap();
    let result = result.trim().strip_prefix("->").unwrap_or("()");
    let parameters = parameters.split(',').map(str::trim).filter(|text| !text.is_empty());
    Function {
        name: name.into(),
        parameters: parameters.map(|text| c_type(text.split_once(':').unwrap().1)).collect(),
        result: c_type(result),
    }
}

fn c_type(rust: &str) -> String {
    let rust = rust.trim();
    if let Some(target) = rust.strip_prefix("*mut ") {
        return c_type(target) + " *";
    }
    if let Some(target) = rust.strip_prefix("*const ") {
        return c_type(target) + " const *";
    }
    match rust {
        "c_int" => "int",
        "c_char" => "char",
        "c_void" | "()" => "void",
        "i64" => "int64_t",
        "u32" => "uint32_t",
        "u64" => "uint64_t",
        "usize" => "size_t",
        "AtomicI32" => "volatile int32_t",
        "pollfd" => "struct pollfd",
        "Option<ctx_fn>" => "ctx_fn",
        "Option<ctx_drop_fn>" => "ctx_drop_fn",
        "Option<ctx_post_fn>" => "ctx_post_fn",
        "Option<ctx_string_fn>" => "ctx_string_fn",
        "Option<ctx_get_fn>" => "ctx_get_fn",
        "nfds_t" | "ctx_t" | "ctx_canceler_t" | "ctx_cause_t" | "ctx_watch_t" | "ctx_queue_t"
        | "ctx_group_t" | "ctx_loop_t" | "ctx_event_t" | "ctx_key_t" | "ctx_loop_options_t"
        | "ctx_formats_t" => rust,
        other => panic!("no C type is known for {other}"),
    }
    .into()
}

impl Function {
    /// A C expression: 1 if the header declares this function with exactly this type.
    fn compatible(&self) -> String {
        let parameters = match self.parameters.len() {
            0 => "void".into(),
            _ => self.parameters.join(", "),
        };
        let Function { name, result, .. } = self;
        format!("__builtin_types_compatible_p(__typeof__(&{name}), {result} (*)({parameters}))")
    }

    /// This declaration with one mistake, in every place that can have one.
    fn mistaken(&self) -> Vec<Function> {
        let mut all = Vec::new();
        let mut with = |change: &dyn Fn(&mut Function)| {
            let mut function = self.clone();
            change(&mut function);
            all.push(function);
        };
        with(&|f| f.result = if f.result == "short" { "long".into() } else { "short".into() });
        with(&|f| f.parameters.push("short".into()));
        for place in 0..self.parameters.len() {
            with(&|f| f.parameters[place] = "short".into());
            with(&|f| drop(f.parameters.remove(place)));
            if let Some(target) = self.parameters[place].strip_suffix(" const *") {
                with(&|f| f.parameters[place] = format!("{target} *"));
            }
        }
        all
    }
}

fn cc(arguments: &[&str], name: &str, source: &str) -> (Output, PathBuf) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (file, program) = (folder.join(format!("{name}.c")), folder.join(name));
    std::fs::write(&file, source).unwrap();
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".into());
    let output = Command::new(&compiler)
        .args(["-std=gnu11", "-D_GNU_SOURCE", "-I", INCLUDE])
        .arg(&file)
        .args(arguments)
        .arg("-o")
        .arg(&program)
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}"));
    (output, program)
}

fn must_compile(arguments: &[&str], name: &str, source: &str) {
    let (output, _) = cc(arguments, name, source);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn preprocessed(flags: &[&str]) -> String {
    let mut arguments = vec!["-E", "-P"];
    arguments.extend(flags);
    let (output, path) = cc(&arguments, &format!("pre{}", flags.len()), PRELUDE);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn every_signature_is_the_headers() {
    let mut source = PRELUDE.to_string();
    for function in declared() {
        let same = function.compatible();
        writeln!(source, "_Static_assert({same}, \"{}\");", function.name).unwrap();
    }
    must_compile(&["-c"], "signatures", &source);
}

#[test]
fn every_mistake_in_a_signature_would_be_seen() {
    let mut source = PRELUDE.to_string();
    for function in declared().iter().flat_map(Function::mistaken) {
        let same = function.compatible();
        writeln!(source, "_Static_assert(!{same}, \"{}\");", function.name).unwrap();
    }
    must_compile(&["-c"], "mistakes", &source);

    // And a mistake fails the build, it does not merely warn.
    let wrong = declared()[0].mistaken()[0].compatible();
    let (output, _) = cc(&["-c"], "wrong", &format!("{PRELUDE}_Static_assert({wrong}, \"\");"));
    assert!(!output.status.success());
}

#[test]
fn no_function_is_missing() {
    let text = preprocessed(&[]);
    let marked = text.split("__attribute__((visibility(\"default\")))").skip(1);
    let names = marked.map(|text| text.split('(').next().unwrap());
    let names = names.filter_map(|text| text.rsplit([' ', '*']).next());
    let headers: BTreeSet<_> = names.map(|name| name.trim().to_string()).collect();
    let ours: BTreeSet<_> = declared().into_iter().map(|function| function.name).collect();
    assert!(headers.contains("ctx_background"), "{headers:?}");
    assert_eq!(ours, headers);
}

#[test]
fn every_function_is_in_the_library() {
    let mut source = format!("{PRELUDE}typedef void (*any)(void);\nany volatile all[] = {{\n");
    for function in declared() {
        writeln!(source, "  (any)&{},", function.name).unwrap();
    }
    source += "};\nint main(void) { return 0; }\n";
    let path = format!("-L{LIB}");
    must_compile(&[&path, "-Wl,--gc-sections", "-lctx", "-lpthread"], "linked", &source);
}

#[test]
fn layouts_are_the_headers() {
    let mut source = PRELUDE.to_string();
    let mut same = |what: &str, value: usize| {
        writeln!(source, "_Static_assert({what} == {value}, \"{what}\");").unwrap();
    };
    same("sizeof(ctx_event_t)", size_of::<ctx_event_t>());
    same("_Alignof(ctx_event_t)", align_of::<ctx_event_t>());
    same("offsetof(ctx_event_t, token)", offset_of!(ctx_event_t, token));
    same("offsetof(ctx_event_t, err)", offset_of!(ctx_event_t, err));
    same("offsetof(ctx_event_t, reserved)", offset_of!(ctx_event_t, reserved));
    same("sizeof(ctx_key_t)", size_of::<ctx_key_t>());
    same("_Alignof(ctx_key_t)", align_of::<ctx_key_t>());
    same("offsetof(ctx_key_t, name)", offset_of!(ctx_key_t, name));
    same("sizeof(ctx_loop_options_t)", size_of::<ctx_loop_options_t>());
    same("_Alignof(ctx_loop_options_t)", align_of::<ctx_loop_options_t>());
    same("offsetof(ctx_loop_options_t, size)", offset_of!(ctx_loop_options_t, size));
    same("offsetof(ctx_loop_options_t, flags)", offset_of!(ctx_loop_options_t, flags));
    same("offsetof(ctx_loop_options_t, clock)", offset_of!(ctx_loop_options_t, clock));
    same("offsetof(ctx_loop_options_t, name)", offset_of!(ctx_loop_options_t, name));
    same("offsetof(ctx_loop_options_t, post)", offset_of!(ctx_loop_options_t, post));
    same("offsetof(ctx_loop_options_t, executor)", offset_of!(ctx_loop_options_t, executor));
    same("offsetof(ctx_loop_options_t, drop)", offset_of!(ctx_loop_options_t, drop));
    same("sizeof(ctx_formats_t)", size_of::<ctx_formats_t>());
    same("_Alignof(ctx_formats_t)", align_of::<ctx_formats_t>());
    same("offsetof(ctx_formats_t, size)", offset_of!(ctx_formats_t, size));
    same("offsetof(ctx_formats_t, flags)", offset_of!(ctx_formats_t, flags));
    same("offsetof(ctx_formats_t, timeout_ms)", offset_of!(ctx_formats_t, timeout_ms));
    same("offsetof(ctx_formats_t, maximum_ns)", offset_of!(ctx_formats_t, maximum_ns));
    same("offsetof(ctx_formats_t, default_ns)", offset_of!(ctx_formats_t, default_ns));
    same("sizeof(ctx_fn)", size_of::<Option<ctx_fn>>());
    same("sizeof(ctx_drop_fn)", size_of::<Option<ctx_drop_fn>>());
    same("sizeof(struct pollfd)", size_of::<pollfd>());
    same("sizeof(nfds_t)", size_of::<nfds_t>());
    // Each of these compiles only if both types of Rust are the same; C compares the second with the header's below.
    let _: [unsafe extern "C" fn(*mut ctx_t, *mut c_void); 0] = [] as [ctx_fn; 0];
    let _: [unsafe extern "C" fn(*mut c_void); 0] = [] as [ctx_drop_fn; 0];
    let _: [unsafe extern "C" fn(*const c_char, *const c_char, *mut c_void) -> c_int; 0] =
        [] as [ctx_string_fn; 0];
    let _: [unsafe extern "C" fn(*const c_char, *mut *const c_char, *mut c_void) -> i64; 0] =
        [] as [ctx_get_fn; 0];
    let _: [unsafe extern "C" fn(
        *mut c_void,
        unsafe extern "C" fn(*mut c_void),
        *mut c_void,
    ) -> c_int; 0] = [] as [ctx_post_fn; 0];
    for (name, of_c) in [
        ("ctx_fn", "void (*)(ctx_t *, void *)"),
        ("ctx_drop_fn", "void (*)(void *)"),
        ("ctx_string_fn", "int (*)(const char *, const char *, void *)"),
        ("ctx_get_fn", "int64_t (*)(const char *, const char **, void *)"),
        ("ctx_post_fn", "int (*)(void *, void (*)(void *), void *)"),
    ] {
        let same = format!("__builtin_types_compatible_p({name}, {of_c})");
        writeln!(source, "_Static_assert({same}, \"{name}\");").unwrap();
    }
    source += "_Static_assert(__builtin_types_compatible_p(\
               __typeof__(((ctx_event_t *)0)->err), int32_t), \"\");\n";
    must_compile(&["-c"], "layouts", &source);
}

#[test]
fn constants_are_the_headers_and_none_is_missing() {
    let ours: [(&str, i64); 30] = [
        ("CTX_CANCELED", CTX_CANCELED.into()),
        ("CTX_DEADLINE_EXCEEDED", CTX_DEADLINE_EXCEEDED.into()),
        ("CTX_FOREVER", CTX_FOREVER),
        ("CTX_DEFER", CTX_DEFER.into()),
        ("CTX_BLOCKING", CTX_BLOCKING.into()),
        ("CTX_WAKER", CTX_WAKER.into()),
        ("CTX_ORIGIN_CANCELED", CTX_ORIGIN_CANCELED.into()),
        ("CTX_ORIGIN_DEADLINE", CTX_ORIGIN_DEADLINE.into()),
        ("CTX_ORIGIN_SIGNAL", CTX_ORIGIN_SIGNAL.into()),
        ("CTX_ORIGIN_DESCRIPTOR", CTX_ORIGIN_DESCRIPTOR.into()),
        ("CTX_ORIGIN_SHUTDOWN", CTX_ORIGIN_SHUTDOWN.into()),
        ("CTX_ORIGIN_PEER", CTX_ORIGIN_PEER.into()),
        ("CTX_ORIGIN_PARENT_PROCESS", CTX_ORIGIN_PARENT_PROCESS.into()),
        ("CTX_ORIGIN_OVERLOAD", CTX_ORIGIN_OVERLOAD.into()),
        ("CTX_FORMAT_GRPC_TIMEOUT", CTX_FORMAT_GRPC_TIMEOUT.into()),
        ("CTX_FORMAT_TRACE", CTX_FORMAT_TRACE.into()),
        ("CTX_FORMAT_BAGGAGE", CTX_FORMAT_BAGGAGE.into()),
        ("CTX_FORMAT_ENVIRONMENT", CTX_FORMAT_ENVIRONMENT.into()),
        ("CTX_CAUSE_TEXT", CTX_CAUSE_TEXT.into()),
        ("CTX_LOOP_THREAD", CTX_LOOP_THREAD.into()),
        ("CTX_LOOP_MANUAL", CTX_LOOP_MANUAL.into()),
        ("CTX_LOOP_VIRTUAL", CTX_LOOP_VIRTUAL.into()),
        ("CTX_LOOP_START", CTX_LOOP_START.into()),
        ("CTX_CLOCK_MONOTONIC", CTX_CLOCK_MONOTONIC.into()),
        ("CTX_CLOCK_BOOTTIME", CTX_CLOCK_BOOTTIME.into()),
        ("CTX_EXPORT_SIZE", CTX_EXPORT_SIZE as i64),
        ("CTX_VERSION_MAJOR", CTX_VERSION_MAJOR.into()),
        ("CTX_VERSION_MINOR", CTX_VERSION_MINOR.into()),
        ("CTX_VERSION_PATCH", CTX_VERSION_PATCH.into()),
        ("CTX_VERSION", CTX_VERSION.into()),
    ];
    let mut source = PRELUDE.to_string();
    for (name, value) in ours {
        writeln!(source, "_Static_assert({name} == INT64_C({value}), \"{name}\");").unwrap();
    }
    must_compile(&["-c"], "constants", &source);

    let text = preprocessed(&["-dM"]);
    let names = text.lines().filter_map(|line| line.strip_prefix("#define "));
    let names = names.filter_map(|line| line.split([' ', '(']).next());
    let names = names.filter(|name| name.starts_with("CTX_") && !name.ends_with("_H"));
    let headers: BTreeSet<_> = names.filter(|name| *name != "CTX_API").collect();
    assert_eq!(ours.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>(), headers);
}

#[test]
fn the_library_that_runs_is_of_this_version() {
    // SAFETY: ctx_version() takes nothing and only reads a constant.
    assert_eq!(unsafe { ctx_version() }, CTX_VERSION);
}

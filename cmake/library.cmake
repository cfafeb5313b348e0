# SPDX-License-Identifier: MIT
# How libctx is compiled and linked: C++20 inside, at run time a C library that needs only libc.

file(GLOB ctx_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/core/*/*.cc ${PROJECT_SOURCE_DIR}/capi/*.cc)

if(CTX_COVERAGE)
  list(APPEND ctx_sources ${PROJECT_SOURCE_DIR}/tests/support/coverage_dump.cc)
endif()

# Compiled as one file it takes a fifth of the time, and its code is the same; so names in all of core and capi must
# differ. `./dev check` compiles each file alone: a missing include shows only then.
option(CTX_ONE_FILE "Compile the library as one file" ON)
# These stay alone: tests look at what io_linux alone may call; and pipes take the place of event_linux.
set(ctx_alone ${PROJECT_SOURCE_DIR}/core/system/io_linux.cc ${PROJECT_SOURCE_DIR}/core/system/event_linux.cc)

include(CheckIPOSupported)
check_ipo_supported(RESULT ctx_has_lto LANGUAGES CXX)

# The C driver links no libstdc++ and no libgcc_s, unless CMake adds them itself.
set(CMAKE_CXX_IMPLICIT_LINK_LIBRARIES "")

# One flag a line: build.rs of the Rust crates compiles with the same file.
file(STRINGS ${PROJECT_SOURCE_DIR}/core/flags.txt ctx_flags)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/core/flags.txt)

# ctx_add_library(<target> <SHARED or STATIC> <backend>): libctx, its done descriptors made of eventfd or of pipe.
function(ctx_add_library name type backend)
  add_library(${name} ${type} ${ctx_sources})
  target_include_directories(${name}
    PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    PRIVATE ${PROJECT_SOURCE_DIR})

  if(CTX_CHECKED OR CTX_SANITIZE)
    target_compile_definitions(${name} PRIVATE CTX_CHECKED=1)
  endif()
  if(CTX_COVERAGE)
    target_compile_options(${name} PRIVATE --coverage -fprofile-update=atomic)
    target_link_options(${name} PRIVATE --coverage LINKER:--version-script=${PROJECT_SOURCE_DIR}/cmake/coverage.map)
  endif()
  if(backend STREQUAL pipe)
    target_compile_definitions(${name} PRIVATE CTX_DONE_PIPE=1)
  endif()
  target_compile_options(${name} PRIVATE ${ctx_flags} $<$<CONFIG:Release>:-O2>)
  set_target_properties(${name} PROPERTIES EXPORT_NAME libctx UNITY_BUILD ${CTX_ONE_FILE} UNITY_BUILD_BATCH_SIZE 0)
  set_source_files_properties(${ctx_alone} TARGET_DIRECTORY ${name} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  if(type STREQUAL STATIC)
    # For programs and for shared libraries. These do not export it, and are never unloaded (drive/process.cc). It has
    # no link-time optimization, since the compiler that links may be another one.
    set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_compile_definitions(${name} PRIVATE CTX_STATIC)
    return()
  endif()

  # Link-time optimization across the library's files, in optimized builds: it saves a fifth of a derivation's time.
  if(ctx_has_lto AND NOT CTX_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    set_target_properties(${name} PROPERTIES INTERPROCEDURAL_OPTIMIZATION_RELEASE ON)
  endif()

  set_target_properties(${name} PROPERTIES
    LINKER_LANGUAGE C
    SOVERSION 1
    LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/libctx.map)
  target_link_options(${name} PRIVATE
    LINKER:--version-script=${PROJECT_SOURCE_DIR}/cmake/libctx.map
    LINKER:--exclude-libs,ALL LINKER:-Bsymbolic-functions LINKER:--gc-sections
    LINKER:-z,nodelete LINKER:-z,now LINKER:-z,relro LINKER:-z,noexecstack)
  if(NOT CTX_SANITIZE)
    target_link_options(${name} PRIVATE LINKER:-z,defs)
  endif()
endfunction()

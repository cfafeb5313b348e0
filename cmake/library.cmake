# SPDX-License-Identifier: MIT
# How libctx.so is compiled and linked: C++20 inside, at run time a C library that needs libc alone.

target_include_directories(ctx
  PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
  PRIVATE ${PROJECT_SOURCE_DIR})
target_include_directories(ctx SYSTEM PRIVATE $<TARGET_PROPERTY:fmt::fmt,INTERFACE_INCLUDE_DIRECTORIES>)

target_compile_definitions(ctx PRIVATE
  $<$<BOOL:${CTX_CHECKED}>:CTX_CHECKED=1>
  $<$<STREQUAL:${CTX_DONE_BACKEND},pipe>:CTX_DONE_PIPE=1>)
target_compile_options(ctx PRIVATE
  -fno-exceptions -fno-rtti -fno-threadsafe-statics -ffunction-sections -fdata-sections
  $<$<CONFIG:Release>:-O2>)

# Across the files of the library, where it is optimised for users: a fifth of the time of a derivation.
include(CheckIPOSupported)
check_ipo_supported(RESULT ctx_has_lto LANGUAGES CXX)
if(ctx_has_lto AND NOT CTX_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set_target_properties(ctx PROPERTIES INTERPROCEDURAL_OPTIMIZATION_RELEASE ON)
endif()

# The C driver links no libstdc++ and no libgcc_s, if CMake does not add them on its own account.
set(CMAKE_CXX_IMPLICIT_LINK_LIBRARIES "")
set_target_properties(ctx PROPERTIES
  LINKER_LANGUAGE C
  SOVERSION 1
  EXPORT_NAME libctx
  CXX_VISIBILITY_PRESET hidden
  VISIBILITY_INLINES_HIDDEN ON
  LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/libctx.map)
target_link_libraries(ctx PRIVATE Threads::Threads)
target_link_options(ctx PRIVATE
  LINKER:--version-script=${PROJECT_SOURCE_DIR}/cmake/libctx.map
  LINKER:--exclude-libs,ALL LINKER:-Bsymbolic-functions LINKER:--gc-sections
  LINKER:-z,nodelete LINKER:-z,now LINKER:-z,relro LINKER:-z,noexecstack)
if(NOT CTX_SANITIZE)
  target_link_options(ctx PRIVATE LINKER:-z,defs)
endif()

# SPDX-License-Identifier: MIT
# Warnings and sanitizers for everything in this tree.
if(CTX_WARNINGS)
  add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion)
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wthread-safety> $<$<COMPILE_LANGUAGE:CXX>:-Wthread-safety-beta>)
  endif()
endif()
if(CTX_WERROR)
  add_compile_options(-Werror)
endif()
if(CTX_SANITIZE)
  # Not vptr: to look at memory it makes a pipe, and fails where a test leaves no descriptor.
  add_compile_options(-fsanitize=${CTX_SANITIZE} -fno-sanitize=vptr -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${CTX_SANITIZE})
endif()

// SPDX-License-Identifier: MIT
//
// A copy of the library under another name, loaded so that only who asks it gets its functions.
#ifndef CTX_TESTS_SUPPORT_COPIED_H_
#define CTX_TESTS_SUPPORT_COPIED_H_

#include <ctx/ctx.h>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

namespace ctxtest {

// The file that this program is linked with, wherever it has been found.
inline std::string LibraryFile() {
  Dl_info info = {};
  EXPECT_NE(dladdr(reinterpret_cast<void*>(&ctx_strerror), &info), 0);
  return std::filesystem::canonical(info.dli_fname);
}

class CopiedLibrary {
 public:
  CopiedLibrary() {
    char folder[] = "/tmp/ctx-copy-XXXXXX";
    EXPECT_NE(mkdtemp(folder), nullptr);
    const std::string file = std::string(folder) + "/libother.so";
    std::filesystem::copy_file(LibraryFile(), file);
    library_ = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    EXPECT_NE(library_, nullptr) << dlerror();
    std::filesystem::remove_all(folder);
  }

  int Close() { return dlclose(library_); }

  template <class Function>
  Function Find(const char* name) const {
    const auto function = reinterpret_cast<Function>(dlsym(library_, name));
    EXPECT_NE(function, nullptr) << name;
    return function;
  }

 private:
  void* library_;
};

}  // namespace ctxtest

#endif  // CTX_TESTS_SUPPORT_COPIED_H_

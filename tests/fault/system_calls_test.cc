// SPDX-License-Identifier: MIT
//
// What the library calls outside of itself: each function can be refused here (faults.cc), or stands in a list below
// with the reason why it cannot fail.
#include <dlfcn.h>
#include <elf.h>
#include <gtest/gtest.h>
#include <link.h>

#include <set>
#include <string>
#include <vector>

#include "support/copied.h"

namespace ctxtest {
namespace {

const char* const kLooksOnly[] = {  // at memory that it is given, or at tables of libc
    "__errno_location", "memchr",    "memcmp",          "memcpy", "memmove",     "memset",
    "sigabbrev_np",     "sigaddset", "sigdelset",       "strcmp", "sigemptyset", "sigfillset",
    "sigismember",      "strcpy",    "strerrordesc_np", "strlen", "strnlen",     "secure_getenv"};

const char* const kCannotFail[] = {
    "free",
    "clock_gettime",    // of a clock that every supported kernel has
    "getrlimit",        // of a resource that there is
    "timerfd_settime",  // of a timer of the library's own
    "pthread_self",     //
    "pthread_detach",   // of the calling thread
    "pthread_join",     // of a thread that ends and that nobody else joins; no signal interrupts it
    "pthread_setcancelstate",  //
    "pthread_sigmask",         //
    "getpid",                  //
    "fstat",                   // of a descriptor of the library's own
    "munmap",                  // of what the library has mapped
    "madvise",                 // likewise
    "stat",                    // of a file of /proc: what cannot be looked at is no such process
    "kill",                    // with no signal: only asks
    "_exit",                   //
    "__register_atfork",       // when the library is loaded; libc has room for the first ones
};

const char* const kOfTheCompiler[] = {"_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable",
                                      "__cxa_finalize", "__gmon_start__", "__stack_chk_fail"};

// The names that a loaded file takes from others: its symbols without a hash.
std::vector<std::string> Imports(const std::string& file) {
  void* const handle = dlopen(file.c_str(), RTLD_LAZY | RTLD_NOLOAD);
  link_map* map = nullptr;
  if (handle == nullptr || dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0) return {};
  const ElfW(Sym)* symbols = nullptr;
  const char* names = nullptr;
  const uint32_t* hash = nullptr;
  for (const ElfW(Dyn)* entry = map->l_ld; entry->d_tag != DT_NULL; ++entry) {
    const ElfW(Addr) at = entry->d_un.d_ptr;
    if (entry->d_tag == DT_SYMTAB) symbols = reinterpret_cast<const ElfW(Sym)*>(at);
    if (entry->d_tag == DT_STRTAB) names = reinterpret_cast<const char*>(at);
    if (entry->d_tag == DT_GNU_HASH) hash = reinterpret_cast<const uint32_t*>(at);
  }
  std::vector<std::string> imports;
  for (uint32_t i = 1; hash != nullptr && i < hash[1]; ++i) {
    if (symbols[i].st_shndx == SHN_UNDEF) imports.emplace_back(names + symbols[i].st_name);
  }
  dlclose(handle);
  return imports;
}

bool IsOfThisProgram(const std::string& name) {
  Dl_info found = {}, here = {};
  static const int anchor = 0;
  return dladdr(dlsym(RTLD_DEFAULT, name.c_str()), &found) != 0 && dladdr(&anchor, &here) != 0 &&
         found.dli_fbase == here.dli_fbase;
}

TEST(SystemCalls, Rule46_EachIsRefusedSomewhereOrCannotFail) {
  std::set<std::string> known(std::begin(kLooksOnly), std::end(kLooksOnly));
  known.insert(std::begin(kCannotFail), std::end(kCannotFail));
  known.insert(std::begin(kOfTheCompiler), std::end(kOfTheCompiler));
  const std::vector<std::string> imports = Imports(LibraryFile());
  EXPECT_GT(imports.size(), 20u) << "read the library wrongly";
  std::string unknown;
  for (const std::string& name : imports) {
    if (known.count(name) == 0 && !IsOfThisProgram(name)) unknown += name + ' ';
  }
  EXPECT_EQ(unknown, "")
      << "is to be refused in faults.cc, or cannot fail for a reason to be given here";
}

}  // namespace
}  // namespace ctxtest

// SPDX-License-Identifier: MIT
//
// Rule 66: an importer trusts neither the text nor the state; an importer can change nothing for others; and what
// cannot be had is an error.
#include <limits.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "capi/exported/child.h"
#include "support/few_descriptors.h"
#include "support/forked.h"
#include "support/process.h"

namespace ctxtest {
namespace {

int TryImport(const std::string& text) {
  ctx_t* ctx = nullptr;
  const int result = ctx_import(text.c_str(), ctx_background(), &ctx, nullptr);
  EXPECT_EQ(result == 0, ctx != nullptr);
  ctx_unref(ctx);
  return result;
}

TEST(ExportTrust, Rule66_ATextThatIsNoneIsRefused) {
  const Exported exported(ctx_background());
  const std::string good = exported.text;
  for (const std::string& bad :
       {std::string(), std::string("x"), std::string("1"), std::string("1:"), good + ":",
        good + " ", good + ":1", std::string(" ").append(good), good.substr(0, good.rfind(':')),
        good.substr(0, good.rfind(':') + 1), std::string("1:-1:2:3:4:5:6"),
        std::string("1:1:2:3:4:5:18446744073709551616"), std::string("1:2147483648:2:3:4:5:6"),
        std::string("1:1:2147483648:3:4:5:6"), std::string("1:1:2:2147483648:4:5:6"),
        std::string(100'000, '1'), std::string(100'000, ':')}) {
    EXPECT_EQ(TryImport(bad), -EBADMSG) << bad.substr(0, 100);
  }
  // No process, and no file, has the number 0: nothing that is found may count as that.
  for (const int place : {1, 4, 5})
    EXPECT_EQ(TryImport(exported.With(place, 0)), -EBADMSG) << place;
  EXPECT_EQ(TryImport(std::string("2").append(good, 1)), -EPROTONOSUPPORT);
  EXPECT_EQ(TryImport("2:anything at all"), -EPROTONOSUPPORT);
  EXPECT_EQ(TryImport(good), 0);
}

// A number that is another file's by now does not mislead anybody, and nothing is done to that file.
TEST(ExportTrust, Rule66_AnotherFileUnderThatNumberIsNotTheExport) {
  const Exported exported(ctx_background());
  const Pipe pipe;
  pipe.Write();
  for (const std::string& text :
       {exported.With(2, static_cast<uint64_t>(pipe.read_end.operator int())),
        exported.With(3, static_cast<uint64_t>(pipe.read_end.operator int())),
        exported.With(2, 999'999), exported.With(3, 999'999),
        exported.With(4, exported.Field(4) + 1), exported.With(5, exported.Field(5) + 1)}) {
    const Scope imported = Import(text.c_str());
    EXPECT_EQ(ctx_err(imported), CTX_CANCELED) << text;
    EXPECT_STREQ(ctx_cause_message(ctx_cause(imported)), "parent process gone");
  }
  pipe.Read();
  EXPECT_EQ(TryImport(exported.With(1, INT_MAX)), 0) << "as if it had inherited them";
}

// A state that somebody else made: that of an export, changed.
class Forged {
 public:
  explicit Forged(const Exported& from) : from_(from) {
    const int fd = static_cast<int>(from.Field(2));
    struct stat file {};
    EXPECT_EQ(fstat(fd, &file), 0);
    bytes.resize(static_cast<size_t>(file.st_size));
    EXPECT_EQ(pread(fd, bytes.data(), bytes.size(), 0), file.st_size);
    memory_ = Fd(memfd_create("forged", MFD_CLOEXEC));
  }

  int Import() const {
    EXPECT_EQ(ftruncate(memory_, 0), 0);
    EXPECT_EQ(pwrite(memory_, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    struct stat file {};
    EXPECT_EQ(fstat(memory_, &file), 0);
    std::string text;
    for (int i = 0; i < 7; ++i) {
      const uint64_t number = i == 2   ? static_cast<uint64_t>(memory_.operator int())
                              : i == 4 ? file.st_ino
                                       : from_.Field(i);
      if (i > 0) text += ':';
      text += std::to_string(number);
    }
    return TryImport(text);
  }

  std::vector<unsigned char> bytes;

 private:
  const Exported& from_;
  Fd memory_;
};

bool IsReadOrRefused(int result) {
  return result == 0 || result == -EBADMSG || result == -EPROTONOSUPPORT;
}

TEST(ExportTrust, Rule66_AnyStateIsReadOrRefused) {
  const Ctx first = WithString(ctx_background(), "a", "1");
  const Ctx second = WithString(first, "b", "2");
  const Scope timed = WithTimeout(second, kHour, NewCause(3, "late"));
  const Exported live(timed);
  const Scope scope = WithCancel(second);
  ctx_cancel_with(scope.canceler, CTX_CANCELED, NewCause(3, "over"));
  const Exported ended(scope);
  int refused = 0;
  for (const Exported* exported : {&live, &ended}) {
    Forged forged(*exported);
    ASSERT_EQ(forged.Import(), 0);
    const std::vector<unsigned char> good = forged.bytes;
    for (size_t i = 0; i < good.size(); ++i) {
      for (const int value : {0x00, 0x01, 0x7F, 0x80, 0xFF}) {
        forged.bytes = good;
        forged.bytes[i] = static_cast<unsigned char>(value);
        const int result = forged.Import();
        ASSERT_TRUE(IsReadOrRefused(result)) << result << " with " << value << " at " << i;
        refused += result < 0;
      }
    }
    for (size_t size = 0; size < good.size(); size += size < 64 ? 1 : 7) {
      forged.bytes = good;
      forged.bytes.resize(size);
      EXPECT_EQ(forged.Import(), -EBADMSG) << size;
    }
    forged.bytes = good;
    forged.bytes.resize(good.size() + 4096, 0xFF);
    EXPECT_EQ(forged.Import(), 0) << "what follows is not read";
  }
  EXPECT_GT(refused, 100);
}

// The child of another process has no more than a child of the same user: it reads.
TEST(ExportTrust, Rule66_NobodyElseWritesTheState) {
  const Scope scope = WithCancel(ctx_background());
  const Exported exported(scope);
  const auto path = "/proc/self/fd/" + std::to_string(exported.Field(2));
  const Fd again(open(path.c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_EQ(write(again, "x", 1), -1);
  EXPECT_EQ(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0), MAP_FAILED);
  EXPECT_EQ(ftruncate(again, 0), -1);
  EXPECT_EQ(fallocate(again, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
  InChild([] {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      EXPECT_EQ(line.find("/memfd:libctx"), std::string::npos) << "a forked child has it mapped";
    }
  });
  EXPECT_EQ(TryImport(exported.text), 0);
}

TEST(ExportTrust, Rule66_TooManyStringsAreRefused) {
  const std::string half(1 << 19, 'x');
  const Ctx first = WithString(ctx_background(), "a", half.c_str());
  char text[CTX_EXPORT_SIZE] = "untouched";
  ctx_watch_t* watch = nullptr;
  ASSERT_EQ(ctx_export(first, text, sizeof text, &watch), 0);
  const Scope imported = Import(text);
  EXPECT_EQ(ctx_string(imported, "a"), half);
  ctx_watch_unref(watch);
  const Ctx second = WithString(first, "b", half.c_str());
  watch = nullptr;
  text[0] = 'u';
  EXPECT_EQ(ctx_export(second, text, sizeof text, &watch), -E2BIG);
  EXPECT_EQ(text[0], 'u');
  EXPECT_EQ(watch, nullptr);
}

TEST(ExportTrust, Rule66_MoreThan1024StringsAreRefused) {
  Ctx ctx(ctx_ref(ctx_background()));
  for (int i = 0; i < 1024; ++i) ctx = WithString(ctx, std::to_string(i).c_str(), "");
  char text[CTX_EXPORT_SIZE];
  {
    const Exported exported(ctx);
    EXPECT_EQ(TryImport(exported.text), 0);
  }
  ctx = WithString(ctx, "3", "again");
  { const Exported exported(ctx); }
  ctx = WithString(ctx, "1024", "");
  EXPECT_EQ(ctx_export(ctx, text, sizeof text, nullptr), -E2BIG);

  // Nor does a state have more, whoever wrote it: its strings follow it, and their size is its second 64-bit word's
  // upper half.
  const Exported none(ctx_background());
  Forged forged(none);
  const std::vector<unsigned char> state = forged.bytes;
  for (const uint32_t strings : {1024u, 1025u}) {
    forged.bytes = state;
    const uint32_t size = strings * 3;
    std::memcpy(forged.bytes.data() + 12, &size, sizeof size);
    for (uint32_t i = 0; i < strings; ++i) forged.bytes.insert(forged.bytes.end(), {'k', 0, 0});
    EXPECT_EQ(forged.Import(), strings == 1024 ? 0 : -EBADMSG);
  }
}

TEST(ExportTrust, Rule46_WithoutDescriptors) {
  const Exported exported(ctx_background());
  const Scope warm = Import(exported.text);
  for (size_t left = 0; left < 3; ++left) {
    const FewDescriptors few(256, left);
    char text[CTX_EXPORT_SIZE];
    ctx_watch_t* watch = nullptr;
    EXPECT_EQ(ctx_export(warm, text, sizeof text, &watch), -EMFILE) << left;
    EXPECT_EQ(watch, nullptr);
    EXPECT_EQ(TryImport(exported.text), left < 2 ? -EMFILE : 0) << left;
  }
  EXPECT_EQ(TryImport(exported.text), 0);
}

// To exceed the limit would end the process, by SIGXFSZ.
TEST(ExportTrust, Rule46_WhereAFileMayNotBeSoLarge) {
  InChild([] {
    const rlimit none = {0, RLIM_INFINITY};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &none), 0);
    char text[CTX_EXPORT_SIZE];
    EXPECT_EQ(ctx_export(ctx_background(), text, sizeof text, nullptr), -EFBIG);
  });
}

TEST(ExportTrust, Rule43_BadArguments) {
  const Scope scope = WithCancel(ctx_background());
  char text[CTX_EXPORT_SIZE];
  ctx_watch_t* watch = nullptr;
  EXPECT_EQ(ctx_export(nullptr, text, sizeof text, &watch), -EINVAL);
  EXPECT_EQ(ctx_export(scope, nullptr, sizeof text, &watch), -EINVAL);
  EXPECT_EQ(ctx_export(scope, text, sizeof text - 1, &watch), -EINVAL);
  ctx_t* ctx = nullptr;
  EXPECT_EQ(ctx_import("1", nullptr, &ctx, nullptr), -EINVAL);
  EXPECT_EQ(ctx_import("1", ctx_background(), nullptr, nullptr), -EINVAL);
}

TEST(ExportTrust, Rule47_AForkedChildLeavesTheExportAlone) {
  const Scope scope = WithCancel(ctx_background());
  const Exported exported(scope);
  InChild([&] {
    char text[CTX_EXPORT_SIZE];
    EXPECT_EQ(ctx_watch_stop(exported.watch), -ECHILD);
    EXPECT_EQ(ctx_export(scope, text, sizeof text, nullptr), -ECHILD);
    const Scope below = Import(exported.text);
    EXPECT_EQ(ctx_err(below), 0);
    const Exported own(below);
    EXPECT_EQ(ctx_err(Import(own.text)), 0);
  });
  const Scope imported = Import(exported.text);
  EXPECT_EQ(ctx_err(imported), 0);
  scope.Cancel();
  EXPECT_TRUE(Done(imported));
}

}  // namespace
}  // namespace ctxtest

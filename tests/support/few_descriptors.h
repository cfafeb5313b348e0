// SPDX-License-Identifier: MIT
//
// A process that has used up its descriptors, or nearly.
#ifndef CTX_TESTS_SUPPORT_FEW_DESCRIPTORS_H_
#define CTX_TESTS_SUPPORT_FEW_DESCRIPTORS_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <vector>

namespace ctxtest {

// While it lives, the process may have `most` descriptors, and only `left` of them are to be had.
class FewDescriptors {
 public:
  FewDescriptors(rlim_t most, size_t left) {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit few = before_;
    few.rlim_cur = most;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (int fd; (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) taken_.push_back(fd);
    EXPECT_EQ(errno, EMFILE);
    for (; left > 0 && !taken_.empty(); --left) {
      close(taken_.back());
      taken_.pop_back();
    }
    EXPECT_EQ(left, 0u) << "too many are open for this test";
  }
  FewDescriptors(const FewDescriptors&) = delete;
  ~FewDescriptors() {
    for (const int fd : taken_) close(fd);
    setrlimit(RLIMIT_NOFILE, &before_);
  }

 private:
  rlimit before_ = {};
  std::vector<int> taken_;
};

// While it lives, there are no descriptors to be had.
struct NoDescriptors : FewDescriptors {
  NoDescriptors() : FewDescriptors(256, 0) {}
};

}  // namespace ctxtest

#endif  // CTX_TESTS_SUPPORT_FEW_DESCRIPTORS_H_

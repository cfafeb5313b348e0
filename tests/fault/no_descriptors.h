// SPDX-License-Identifier: MIT
//
// A process that has used up all its descriptors.
#ifndef CTX_TESTS_FAULT_NO_DESCRIPTORS_H_
#define CTX_TESTS_FAULT_NO_DESCRIPTORS_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace ctxtest {

// While it lives, there are no descriptors to be had.
class NoDescriptors {
 public:
  NoDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit few = before_;
    few.rlim_cur = 256;
    setrlimit(RLIMIT_NOFILE, &few);
    for (int fd; (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) taken_.push_back(fd);
    EXPECT_EQ(errno, EMFILE);
  }
  ~NoDescriptors() {
    for (const int fd : taken_) close(fd);
    setrlimit(RLIMIT_NOFILE, &before_);
  }

 private:
  rlimit before_ = {};
  std::vector<int> taken_;
};

}  // namespace ctxtest

#endif  // CTX_TESTS_FAULT_NO_DESCRIPTORS_H_

// SPDX-License-Identifier: MIT
//
// Owners of descriptors, and what poll(2) says of one.
#ifndef CTX_TESTS_SUPPORT_DESCRIPTOR_H_
#define CTX_TESTS_SUPPORT_DESCRIPTOR_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>

namespace ctxtest {

// A descriptor that is closed at the end.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) { EXPECT_GE(fd, 0); }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    Close();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  ~Fd() { Close(); }
  operator int() const { return fd_; }  // NOLINT: passes as the number
  int release() { return std::exchange(fd_, -1); }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

struct Pipe {
  Pipe() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    read_end = Fd(ends[0]);
    write_end = Fd(ends[1]);
  }
  void Write() const { EXPECT_EQ(write(write_end, "x", 1), 1); }
  void Read() const {
    char byte;
    EXPECT_EQ(read(read_end, &byte, 1), 1);
  }

  Fd read_end, write_end;
};

struct SocketPair {
  SocketPair() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    server = Fd(ends[0]);
    client = Fd(ends[1]);
  }

  Fd server, client;
};

// What poll(2) reports of a descriptor now.
inline int Polled(int fd, int events) {
  pollfd polled = {fd, static_cast<short>(events), 0};
  EXPECT_GE(poll(&polled, 1, 0), 0);
  return polled.revents;
}

// Whether a descriptor polls readable, now or within a limit.
inline bool Readable(int fd, int limit_ms = 0) {
  pollfd polled = {fd, POLLIN, 0};
  return poll(&polled, 1, limit_ms) == 1 && (polled.revents & (POLLIN | POLLHUP)) != 0;
}

// What a descriptor is made of, as the kernel says it.
inline std::string KindOf(int fd) {
  char target[64] = {};
  const ssize_t size =
      readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target, sizeof target - 1);
  return size < 0 ? "" : std::string(target, static_cast<size_t>(size));
}

inline bool IsPipe(int fd) { return KindOf(fd).rfind("pipe:", 0) == 0; }

}  // namespace ctxtest

#endif  // CTX_TESTS_SUPPORT_DESCRIPTOR_H_

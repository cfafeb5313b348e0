// SPDX-License-Identifier: MIT
//
// A server on loopback that answers as a test wants it, with a thread for each connection.
#ifndef CTX_TESTS_RECIPES_HTTP_SERVER_H_
#define CTX_TESTS_RECIPES_HTTP_SERVER_H_

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "support/descriptor.h"
#include "support/sync.h"

namespace ctxtest {

// GET /hello is answered. /held is answered when the test says so, in two pieces. /dropped is hung up on, /cut in
// the middle of its answer, /reset without a word. Anything else is never answered.
class HttpServer {
 public:
  HttpServer() {
    EXPECT_EQ(bind(listener_, reinterpret_cast<const sockaddr*>(&address_), sizeof address_), 0);
    EXPECT_EQ(listen(listener_, 100), 0);
    socklen_t size = sizeof address_;
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address_), &size);
    accepts_ = std::thread([this] { Accept(); });
  }
  HttpServer(const HttpServer&) = delete;
  ~HttpServer() {
    answer.Open();
    shutdown(listener_, SHUT_RDWR);
    accepts_.join();
    for (std::thread& thread : connections_) thread.join();
  }

  std::string Url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(ntohs(address_.sin_port)) + path;
  }
  bool NobodyConnected() const { return open_ == 0; }

  Gate answer;                        // opened by the test
  std::function<void()> before_drop;  // runs before a connection is hung up on
  Counter requests;                   // that have come
  std::atomic<int> accepted{0};       // connections, in all

 private:
  void Accept() {
    for (int fd; (fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
      ++open_, ++accepted;
      connections_.emplace_back([this, fd] {
        Serve(fd);
        close(fd);
        --open_;
      });
    }
  }

  void Serve(int fd) {
    for (std::string request; Read(fd, &request);) {
      requests.Add();
      const auto is = [&](const char* path) { return request.find(path) == 4; };
      if (is("/hello")) {
        Send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
      } else if (is("/held")) {
        EXPECT_TRUE(answer.Wait());
        Send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
        Send(fd, "llo");
      } else if (is("/dropped") || is("/cut") || is("/reset")) {
        if (is("/cut")) Send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
        if (before_drop) before_drop();
        const linger at_once = {1, 0};
        if (is("/reset")) setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        return;
      }
      request.clear();
    }
  }

  static bool Read(int fd, std::string* request) {
    for (char byte; recv(fd, &byte, 1, 0) == 1;) {
      *request += byte;
      if (request->find("\r\n\r\n") != std::string::npos) return true;
    }
    return false;
  }
  static void Send(int fd, const std::string& text) {
    send(fd, text.data(), text.size(), MSG_NOSIGNAL);
  }

  sockaddr_in address_ = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {}};
  Fd listener_{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::atomic<int> open_{0};
  std::vector<std::thread> connections_;
  std::thread accepts_;
};

}  // namespace ctxtest

#endif  // CTX_TESTS_RECIPES_HTTP_SERVER_H_

// SPDX-License-Identifier: MIT
//
// A PostgreSQL of the test's own, on a Unix socket in a temporary folder; and a proxy on the way to it, which can keep
// cancels and answers back.
#ifndef CTX_TESTS_RECIPES_POSTGRES_H_
#define CTX_TESTS_RECIPES_POSTGRES_H_

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <pwd.h>
#include <spawn_ctx.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/descriptor.h"
#include "support/handles.h"
#include "support/sync.h"

namespace ctxtest {

class Postgres {
 public:
  // initdb does not run as root: then the server is another user's, and setpriv starts it. It ends with this process.
  Postgres() {
    EXPECT_NE(mkdtemp(folder_), nullptr);
    const std::string folder = folder_, programs = CTX_POSTGRES;
    std::vector<std::string> as = {"setpriv", "--pdeathsig", "INT"};
    if (geteuid() == 0) {
      const passwd* user = getpwnam("postgres");
      if (user == nullptr) user = getpwnam("nobody");
      EXPECT_EQ(chown(folder_, user->pw_uid, user->pw_gid), 0);
      as.insert(as.end(), {"--reuid", std::to_string(user->pw_uid), "--regid",
                           std::to_string(user->pw_gid), "--clear-groups"});
    }
    spawn_child_t child;
    siginfo_t how = {};
    Start(as,
          {programs + "/initdb", "-D", folder + "/data", "-U", "tester", "-A", "trust", "--no-sync",
           "--no-instructions", "-E", "UTF8", "--locale", "C"},
          &child);
    EXPECT_EQ(spawn_wait_ctx(ctx_background(), &child, 0, &how), 0);
    EXPECT_EQ(how.si_status, 0) << "initdb failed: see " << folder << "/log";
    Start(as,
          {programs + "/postgres", "-D", folder + "/data", "-k", folder, "-c",
           "listen_addresses=", "-c", "fsync=off", "-c", "client_connection_check_interval=100"},
          &server_);
    const std::string conninfo = Conninfo();
    EXPECT_TRUE(Soon([&] { return PQping(conninfo.c_str()) == PQPING_OK; }));
  }
  Postgres(const Postgres&) = delete;
  // It waits for connections that have stayed, and is killed then.
  ~Postgres() {
    siginfo_t how;
    stop_.Cancel();
    EXPECT_EQ(spawn_wait_ctx(stop_, &server_, 20 * kSecond, &how), CTX_CANCELED);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::string Conninfo() const {
    return std::string("user=tester dbname=postgres host=") + folder_;
  }
  sockaddr_un Address() const {
    sockaddr_un address = {AF_UNIX, {}};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/.s.PGSQL.5432", folder_);
    return address;
  }

 private:
  void Start(std::vector<std::string> words, const std::vector<std::string>& command,
             spawn_child_t* child) {
    words.insert(words.end(), command.begin(), command.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t log;
    posix_spawn_file_actions_init(&log);
    posix_spawn_file_actions_addopen(&log, 1, (std::string(folder_) + "/log").c_str(),
                                     O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&log, 1, 2);
    EXPECT_EQ(spawn_ctx(stop_, argv[0], &log, argv.data(), environ, child), 0);
    posix_spawn_file_actions_destroy(&log);
  }

  char folder_[32] = "/tmp/pq_recipe.XXXXXX";
  Scope stop_ = WithCancel(ctx_background());
  spawn_child_t server_ = {-1, -1};
};

// Passes on what comes. A request to cancel it keeps until `cancels` is open; with `mute` set it passes on no answer;
// with `late` set, what else a client sends only after the first cancel.
class PostgresProxy {
 public:
  explicit PostgresProxy(const Postgres& postgres) : server_(postgres.Address()) {
    EXPECT_EQ(bind(listener_, reinterpret_cast<const sockaddr*>(&address_), sizeof address_), 0);
    EXPECT_EQ(listen(listener_, 100), 0);
    socklen_t size = sizeof address_;
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address_), &size);
    accepts_ = std::thread([this] {
      for (int fd; (fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
        ++accepted, ++open;
        connections_.emplace_back([this, fd] {
          Pass(Fd(fd));
          --open;
        });
      }
    });
  }
  PostgresProxy(const PostgresProxy&) = delete;
  ~PostgresProxy() {
    cancels.Open();
    over_.Write();
    shutdown(listener_, SHUT_RDWR);
    accepts_.join();
    for (std::thread& thread : connections_) thread.join();
  }

  std::string Conninfo() const {
    return "user=tester dbname=postgres sslmode=disable gssencmode=disable hostaddr=127.0.0.1 "
           "port=" +
           std::to_string(ntohs(address_.sin_port));
  }
  void Drop() { dropped_.Write(); }  // hangs up on all

  Counter asked;  // requests to cancel that have come
  Counter muted;  // answers that were kept back
  Counter kept;   // what is to come late
  Gate cancels;
  std::atomic<bool> mute{false}, late{false};
  std::atomic<int> accepted{0}, open{0};  // connections

 private:
  void Pass(Fd client) {
    Fd server(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(server, reinterpret_cast<const sockaddr*>(&server_), sizeof server_) != 0) return;
    bool cancels_one = false;
    char bytes[4096];
    for (bool first = true;; first = false) {
      // Behind the end of the test nobody is passed on any more.
      pollfd fds[] = {{client, POLLIN, 0},
                      {server, POLLIN, 0},
                      {over_.read_end, POLLIN, 0},
                      {dropped_.read_end, POLLIN, 0}};
      if (poll(fds, 4, -1) < 0 || fds[2].revents != 0 || fds[3].revents != 0) return;
      const bool from_client = fds[0].revents != 0;
      const ssize_t n = recv(from_client ? client : server, bytes, sizeof bytes, 0);
      if (n <= 0) {
        if (cancels_one) canceled_.Add();
        return;
      }
      if (first && n == 16 && memcmp(bytes + 4, "\x04\xd2\x16\x2e", 4) == 0) {
        asked.Add();
        if (!cancels.Wait()) return;
        cancels_one = true;
      } else if (from_client && late) {
        kept.Add();
        if (!canceled_.WaitFor(1)) return;
      }
      if (!from_client && mute) {
        muted.Add();
        continue;
      }
      if (send(from_client ? server : client, bytes, n, MSG_NOSIGNAL) != n) return;
    }
  }

  sockaddr_in address_ = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {}};
  const sockaddr_un server_;
  Fd listener_{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  Pipe over_, dropped_;
  Counter canceled_;
  std::vector<std::thread> connections_;
  std::thread accepts_;
};

}  // namespace ctxtest

#endif  // CTX_TESTS_RECIPES_POSTGRES_H_

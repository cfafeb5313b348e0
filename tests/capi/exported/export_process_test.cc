// SPDX-License-Identifier: MIT
//
// Rules 64 and 65 between processes: who dies, when, and what is in between.
#include <atomic>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "capi/exported/child.h"
#include "support/forked.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

std::string Imported(ctx_t* ctx, const char* a) {
  const int64_t deadline = Deadline(ctx);
  return "imported " + std::to_string(deadline == CTX_FOREVER ? -1 : deadline) + " " + a + " 0";
}

TEST(ExportProcess, Rule64_AChildEndsWithItsParentsContext) {
  const Ctx named = WithString(ctx_background(), "a", "1");
  const Scope timed = WithTimeout(named, kHour);
  const Exported exported(timed);
  const Child child(exported.text, Command({"import"}));
  EXPECT_EQ(child.Line(), Imported(timed, "1"));
  ctx_cancel_with(timed.canceler, CTX_CANCELED, NewCause(7, "enough"));
  EXPECT_EQ(child.Line(), "context canceled|7|1|enough");
}

TEST(ExportProcess, Rule64_OneExportServesManyAtAnyDepth) {
  const Scope scope = WithCancel(ctx_background());
  const Exported exported(scope);
  const size_t before = OpenDescriptors();
  std::vector<Child> children;
  for (int i = 0; i < 100; ++i) children.emplace_back(exported.text, Command({"import"}));
  for (const Child& child : children) EXPECT_EQ(child.Line(), Imported(scope, "-"));
  EXPECT_EQ(OpenDescriptors(), before + 200) << "two are the test's own";
  ctx_cancel_with(scope.canceler, CTX_CANCELED, NewCause(7, "all of you"));
  for (const Child& child : children) EXPECT_EQ(child.Line(), "context canceled|7|1|all of you");
}

// What is in between knows nothing, closes all that it has inherited, or becomes another program.
TEST(ExportProcess, Rule64_GoesThroughOtherPrograms) {
  const std::vector<std::vector<std::string>> between = {
      {"sh", "-c", "exec env \"$0\" import", kChild},
      {"sh", "-c", "(sh -c '\"$0\" import' \"$0\"; true) | cat", kChild},
      {"python3", "-c", "import subprocess, sys; subprocess.run([sys.argv[1], 'import'])", kChild},
  };
  for (const std::vector<std::string>& command : between) {
    const Scope scope = WithCancel(ctx_background());
    const Exported exported(scope);
    Child child(exported.text, command);
    EXPECT_EQ(child.Line(), Imported(scope, "-")) << command[0];
    ctx_cancel_with(scope.canceler, CTX_CANCELED, NewCause(7, "through"));
    EXPECT_EQ(child.Line(), "context canceled|7|1|through");
    EXPECT_EQ(child.Join(), 0);
  }
}

TEST(ExportProcess, Rule64_AChildExportsWhatItHasImported) {
  const Scope scope = WithCancel(ctx_background());
  const Exported exported(scope);
  const Child child(exported.text,
                    Command({"import", kChild.c_str(), "import", kChild.c_str(), "import"}));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(child.Line(), Imported(scope, "-"));
  ctx_cancel_with(scope.canceler, CTX_CANCELED, NewCause(7, "down"));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(child.Line(), "context canceled|7|1|down");
}

TEST(ExportProcess, Rule65_ADeadExporterEndsItsChildren) {
  for (const int signal : {SIGKILL, SIGTERM, SIGABRT}) {
    const Child exporter("",
                         Command({"export", kChild.c_str(), "import", kChild.c_str(), "import"}));
    EXPECT_EQ(exporter.Line(), "imported -1 - 0");
    EXPECT_EQ(exporter.Line(), "imported -1 - 0");
    kill(exporter.pid(), signal);
    EXPECT_EQ(exporter.Line(), kGone);
    EXPECT_EQ(exporter.Line(), kGone) << "the one below that";
  }
}

// The middle one of three dies: the last one ends, and the first one does not.
TEST(ExportProcess, Rule65_AProcessInTheMiddle) {
  const Scope scope = WithCancel(ctx_background());
  const Exported exported(scope);
  Child middle(exported.text, Command({"import", kChild.c_str(), "import"}));
  EXPECT_EQ(middle.Line(), Imported(scope, "-"));
  EXPECT_EQ(middle.Line(), Imported(scope, "-"));
  middle.Kill();
  EXPECT_EQ(middle.Line(), kGone);
  EXPECT_EQ(ctx_err(scope), 0);
}

// A child that is only forked has copies of all the exporter's descriptors.
TEST(ExportProcess, Rule65_AForkedProcessDoesNotKeepItAlive) {
  Child exporter("", Command({"fork", kChild.c_str(), "import"}));
  for (int i = 0; i < 2; ++i) {
    const std::string line = exporter.Line();
    EXPECT_TRUE(line == "forked" || line == "imported -1 - 0") << line;
  }
  exporter.Kill();
  EXPECT_EQ(exporter.Line(), kGone);
  exporter.EndInput();
  EXPECT_EQ(exporter.Line(), "");
}

// The write ends of pipes that this process has.
std::vector<std::string> WriteEnds() {
  std::vector<std::string> found;
  for (const std::string& name : ListFolder("/proc/self/fd")) {
    const int fd = std::atoi(name.c_str());
    if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY && IsPipe(fd)) found.push_back(name);
  }
  return found;
}

// Threads make and end exports while another one forks: no child ever gets a write end to keep.
TEST(ExportProcess, Rule65_NorOneThatIsForkedMeanwhile) {
  const auto rounds = Rounds(800);
  const std::vector<std::string> before = WriteEnds();
  std::atomic<bool> over{false};
  std::thread exporting([&] {
    while (!over) const Exported exported(ctx_background());
  });
  const Exported kept(ctx_background());
  for (int i = 0; i < rounds; ++i) {
    InChild([&] { EXPECT_EQ(WriteEnds(), before); });
  }
  over = true;
  exporting.join();
}

// No fork handler runs in such a child, so it keeps the pipe open. A cancel comes through all the same.
TEST(ExportProcess, Rule65_ACloneHoldsUpNoCancel) {
  const Scope scope = WithCancel(ctx_background());
  const Exported exported(scope);
  const Scope imported = Import(exported.text);
  const Pipe life;
  const pid_t clone = _Fork();
  if (clone == 0) {
    close(life.write_end);
    pollfd fd = {life.read_end, POLLIN, 0};
    poll(&fd, 1, -1);
    _exit(0);
  }
  scope.Cancel();
  EXPECT_TRUE(Done(imported));
  life.Write();
  EXPECT_EQ(waitpid(clone, nullptr, 0), clone);
}

TEST(ExportProcess, Rule65_AnExporterThatIsGoneAlready) {
  std::string text;
  {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const pid_t pid = Fork([&] {
      const Exported exported(ctx_background());
      EXPECT_EQ(write(ends[1], exported.text, sizeof exported.text),
                static_cast<ssize_t>(sizeof exported.text));
    });
    char read_text[CTX_EXPORT_SIZE] = "";
    EXPECT_EQ(read(ends[0], read_text, sizeof read_text), static_cast<ssize_t>(sizeof read_text));
    close(ends[0]);
    close(ends[1]);
    Join(pid);
    text = read_text;
  }
  EXPECT_STREQ(ctx_cause_message(ctx_cause(Import(text.c_str()))), "parent process gone");
  const Child child(text, Command({"import"}));
  EXPECT_EQ(child.Line(), "imported -1 - -125");
  EXPECT_EQ(child.Line(), kGone);
}

// At any point of an end: the child learns of the cancel with its cause, or that the exporter is gone.
TEST(ExportProcess, Rule65_KilledAtAnyStep) {
  int told = 0, gone = 0;
  Stagger stagger(7);
  for (int i = 0; i < Rounds(60); ++i) {
    Child exporter("", Command({"cancel", kChild.c_str(), "import"}));
    EXPECT_EQ(exporter.Line(), "imported -1 - 0");
    if (i % 8 != 0) exporter.Write();
    for (int n = i % 16; n > 0; --n) stagger.Pass(60'000);
    exporter.Kill();
    const std::string line = exporter.Line();
    EXPECT_TRUE(line == "context canceled|7|1|canceled above" || line == kGone) << line;
    (line == kGone ? gone : told) += 1;
  }
  EXPECT_GT(gone, 0);
  std::cout << told << " told, " << gone << " gone\n";
}

// The exporter's descriptors cannot be looked at: those that were inherited serve, and else it is an error.
TEST(ExportProcess, Rule65_WhereAProcessCannotLookInheritedDescriptorsServe) {
  const Scope scope = WithCancel(ctx_background());
  const Exported exported(scope);
  const int fds[] = {static_cast<int>(exported.Field(2)), static_cast<int>(exported.Field(3))};
  std::vector<std::string> command = Command({"import"});
  std::string text = exported.text;
  if (getuid() == 0) {
    command.insert(command.begin(), {"setpriv", "--reuid=65534", "--clear-groups"});
  } else {
    text = exported.With(6, exported.Field(6) + 1);  // another space of numbers
  }
  const Child stranger(text, command);
  EXPECT_EQ(stranger.Line(), "error " + std::to_string(-EACCES));
  const Child heir(text, command, {fds[0], fds[1]});
  EXPECT_EQ(heir.Line(), Imported(scope, "-"));
  ctx_cancel_with(scope.canceler, CTX_CANCELED, NewCause(7, "told"));
  EXPECT_EQ(heir.Line(), "context canceled|7|1|told");
}

// There another process, or none, has the exporter's number: that says nothing of the exporter.
TEST(ExportProcess, Rule65_NorWhereProcIsThatOfAnotherSpaceOfNumbers) {
  if (getuid() != 0) return;  // only root may make a space of process numbers
  const Child between("", {"unshare", "--pid", "--fork", "--kill-child", "sh", "-c",
                           "\"$0\" export \"$0\" import; true", kChild});
  EXPECT_EQ(between.Line(), "error " + std::to_string(-EACCES));
}

}  // namespace
}  // namespace ctxtest

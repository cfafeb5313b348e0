// SPDX-License-Identifier: MIT
//
// Rule 67: what `ctx run` does beyond timeout(1): the context goes down, and comes from above; nothing outlives it.
#include <fstream>
#include <string>

#include "capi/exported/exported.h"
#include "support/sources.h"
#include "tool/started.h"

namespace ctxtest {
namespace {

TEST(RunTool, Rule67_TheCommandGetsTheContext) {
  Started tool(CtxRun({"--timeout", "1h", "--set", "a=1=2"}, {kChild, "import"}));
  const std::string line = tool.Line();
  EXPECT_EQ(line.rfind("imported ", 0), 0u) << line;
  EXPECT_NE(line.find(" 1=2 0"), std::string::npos) << line;
  tool.Join(SIGTERM);
}

TEST(RunTool, Rule67_CooperativeSendsNothing) {
  Started tool(CtxRun({"--timeout", "100ms", "--cooperative"}, {kChild, "import"}));
  tool.Line();
  EXPECT_EQ(tool.Line(), "context deadline exceeded|-110|2|context deadline exceeded");
  EXPECT_EQ(tool.End(), "status 124");
  EXPECT_EQ(tool.Error(), "ctx: " + kChild + ": context deadline exceeded");
}

TEST(RunTool, Rule67_CooperativeKillsAfterTheGrace) {
  Started tool(CtxRun({"--timeout", "100ms", "--cooperative", "--grace", "100ms"},
                      {"sh", "-c", "trap 'echo told' TERM; sleep 1000 & wait"}));
  EXPECT_EQ(tool.End(), "signal 9");
  EXPECT_EQ(tool.Line(), "") << "it was sent a signal, or something of it is left";
}

TEST(RunTool, Rule67_ASignalToItIsAReason) {
  Started tool(CtxRun({"--cooperative"}, {kChild, "import"}));
  tool.Line();
  tool.Send(SIGTERM);
  EXPECT_EQ(tool.Line(), "context canceled|15|3|SIGTERM from process " + std::to_string(getpid()));
  EXPECT_EQ(tool.End(), "status 0");
}

TEST(RunTool, Rule67_ASignalWithoutANameHasItsNumber) {
  Started tool(CtxRun({"--cooperative", "--signal", "40"}, {kChild, "import"}));
  tool.Line();
  tool.Send(40);
  EXPECT_EQ(tool.Line(),
            "context canceled|40|3|signal 40 from process " + std::to_string(getpid()));
  EXPECT_EQ(tool.End(), "status 0");
}

TEST(RunTool, Rule67_TheEarlierDeadlineCounts) {
  const Scope soon = WithTimeout(ctx_background(), 100 * kMillisecond, NewCause(5, "no time left"));
  const Exported exported(soon);
  Started tool(CtxRun({"--timeout", "1h"}, {"sleep", "1000"}), exported.text);
  EXPECT_EQ(tool.End(), "status 124");
  EXPECT_EQ(tool.Error(), "ctx: sleep: context deadline exceeded: no time left");
  const Scope late = WithTimeout(ctx_background(), kHour);
  const Exported again(late);
  Started own(CtxRun({"--timeout", "100ms"}, {"sleep", "1000"}), again.text);
  EXPECT_EQ(own.End(), "status 124");
}

TEST(RunTool, Rule67_ACancelAboveEndsTheCommand) {
  const Scope scope = WithCancel(ctx_background());
  const Exported exported(scope);
  Started tool(CtxRun({}, {"sh", "-c", "sleep 1000 & echo started; wait"}), exported.text);
  EXPECT_EQ(tool.Line(), "started");
  ctx_cancel_with(scope.canceler, CTX_CANCELED, NewCause(7, "enough"));
  EXPECT_EQ(tool.End(), "status 124");
  EXPECT_EQ(tool.Error(), "ctx: sh: context canceled: enough");
  EXPECT_EQ(tool.Line(), "") << "something of it is left";
}

TEST(RunTool, Rule67_NothingIsBegunInAContextThatHasEnded) {
  const Scope scope = WithCancel(ctx_background());
  const Exported exported(scope);
  ctx_cancel_with(scope.canceler, CTX_CANCELED, NewCause(7, "enough"));
  Started tool(CtxRun({}, {"echo", "begun"}), exported.text);
  EXPECT_EQ(tool.End(), "status 124");
  EXPECT_EQ(tool.Line(), "");
  EXPECT_EQ(tool.Error(), "ctx: echo: context canceled: enough");
}

TEST(RunTool, Rule67_AVariableThatIsNoExportIsAnError) {
  Started tool(CtxRun({}, {"echo", "begun"}), "garbage");
  EXPECT_EQ(tool.End(), "status 125");
  EXPECT_EQ(tool.Line(), "");
  EXPECT_NE(tool.Error().find("LIBCTX"), std::string::npos);
}

TEST(RunTool, Rule67_OneBelowAnother) {
  Started tool(CtxRun({"--timeout", "100ms"}, CtxRun({"--timeout", "1h"}, {"sleep", "1000"})));
  EXPECT_EQ(tool.End(), "status 124");
  EXPECT_EQ(tool.Line(), "") << "something of it is left";
}

// Whoever holds the pipe of the command's output is gone at the end of it.
TEST(RunTool, Rule67_ItsDeathEndsTheCommand) {
  const char* const kTree = "sleep 1000 & (sleep 1000 & wait) & echo started; wait";
  const char* const kStubborn =
      "trap '' TERM HUP; (sleep 1000; sleep 1000) & echo started; wait; sleep 1000";
  for (const Words& options : {Words{}, Words{"--cooperative"}}) {
    for (const char* const script : {kTree, kStubborn}) {
      Started tool(CtxRun(options + Words{"--grace", "100ms"}, {"sh", "-c", script}));
      EXPECT_EQ(tool.Line(), "started");
      EXPECT_EQ(Said(tool.Join(SIGKILL)), "signal 9");
      EXPECT_EQ(tool.Line(), "") << script;
    }
  }
}

TEST(RunTool, Rule67_ItsDeathEndsTheCommandInForeground) {
  for (const char* const script :
       {"echo started; exec sleep 1000", "trap '' TERM; echo started; exec sleep 1000"}) {
    Started tool(CtxRun({"--foreground", "--grace", "100ms"}, {"sh", "-c", script}));
    EXPECT_EQ(tool.Line(), "started");
    EXPECT_EQ(Said(tool.Join(SIGKILL)), "signal 9");
    EXPECT_EQ(tool.Line(), "");
  }
}

// With nothing left to do, what watches ends too, whatever becomes of the command.
TEST(RunTool, Rule67_ItsDeathLeavesNothingThatWaitsForEver) {
  const char* const kStays =
      "trap '' TERM; read guard command < /proc/$PPID/task/$PPID/children; echo $guard; echo $$;"
      "exec sleep 1000";
  Started tool(CtxRun({"--grace", "inf"}, {"sh", "-c", kStays}));
  const std::string guard = tool.Line();
  const Stray command(std::atoi(tool.Line().c_str()));
  tool.Join(SIGKILL);
  EXPECT_TRUE(Soon([&] {  // one that nobody has waited for has no command line
    std::ifstream line("/proc/" + guard + "/cmdline");
    return line.get() == EOF;
  }));
  EXPECT_TRUE(command.IsThere());
}

// A program below learns it by itself, without a signal.
TEST(RunTool, Rule67_ItsDeathIsToldBelow) {
  Started tool(CtxRun({"--cooperative", "--grace", "inf"}, {kChild, "import"}));
  tool.Line();
  tool.Join(SIGKILL);
  EXPECT_EQ(tool.Line(), "context canceled|-125|7|parent process gone");
}

TEST(RunTool, Rule67_WhatACommandLeavesRunningIsLeftRunning) {
  Started tool(CtxRun({"--timeout", "1h"}, {"sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!"}));
  const Stray left(std::atoi(tool.Line().c_str()));
  EXPECT_EQ(tool.End(), "status 0");
  EXPECT_EQ(tool.Line(), "");
  EXPECT_TRUE(left.IsThere());
}

// This is what it does not catch: a process that has left the group, and imports nothing.
TEST(RunTool, Rule67_AProcessThatHasLeftTheGroupIsNotCaught) {
  Started tool(
      CtxRun({"--timeout", "100ms"},
             {"sh", "-c", "setsid sh -c 'echo $$; exec sleep 1000 >/dev/null 2>&1' & wait"}));
  const Stray left(std::atoi(tool.Line().c_str()));
  EXPECT_EQ(tool.End(), "status 124");
  EXPECT_TRUE(left.IsThere());
}

TEST(RunTool, Rule67_WhatWasIgnoredStaysIgnored) {
  Started tool({"sh", "-c", "trap '' HUP; exec \"$@\"", "sh", kTool, "run", "sh", "-c",
                "kill -HUP $$; kill -HUP $PPID; echo still there"});
  EXPECT_EQ(tool.Line(), "still there");
  EXPECT_EQ(tool.End(), "status 0");
}

TEST(RunTool, Rule67_ACommandOfAnotherUserImportsToo) {
  Words command = {kChild, "import"};
  if (getuid() == 0) command = Words{"setpriv", "--reuid=65534", "--clear-groups"} + command;
  Started tool(CtxRun({"--timeout", "100ms", "--cooperative"}, command));
  EXPECT_EQ(tool.Line().rfind("imported", 0), 0u);
  EXPECT_EQ(tool.End(), "status 124");
}

// A program that begins late, and has inherited no descriptor.
TEST(RunTool, Rule67_TheEndIsToldAlsoToThoseThatComeLate) {
  const char* const kTwice =
      "import subprocess, sys\nfor _ in range(2): subprocess.run([sys.argv[1], 'import'])";
  Started tool(CtxRun({"--timeout", "100ms", "--cooperative", "--grace", "inf"},
                      {"python3", "-c", kTwice, kChild}));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(tool.Line().rfind("imported", 0), 0u);
    EXPECT_EQ(tool.Line(), "context deadline exceeded|-110|2|context deadline exceeded");
  }
  EXPECT_EQ(tool.End(), "status 124");
}

// The command ends the process that watches, the first that ctx has started, and waits until its pipe is closed.
const char* const kEndsTheGuard =
    "read guard command < /proc/$PPID/task/$PPID/children; kill -KILL $guard;"
    "until grep -q 'State:.Z' /proc/$guard/status; do :; done; exit 7";

TEST(RunTool, Rule67_IfWhatWatchesItIsKilledTheCommandGoesOn) {
  Started tool(CtxRun({}, {"sh", "-c", kEndsTheGuard}));
  EXPECT_EQ(tool.End(), "status 7");
}

TEST(RunTool, Rule67_WhenNobodyReadsWhatItSays) {
  const char* const kUnread =
      "pipe(R, W); open(STDERR, '>&', \\*W); close(R); close(W); exec(@ARGV)";
  Started tool(Words{"perl", "-e", kUnread} + CtxRun({"--timeout", "100ms"}, {"sleep", "1000"}));
  EXPECT_EQ(tool.End(), "status 124");
  Started lets({"perl", "-e", "$SIG{PIPE} = 'DEFAULT'; exec(@ARGV)", kTool, "run", "sh", "-c",
                "kill -PIPE $$; echo it is ignored"});
  EXPECT_EQ(lets.End(), "signal 13") << "the command begins with what ctx began with";
}

// As the first process of a container, whose group has the number 1: to kill(2), -1 is all processes.
TEST(RunTool, Rule67_AsTheFirstProcessItEndsItsGroupOnly) {
  if (getuid() != 0) return;  // only root may make a space of process numbers
  // Ends the context, and goes on until the command, which has got its signal by then, says so.
  const char* const kApart =
      "$| = 1; $SIG{TERM} = sub { print qq(told\\n) }; $SIG{USR1} = sub { $over = 1 };"
      "kill('TERM', 1); sleep(1) until $over; print qq(over\\n)";
  Started tool(
      Words{"unshare", "--pid", "--fork", "--kill-child", "--mount-proc"} +
      CtxRun({},
             {"sh", "-c",
              "trap 'kill -USR1 $!; wait $!; exit 3' TERM; setsid perl -e \"$0\" & wait", kApart}));
  EXPECT_EQ(tool.Line(), "over");
  EXPECT_EQ(tool.End(), "status 3");
}

// What ctx opens does not take the place of what the command finds closed.
TEST(RunTool, Rule67_WhatWasClosedStaysClosed) {
  for (const char* const way : {"<&-", "<&- 2>&-"}) {
    const std::string script = "exec \"$@\" " + std::string(way);
    Started tool(Words{"sh", "-c", script, "sh"} + CtxRun({}, {"readlink", "/proc/self/fd/0"}));
    EXPECT_EQ(tool.Line(), "") << way;
    EXPECT_EQ(tool.End(), "status 1") << way;
  }
}

TEST(RunTool, TellsWhatItCan) {
  Started help({kTool, "--help"});
  EXPECT_EQ(help.Line(), "ctx run [OPTION]... [--] COMMAND [ARGUMENT]...");
  EXPECT_EQ(help.End(), "status 0");
  Started version({kTool, "--version"});
  EXPECT_EQ(version.Line(), std::string("ctx of libctx ") + ctx_version_string());
  Started nothing({kTool});
  EXPECT_EQ(nothing.End(), "status 125");
}

}  // namespace
}  // namespace ctxtest

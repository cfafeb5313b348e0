// SPDX-License-Identifier: MIT
//
// Rule 67: `ctx run` ends as timeout(1) does, which runs beside it.
#include <ostream>
#include <string>

#include "support/sources.h"
#include "tool/started.h"

namespace ctxtest {
namespace {

struct Row {
  const char* name;
  Words for_timeout;  // its options, and its duration
  Words for_ctx;
  Words command;
  int signal = 0;  // sent to it once the command has said a line
};

void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

const Words kSleep = {"sleep", "1000"};
const char* const kWaits = "sleep 1000 & echo started; wait";
const char* const kIgnores = "trap '' TERM; echo started; while :; do sleep 1000; done";

const Row kRows[] = {
    {"Success", {"9"}, {"--timeout", "9"}, {"true"}},
    {"Failure", {"9"}, {"--timeout", "9"}, {"false"}},
    {"Status", {"9s"}, {"--timeout", "9s"}, {"sh", "-c", "exit 77"}},
    {"Status124", {"9m"}, {"--timeout", "9m"}, {"sh", "-c", "exit 124"}},
    {"NotFound", {"9"}, {"--timeout", "9"}, {"/no/such/command"}},
    {"NotFoundOnThePath", {"9"}, {"--timeout", "9"}, {"no-such-command"}},
    {"CannotRun", {"9"}, {"--timeout", "9"}, {"/etc/passwd"}},
    {"NoProgram", {"9"}, {"--timeout", "9"}, {"/"}},
    {"DiesBySignal", {"9"}, {"--timeout", "9"}, {"sh", "-c", "kill -USR1 $$"}},
    {"DiesBySIGKILL", {"9"}, {"--timeout", "9"}, {"sh", "-c", "kill -KILL $$"}},
    {"DiesBySIGTERM", {"9"}, {"--timeout", "9"}, {"sh", "-c", "kill -TERM $$"}},
    {"DumpsCore", {"9"}, {"--timeout", "9"}, {"sh", "-c", "kill -SEGV $$"}},
    {"NoLimit", {"0"}, {"--timeout", "0"}, {"sh", "-c", "exit 3"}},
    {"Endless", {"inf"}, {"--timeout", "inf"}, {"true"}},
    {"NoDuration", {"x"}, {"--timeout", "x"}, {"true"}},
    {"Negative", {"-1"}, {"--timeout", "-1"}, {"true"}},
    {"NoUnit", {"1y"}, {"--timeout", "1y"}, {"true"}},
    {"NoSignal", {"-s", "NONE", "9"}, {"--signal", "NONE", "--timeout", "9"}, {"true"}},
    {"NoOption", {"--nothing", "9"}, {"--nothing"}, {"true"}},
    {"NoCommand", {"9"}, {"--timeout", "9"}, {}},
    {"TimesOut", {"0.1"}, {"--timeout", "0.1"}, kSleep},
    {"TimesOutInForeground", {"--foreground", "0.1"}, {"--foreground", "--timeout", "0.1"}, kSleep},
    {"EndsWellWhenAsked",
     {"0.1"},
     {"--timeout", "0.1"},
     {"perl", "-e", "$SIG{TERM} = sub { exit 0 }; sleep 1 while 1"}},
    {"AnotherSignal", {"-s", "USR1", "0.1"}, {"--signal", "USR1", "--timeout", "0.1"}, kSleep},
    {"ASignalByNumber", {"-s", "2", "0.1"}, {"--signal", "2", "--timeout", "0.1"}, kSleep},
    {"ASignalWithSIG", {"-s", "SIGHUP", "0.1"}, {"--signal", "SIGHUP", "--timeout", "0.1"}, kSleep},
    {"SIGKILLAtOnce", {"-s", "KILL", "0.1"}, {"--signal", "KILL", "--timeout", "0.1"}, kSleep},
    {"SIGKILLInForeground",
     {"--foreground", "-s", "KILL", "0.1"},
     {"--foreground", "--signal", "KILL", "--timeout", "0.1"},
     kSleep},
    {"KilledAfterTheGrace",
     {"-k", "0.1", "0.1"},
     {"--grace", "0.1", "--timeout", "0.1"},
     {"sh", "-c", kIgnores}},
    {"Stopped", {"0.1"}, {"--timeout", "0.1"}, {"sh", "-c", "kill -STOP $$; sleep 1000"}},
    {"GetsSIGTERM", {"0"}, {}, {"sh", "-c", kWaits}, SIGTERM},
    {"GetsSIGINT", {"0"}, {}, {"perl", "-e", "$| = 1; print qq(started\\n); sleep"}, SIGINT},
    {"GetsSIGHUP", {"0"}, {}, {"sh", "-c", kWaits}, SIGHUP},
    {"GetsSIGQUIT", {"0"}, {}, {"perl", "-e", "$| = 1; print qq(started\\n); sleep"}, SIGQUIT},
    {"GetsTheSignalThatItSends",
     {"-s", "USR2", "0"},
     {"--signal", "USR2"},
     {"sh", "-c", kWaits},
     SIGUSR2},
    {"GetsASignalInForeground",
     {"--foreground", "0"},
     {"--foreground"},
     {"sh", "-c", "echo started; exec sleep 1000"},
     SIGTERM},
    {"ExitsOnASignal",
     {"0"},
     {},
     {"perl", "-e", "$SIG{TERM} = sub { exit 5 }; $| = 1; print qq(started\\n); sleep 1 while 1"},
     SIGTERM},
    {"IgnoresASignal", {"-k", "0.1", "0"}, {"--grace", "0.1"}, {"sh", "-c", kIgnores}, SIGTERM},
};

class AsTimeout : public ::testing::TestWithParam<Row> {};

std::string EndOf(const Words& command, int signal) {
  Started started(command);
  if (signal != 0) {
    EXPECT_EQ(started.Line(), "started");
    // A signal that comes while timeout(1) is about to note its child ends it, and not the child.
    EXPECT_TRUE(Soon([&] { return started.IsAsleep(); }));
    started.Send(signal);
  }
  return started.End();
}

TEST_P(AsTimeout, Rule67_EndsAsItDoes) {
  const Row& row = GetParam();
  const Words timeout = Words{"timeout"} + row.for_timeout + row.command;
  EXPECT_EQ(EndOf(CtxRun(row.for_ctx, row.command), row.signal), EndOf(timeout, row.signal));
}

INSTANTIATE_TEST_SUITE_P(, AsTimeout, ::testing::ValuesIn(kRows),
                         [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace ctxtest

// SPDX-License-Identifier: MIT
//
// Rule 35: contexts that a signal to the process ends, on a loop of each kind. Which end, with which
// cause, what is refused, and that the signal is left alone when nobody waits for it any more.
#include <sys/wait.h>

#include <string>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sources.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

class SignalSource : public ::testing::TestWithParam<On> {
 protected:
  // Whether a signal that is sent now is left to the program. It is taken from it.
  bool LeftAlone(int signal) {
    Send(signal);
    host.Settle();
    return blocked.Take() == signal;
  }

  const BlockSignals blocked{SIGUSR1, SIGUSR2, SIGTERM, SIGHUP, SIGALRM, SIGRTMIN, SIGRTMIN + 1};
  const Host host{GetParam()};
};

TEST_P(SignalSource, Rule35_ASignalEndsIt) {
  const Scope scope = WithSignal(host.root(), {SIGUSR1});
  const Scope child = WithCancel(scope);
  host.Settle();
  EXPECT_EQ(ctx_err(scope), 0);
  Send(SIGUSR1);
  ASSERT_TRUE(host.Done(child));
  EXPECT_EQ(ctx_err(scope), CTX_CANCELED);
  EXPECT_EQ(ctx_cause(child), ctx_cause(scope));
}

TEST_P(SignalSource, Rule35_TheCauseNamesTheSignal) {
  const std::pair<int, const char*> signals[] = {
      {SIGUSR1, "SIGUSR1"}, {SIGUSR2, "SIGUSR2"}, {SIGTERM, "SIGTERM"}, {SIGHUP, "SIGHUP"}};
  for (const auto& [signal, name] : signals) {
    const Scope scope = WithSignal(host.root(), {SIGUSR1, SIGUSR2, SIGTERM, SIGHUP});
    Send(signal);
    ASSERT_TRUE(host.Done(scope));
    EXPECT_EQ(ctx_cause_code(ctx_cause(scope)), signal);
    EXPECT_EQ(ctx_cause_given(ctx_cause(scope)), 1);
    EXPECT_EQ(ctx_cause_origin(ctx_cause(scope)), CTX_ORIGIN_SIGNAL);
    const std::string message = ctx_cause_message(ctx_cause(scope));
    EXPECT_NE(message.find(name), std::string::npos) << message;
  }
}

TEST_P(SignalSource, Rule35_TheCauseNamesTheSender) {
  const Scope scope = WithSignal(host.root(), {SIGTERM});
  const pid_t parent = getpid();
  const pid_t sender = fork();
  if (sender == 0) {
    kill(parent, SIGTERM);
    _exit(0);
  }
  ASSERT_GT(sender, 0);
  ASSERT_TRUE(host.Done(scope));
  EXPECT_EQ(waitpid(sender, nullptr, 0), sender);
  const std::string message = ctx_cause_message(ctx_cause(scope));
  EXPECT_NE(message.find(std::to_string(sender)), std::string::npos) << message;
}

// A signal that no process has sent has no sender: neither process 0, nor the child that it tells of.
TEST_P(SignalSource, Rule35_TheCauseNamesNoSenderOfASignalOfTheSystem) {
  const auto message_of = [this](int signal, auto raise) {
    const Scope scope = WithSignal(host.root(), {signal});
    raise();
    EXPECT_TRUE(host.Done(scope));
    return std::string(ctx_cause_message(ctx_cause(scope)));
  };
  EXPECT_EQ(message_of(SIGALRM,
                       [] {
                         const itimerval soon = {{0, 0}, {0, 1000}};
                         EXPECT_EQ(setitimer(ITIMER_REAL, &soon, nullptr), 0);
                       }),
            "SIGALRM from the system");
  timer_t timer = {};
  EXPECT_EQ(message_of(SIGUSR1,
                       [&timer] {
                         sigevent event = {};
                         event.sigev_notify = SIGEV_SIGNAL;
                         event.sigev_signo = SIGUSR1;
                         ASSERT_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
                         const itimerspec soon = {{0, 0}, {0, 1'000'000}};
                         ASSERT_EQ(timer_settime(timer, 0, &soon, nullptr), 0);
                       }),
            "SIGUSR1 from the system");
  EXPECT_EQ(timer_delete(timer), 0);
  const BlockSignals also_blocked{SIGCHLD};
  EXPECT_EQ(message_of(SIGCHLD,
                       [] {
                         const pid_t child = fork();
                         if (child == 0) _exit(0);
                         ASSERT_GT(child, 0);
                         EXPECT_EQ(waitpid(child, nullptr, 0), child);
                       }),
            "SIGCHLD from the system");
}

// Signals that no process has sent, and real-time ones.
TEST_P(SignalSource, Rule35_AnySenderAndAnySignal) {
  {
    const Scope scope = WithSignal(host.root(), {SIGALRM});
    const itimerval soon = {{0, 0}, {0, 1000}};
    ASSERT_EQ(setitimer(ITIMER_REAL, &soon, nullptr), 0);
    ASSERT_TRUE(host.Done(scope));
    EXPECT_EQ(ctx_cause_code(ctx_cause(scope)), SIGALRM);
    EXPECT_STRNE(ctx_cause_message(ctx_cause(scope)), "");
  }
  for (const int signal : {SIGRTMIN, SIGRTMIN + 1}) {
    const Scope scope = WithSignal(host.root(), {signal});
    sigval value = {};
    ASSERT_EQ(sigqueue(getpid(), signal, value), 0);
    ASSERT_TRUE(host.Done(scope));
    EXPECT_EQ(ctx_cause_code(ctx_cause(scope)), signal);
    EXPECT_STRNE(ctx_cause_message(ctx_cause(scope)), "");
  }
}

TEST_P(SignalSource, Rule35_OneSignalEndsEveryContextThatWaitsForIt) {
  const Scope first = WithSignal(host.root(), {SIGUSR1}),
              both = WithSignal(host.root(), {SIGUSR2, SIGUSR1}),
              second = WithSignal(host.root(), {SIGUSR2});
  std::vector<Scope> more;
  for (int i = 0; i < 50; ++i) more.push_back(WithSignal(host.root(), {SIGUSR1}));
  Send(SIGUSR1);
  ASSERT_TRUE(host.Done(first));
  ASSERT_TRUE(host.Done(both));
  for (const Scope& scope : more) ASSERT_TRUE(host.Done(scope));
  EXPECT_EQ(ctx_cause_code(ctx_cause(both)), SIGUSR1);
  host.Settle();
  EXPECT_EQ(ctx_err(second), 0);
  EXPECT_EQ(blocked.Take(), -1) << "it was taken";
  Send(SIGUSR2);
  ASSERT_TRUE(host.Done(second));
  EXPECT_EQ(ctx_cause_code(ctx_cause(second)), SIGUSR2);
  EXPECT_EQ(ctx_cause_code(ctx_cause(both)), SIGUSR1);
}

TEST_P(SignalSource, Rule35_LeftAloneOnceItHasEndedWhatWaited) {
  const Scope scope = WithSignal(host.root(), {SIGUSR1, SIGUSR2});
  Send(SIGUSR1);
  ASSERT_TRUE(host.Done(scope));
  host.Settle();
  EXPECT_TRUE(LeftAlone(SIGUSR1));
  EXPECT_TRUE(LeftAlone(SIGUSR2));
  host.ExpectIdle();
}

TEST_P(SignalSource, Rule35_LeftAloneOnceItsContextsWereCanceled) {
  const Scope parent = WithCancel(host.root());
  const Scope first = WithSignal(host.root(), {SIGUSR1}), below = WithSignal(parent, {SIGUSR1});
  EXPECT_EQ(first.Cancel(), 1);
  EXPECT_EQ(parent.Cancel(), 1);
  EXPECT_EQ(ctx_err(below), CTX_CANCELED);
  EXPECT_TRUE(LeftAlone(SIGUSR1));
  EXPECT_EQ(ctx_cause_code(ctx_cause(first)), CTX_CANCELED);
}

TEST_P(SignalSource, Rule35_LeftAloneOnceItsContextsWereReleased) {
  Drop drop;
  {
    const Ctx watched = Watched(host.root(), &drop);
    const Scope first = WithSignal(watched, {SIGUSR1}), second = WithSignal(watched, {SIGUSR1});
  }
  EXPECT_TRUE(drop.Wait());
  EXPECT_TRUE(LeftAlone(SIGUSR1));
}

TEST_P(SignalSource, Rule35_TakenAsLongAsOneWaits) {
  const Scope parent = WithCancel(host.root());
  const Scope stays = WithSignal(host.root(), {SIGUSR1});
  Scope released = WithSignal(parent, {SIGUSR1, SIGUSR2}), canceled = WithSignal(parent, {SIGUSR1});
  released.reset();
  canceled.Cancel();
  EXPECT_TRUE(LeftAlone(SIGUSR2));
  Send(SIGUSR1);
  ASSERT_TRUE(host.Done(stays));
  EXPECT_EQ(blocked.Take(), -1);
}

TEST_P(SignalSource, Rule35_AgainAndAgain) {
  for (int i = 0; i < 50; ++i) {
    const int signal = i % 3 == 0 ? SIGUSR2 : SIGUSR1;
    const Scope scope = WithSignal(host.root(), {signal});
    Send(signal);
    ASSERT_TRUE(host.Done(scope)) << i;
  }
  EXPECT_EQ(blocked.Take(), -1);
}

TEST_P(SignalSource, Rule35_NoHandlerIsChanged) {
  static volatile sig_atomic_t handled;
  handled = 0;
  struct sigaction ours = {}, before = {}, seen = {};
  ours.sa_handler = [](int) { handled = handled + 1; };
  ours.sa_flags = SA_RESTART | SA_NODEFER;
  ASSERT_EQ(sigaction(SIGUSR1, &ours, &before), 0);
  const auto same = [&] {
    return sigaction(SIGUSR1, nullptr, &seen) == 0 && seen.sa_handler == ours.sa_handler &&
           (seen.sa_flags & ours.sa_flags) == ours.sa_flags;
  };
  {
    const Scope scope = WithSignal(host.root(), {SIGUSR1});
    EXPECT_TRUE(same());
    Send(SIGUSR1);
    ASSERT_TRUE(host.Done(scope));
    EXPECT_TRUE(same());
  }
  EXPECT_EQ(handled, 0) << "it does not see what was taken";
  host.Settle();
  Send(SIGUSR1);
  host.Settle();
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  EXPECT_EQ(handled, 1) << "and sees what was not";
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  sigaction(SIGUSR1, &before, nullptr);
}

TEST_P(SignalSource, Rule08_BelowADoneParentItIsDoneOnReturn) {
  const Scope parent = WithCancel(host.root());
  parent.Cancel();
  const Scope scope = WithSignal(parent, {SIGUSR1});
  EXPECT_EQ(ctx_err(scope), CTX_CANCELED);
  EXPECT_EQ(ctx_cause(scope), ctx_cause(parent));
  EXPECT_TRUE(LeftAlone(SIGUSR1));
}

TEST_P(SignalSource, Rule35_TheFirstAndTheLastNumberEndIt) {
  const BlockSignals borders{1, SIGRTMAX};
  for (const int signal : {1, SIGRTMAX}) {
    const Scope scope = WithSignal(host.root(), {signal});
    Send(signal);
    ASSERT_TRUE(host.Done(scope)) << signal;
    EXPECT_EQ(ctx_cause_code(ctx_cause(scope)), signal);
  }
}

TEST_P(SignalSource, TheSameOneTwiceIsFine) {
  const Scope scope = WithSignal(host.root(), {SIGUSR1, SIGUSR1, SIGUSR1});
  Send(SIGUSR1);
  EXPECT_TRUE(host.Done(scope));
  host.Settle();
  EXPECT_TRUE(LeftAlone(SIGUSR1));
}

INSTANTIATE_TEST_SUITE_P(, SignalSource,
                         ::testing::Values(On::kDefault, On::kThread, On::kManual, On::kVirtual),
                         [](const auto& on) { return NameOf(on.param); });

}  // namespace
}  // namespace ctxtest

// SPDX-License-Identifier: MIT
#include "core/system/thread.h"

#include <csignal>

namespace ctxcore {

int start_thread(const char* name, void* (*run)(void*), void* argument, pthread_t* thread) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // inherited by the new thread
  const int error = pthread_create(thread, nullptr, run, argument);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error == 0) pthread_setname_np(*thread, name);
  return -error;
}

}  // namespace ctxcore

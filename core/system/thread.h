// SPDX-License-Identifier: MIT
// The library's own threads: named, and with every signal blocked, so that no handler of the host's
// ever runs on them.
#ifndef CTX_CORE_SYSTEM_THREAD_H
#define CTX_CORE_SYSTEM_THREAD_H

#include <pthread.h>

namespace ctxcore {

// 0 or a negative errno; -EAGAIN where the system refuses a thread.
int start_thread(const char* name, void* (*run)(void*), void* argument, pthread_t* thread);

}  // namespace ctxcore

#endif

// SPDX-License-Identifier: MIT
// All text that is put together: how a context came to be, and why one ended.
#ifndef CTX_CORE_LIFE_DESCRIBE_H
#define CTX_CORE_LIFE_DESCRIBE_H

#include <cstddef>
#include <cstdint>

#include "core/tree/context.h"

namespace ctxcore {

// As snprintf: writes at most size - 1 characters and a NUL, returns the length of the whole.
size_t describe(const Context* context, char* buffer, size_t size);

// What a descriptor has to tell: "POLLIN|POLLHUP on descriptor 7". The text has room for kEventsText.
constexpr size_t kEventsText = 160;
void describe_events(char* text, int fd, uint32_t events);

// Which signal came, and from whom: "SIGTERM from process 4711 of user 1000", or "SIGALRM from the
// system". The text has room for kSignalText.
constexpr size_t kSignalText = 80;
void describe_signal(char* text, int signal, bool sent, uint32_t process, uint32_t user);

}  // namespace ctxcore

#endif

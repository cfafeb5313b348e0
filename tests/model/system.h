// SPDX-License-Identifier: MIT
// The system as the model has it, in place of core/system/*_linux.cc: descriptors, pollers, futexes, signals, memory.
#ifndef CTX_TESTS_MODEL_SYSTEM_H_
#define CTX_TESTS_MODEL_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <functional>

namespace model {

void system_reset();  // before a schedule
int descriptors_open();
int64_t blocks_in_use();  // of the core's memory

// A descriptor of the scenario's own.
int open_descriptor();
void make_readable(int fd);
void close_descriptor(int fd);
bool is_readable(int fd);
// A host that sleeps in poll(2), or until something that it watches besides.
void await_readable(int fd, const std::function<bool()>& or_else = nullptr);

void send_signal(int number);
void sleep_for(int64_t ns);  // the thread that calls
void refuse_threads(bool refused);
void set_processor(int number);  // of all threads, or -1: each has its own

// Forks at once, runs this in the child, whose only thread is this one, and waits for the child's end. What fails in
// the child fails here.
void fork_child(const std::function<void()>& child);
void start_afresh();  // what the library does in a child

}  // namespace model

#endif

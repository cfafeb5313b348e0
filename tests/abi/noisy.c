/* SPDX-License-Identifier: MIT */
/* A library that does on load all that libctx must not do: load_probe has to notice. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *noisy_memory[2];

static void *idle(void *arg) {
  for (;;) pause();
  return arg;
}

__attribute__((constructor)) static void load(void) {
  pthread_t thread;
  noisy_memory[0] = malloc(100);
  noisy_memory[1] = strdup("memory that libc gets on our behalf");
  if (dup(0) < 0 || pthread_create(&thread, NULL, idle, NULL) != 0) abort();
}

/* SPDX-License-Identifier: MIT */
/* ctx: what the command line says. */
#define _GNU_SOURCE 1
#include <ctx/ctx.h>
#include <ctype.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

static const char kHelp[] =
    "ctx run [OPTION]... [--] COMMAND [ARGUMENT]...\n"
    "Runs a command that ends with its context: at a deadline, when what started it ends, or when "
    "ctx dies.\n"
    "\n"
    "  --timeout TIME      the command may take so long: a number with ms, s (if none), m, h or d; "
    "0: no limit\n"
    "  --grace TIME        from the end's signal to SIGKILL; 5s if not given, inf: never\n"
    "  --signal SIGNAL     what the end sends; TERM if not given\n"
    "  --set NAME=VALUE    a string that the command finds in its context; may be given again\n"
    "  --foreground        the command may use the terminal; only it is sent signals, not what it "
    "has started\n"
    "  --cooperative       sends nothing before the grace is over: the command learns of the end "
    "by libctx\n"
    "  --help\n"
    "\n"
    "Exits with the command's status; 124 if the context ended it, 137 if by SIGKILL; 125 if ctx "
    "itself fails,\n"
    "126 if the command cannot be run, 127 if it is not found. ctx(1) tells more.\n";

void complain(const char *format, ...) {
  char line[4096];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  fprintf(stderr, "ctx: %s\n", line);
}

/* A time such as 1.5s or inf, in nanoseconds; -1 if it is none. */
static int64_t read_time(const char *text) {
  static const struct {
    const char *name;
    double ns;
  } units[] = {{"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}};
  char *end;
  const double number = strtod(text, &end);
  if (end == text || isnan(number) || signbit(number)) return -1;
  for (size_t i = 0; i < sizeof units / sizeof *units; ++i) {
    if (strcmp(end, units[i].name) != 0) continue;
    const double ns = ceil(number * units[i].ns);
    return ns < 9e18 ? (int64_t)ns : CTX_FOREVER;
  }
  return -1;
}

/* TERM, SIGTERM or 15; -1 if it is none. */
static int read_signal(const char *text) {
  char *end;
  const long number = strtol(text, &end, 10);
  if (end != text && *end == '\0') return number >= 1 && number <= SIGRTMAX ? (int)number : -1;
  if (strncasecmp(text, "SIG", 3) == 0) text += 3;
  for (int i = 1; i < SIGRTMIN; ++i) {
    const char *name = sigabbrev_np(i);
    if (name != NULL && strcasecmp(text, name) == 0) return i;
  }
  return -1;
}

static int fail(const char *what, const char *text) {
  complain("%s: %s (see ctx --help)", what, text);
  return STATUS_FAILED;
}

static int read_and_run(int argc, char **argv) {
  static const struct option known[] = {
      {"timeout", required_argument, NULL, 't'}, {"grace", required_argument, NULL, 'g'},
      {"signal", required_argument, NULL, 's'},  {"set", required_argument, NULL, 'S'},
      {"foreground", no_argument, NULL, 'f'},    {"cooperative", no_argument, NULL, 'c'},
      {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
  static struct setting *settings; /* goes with the process */
  settings = calloc((size_t)argc, sizeof *settings);
  if (settings == NULL) return fail("no memory", "for the options");
  struct run_options options = {.timeout_ns = CTX_FOREVER,
                                .grace_ns = INT64_C(5000000000),
                                .signal = SIGTERM,
                                .settings = settings};
  int option;
  opterr = 0;
  while ((option = getopt_long(argc, argv, "+", known, NULL)) != -1) {
    switch (option) {
      case 't':
        options.timeout_ns = read_time(optarg);
        if (options.timeout_ns < 0) return fail("no time", optarg);
        if (options.timeout_ns == 0) options.timeout_ns = CTX_FOREVER;
        break;
      case 'g':
        options.grace_ns = read_time(optarg);
        if (options.grace_ns < 0) return fail("no time", optarg);
        break;
      case 's':
        options.signal = read_signal(optarg);
        if (options.signal < 0) return fail("no signal", optarg);
        break;
      case 'S': {
        char *equals = strchr(optarg, '=');
        if (equals == NULL || equals == optarg) return fail("no NAME=VALUE", optarg);
        *equals = '\0';
        settings[options.setting_count++] = (struct setting){optarg, equals + 1};
        break;
      }
      case 'f':
        options.foreground = true;
        break;
      case 'c':
        options.cooperative = true;
        break;
      case 'h':
        fputs(kHelp, stdout);
        return 0;
      default:
        return fail("no such option, or it lacks its argument", argv[optind - 1]);
    }
  }
  if (optind >= argc) return fail("no command", "what is to be run?");
  options.command = argv + optind;
  return run(&options);
}

/* What is opened later must not become standard input, output or error. The command finds these closed, as ctx did. */
static void fill_standard(void) {
  int fd;
  do {
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
}

int main(int argc, char **argv) {
  fill_standard();
  if (argc >= 2 && strcmp(argv[1], "run") == 0) return read_and_run(argc - 1, argv + 1);
  if (argc == 2 && strcmp(argv[1], "--version") == 0) {
    printf("ctx of libctx %s\n", ctx_version_string());
    return 0;
  }
  if (argc == 2 && strcmp(argv[1], "--help") == 0) {
    fputs(kHelp, stdout);
    return 0;
  }
  return fail("not known", argc < 2 ? "nothing" : argv[1]);
}

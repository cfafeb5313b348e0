// SPDX-License-Identifier: MIT
// By a sealed memfd and a pipe, which the borrower opens as /proc/PROCESS/fd/NUMBER.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "core/system/io.h"
#include "core/system/share.h"

namespace ctxcore {

namespace {

// Leaves errno as it was; calls that fail answer -1 and set it.
template <typename Call>
int quietly(Call call) {
  const int saved = errno;
  const int result = call() == 0 ? 0 : -errno;
  errno = saved;
  return result;
}

// The number of the file that a path or a descriptor leads to, if it is of this type; else 0.
uint64_t number_of(const struct stat& file, mode_t type) {
  return (file.st_mode & S_IFMT) == type ? file.st_ino : 0;
}

uint64_t file_of_descriptor(int fd, mode_t type) {
  struct stat file {};
  return quietly([&] { return fstat(fd, &file); }) == 0 ? number_of(file, type) : 0;
}

// Where /proc hides the processes of other users, one that is there looks as if it were gone.
bool is_hidden(uint64_t process) {
  return quietly([=] { return kill(static_cast<pid_t>(process), 0); }) == -EPERM;
}

char* put(char* at, const char* text) {
  while (*text != '\0') *at++ = *text++;
  return at;
}

char* put(char* at, uint64_t number) {
  char digits[20];
  int count = 0;
  do {
    digits[count++] = static_cast<char>('0' + number % 10);
  } while ((number /= 10) != 0);
  while (count > 0) *at++ = digits[--count];
  return at;
}

uint64_t file_at(const char* path) {
  struct stat file {};
  return quietly([&] { return stat(path, &file); }) == 0 ? file.st_ino : 0;
}

// 0 also where /proc is that of another space, and shows other processes under the numbers of this one.
uint64_t space_of_numbers() {
  char path[32] = "/proc/";
  *put(path + 6, static_cast<uint64_t>(getpid())) = '\0';
  return file_at(path) == file_at("/proc/self") ? file_at("/proc/self/ns/pid") : 0;
}

// A descriptor of the lender, opened once more. It looks before it opens: by now the number may be that of a device,
// and to open one may do something.
int reopen(const LentName& name, uint64_t number, mode_t type, uint64_t wanted) {
  char path[64] = "/proc/";
  char* const end = put(put(path + 6, name.process), "/fd/");
  *put(end, number) = '\0';
  struct stat file {};
  int result = quietly([&] { return stat(path, &file); });
  if (result == -ENOENT) return is_hidden(name.process) ? -EACCES : -ESRCH;
  if (result < 0) return result;
  if (number_of(file, type) != wanted) return -ESRCH;
  result = io::open_to_read(path);
  if (result == -ENOENT) return -ESRCH;
  if (result < 0 || file_of_descriptor(result, type) == wanted) return result;
  io::close(result);
  return -ESRCH;
}

int from_lender(const LentName& name, uint64_t number, mode_t type, uint64_t wanted) {
  if (name.space == 0 || name.space != space_of_numbers()) return -EACCES;
  return reopen(name, number, type, wanted);
}

int open_either(const LentName& name, uint64_t number, mode_t type, uint64_t wanted) {
  const int result = from_lender(name, number, type, wanted);
  if (result != -EACCES && result != -ESRCH) return result;
  const int inherited = static_cast<int>(number);
  return file_of_descriptor(inherited, type) == wanted ? io::duplicate(inherited) : result;
}

// A file that grows beyond the limit brings the process a signal, which ends it.
bool may_be_so_large(size_t bytes) {
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  return bytes <= limit.rlim_cur;
}

}  // namespace

int Lent::open_memory(size_t bytes) {
  if (!may_be_so_large(bytes)) return -EFBIG;
  const int saved = errno;
  memory_fd = memfd_create("libctx", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  int result = memory_fd < 0 ? -errno : 0;
  if (result == 0 && ftruncate(memory_fd, static_cast<off_t>(bytes)) != 0) result = -errno;
  if (result == 0) {
    void* const mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
    if (mapped == MAP_FAILED) {
      result = -errno;
    } else {
      memory = mapped;
      size = bytes;
      result = io::seal(memory_fd);
    }
  }
  if (result == 0 && madvise(memory, size, MADV_DONTFORK) != 0) result = -errno;
  errno = saved;
  const bool lacks = result == -ENOSYS || result == -EINVAL || result == -EPERM;
  return lacks ? -ENOTSUP : result;
}

int Lent::open_pipe() {
  int ends[2] = {-1, -1};
  const int result = quietly([&] { return pipe2(ends, O_CLOEXEC | O_NONBLOCK); });
  if (result < 0) return result;
  read_end = ends[0];
  write_end = ends[1];
  return 0;
}

void Lent::wake() {
  // It takes a byte: it is empty. Nobody reads from it, and this process has a read end, so no signal comes.
  [[maybe_unused]] ssize_t written = io::write(write_end, "", 1);
}

void Lent::hang_up() {
  io::close(write_end);
  write_end = -1;
}

void Lent::close() {
  if (memory != nullptr) quietly([this] { return munmap(memory, size); });
  if (memory_fd >= 0) io::close(memory_fd);
  if (read_end >= 0) io::close(read_end);
}

LentName Lent::name() const {
  LentName name;
  name.space = space_of_numbers();
  name.process = static_cast<uint64_t>(getpid());
  name.memory = static_cast<uint64_t>(memory_fd);
  name.pipe = static_cast<uint64_t>(read_end);
  name.memory_file = file_of_descriptor(memory_fd, S_IFREG);
  name.pipe_file = file_of_descriptor(read_end, S_IFIFO);
  return name;
}

int Borrowed::open(const LentName& name) {
  memory = open_either(name, name.memory, S_IFREG, name.memory_file);
  if (memory < 0) return memory;
  pipe = open_either(name, name.pipe, S_IFIFO, name.pipe_file);
  if (pipe >= 0) return 0;
  io::close(memory);
  const int result = pipe;
  *this = {};
  return result;
}

void Borrowed::close() {
  if (memory >= 0) io::close(memory);
  if (pipe >= 0) io::close(pipe);
}

size_t Borrowed::size() const {
  struct stat file {};
  return quietly([&] { return fstat(memory, &file); }) == 0 ? static_cast<size_t>(file.st_size) : 0;
}

bool Borrowed::read(void* at, size_t bytes, size_t offset) const {
  return io::read_at(memory, at, bytes, offset) == static_cast<ssize_t>(bytes);
}

bool Borrowed::hung_up() const {
  pollfd fd = {pipe, POLLIN, 0};
  return io::poll(&fd, 1, 0) == 1;
}

}  // namespace ctxcore

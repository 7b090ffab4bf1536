// Preloaded into a process, makes every flush slow: fdatasync, fsync, and writes to descriptors opened with O_DSYNC or O_SYNC
// take RINGRAFT_SLOW_FLUSH_US microseconds longer (50,000 if it is not set). They wait first and then do their work, so what
// is durable is durable no sooner than they return. If RINGRAFT_SLOW_FLUSH_FILE names a file, its number counts instead, also
// for flushes that wait already: so a disk stalls and recovers while the process runs. No file is no delay.
#undef _FILE_OFFSET_BITS  // with 64, the headers make pwrite another name of pwrite64, and both are defined below
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static long DelayInFile(const char* path) {
  char text[24] = "";
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  return size > 0 ? atol(text) : 0;
}

static long Now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static void Sleep(long us) {
  const struct timespec time = {us / 1000000, us % 1000000 * 1000};
  nanosleep(&time, NULL);
}

static void Delay(void) {
  const char* path = getenv("RINGRAFT_SLOW_FLUSH_FILE");
  if (path == NULL) {
    const char* text = getenv("RINGRAFT_SLOW_FLUSH_US");
    return Sleep(text == NULL ? 50000 : atol(text));
  }
  const long begun = Now();
  while (Now() - begun < DelayInFile(path)) Sleep(1000);
}

static void DelayIfSynchronous(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags >= 0 && (flags & (O_DSYNC | O_SYNC)) != 0) Delay();
}

// The next definition of a function, looked up once.
#define NEXT(type, name)                                     \
  static type next;                                          \
  if (next == NULL) next = (type)dlsym(RTLD_NEXT, #name)

typedef int (*FlushFn)(int);
typedef ssize_t (*WriteFn)(int, const void*, size_t);
typedef ssize_t (*WritevFn)(int, const struct iovec*, int);
typedef ssize_t (*PwriteFn)(int, const void*, size_t, off_t);
typedef ssize_t (*PwritevFn)(int, const struct iovec*, int, off_t);

int fdatasync(int fd) {
  NEXT(FlushFn, fdatasync);
  Delay();
  return next(fd);
}

int fsync(int fd) {
  NEXT(FlushFn, fsync);
  Delay();
  return next(fd);
}

ssize_t write(int fd, const void* bytes, size_t size) {
  NEXT(WriteFn, write);
  DelayIfSynchronous(fd);
  return next(fd, bytes, size);
}

ssize_t writev(int fd, const struct iovec* pieces, int count) {
  NEXT(WritevFn, writev);
  DelayIfSynchronous(fd);
  return next(fd, pieces, count);
}

ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  NEXT(PwriteFn, pwrite);
  DelayIfSynchronous(fd);
  return next(fd, bytes, size, offset);
}

ssize_t pwrite64(int fd, const void* bytes, size_t size, off_t offset) {
  NEXT(PwriteFn, pwrite64);
  DelayIfSynchronous(fd);
  return next(fd, bytes, size, offset);
}

ssize_t pwritev(int fd, const struct iovec* pieces, int count, off_t offset) {
  NEXT(PwritevFn, pwritev);
  DelayIfSynchronous(fd);
  return next(fd, pieces, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec* pieces, int count, off_t offset) {
  NEXT(PwritevFn, pwritev64);
  DelayIfSynchronous(fd);
  return next(fd, pieces, count, offset);
}

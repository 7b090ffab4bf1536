// Interposed definitions of the calls that change files: the linker uses these for the whole test program and for the
// shared libraries that it loads, LMDB among them. Each calls the next definition (that of the C library or of a
// sanitizer) and then notifies the recorder.
//
// A call that is missing here is detected: the tests compare each file with the result of the recorded calls.
#undef _FILE_OFFSET_BITS  // with 64, the headers make pwrite another name of pwrite64, and both are defined below
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdarg>
#include <string>

#include "base/assert.h"
#include "recorder.h"

namespace {

using ringraft::crash::Interposed;

// The next definition of `name`, looked up once.
#define NEXT(name) static const auto next = reinterpret_cast<decltype(&::name)>(dlsym(RTLD_NEXT, #name))

std::string Gather(const iovec* pieces, int count, ssize_t size) {
  std::string bytes;
  for (int i = 0; i < count && bytes.size() < static_cast<size_t>(size); ++i)
    bytes.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
  bytes.resize(static_cast<size_t>(size));
  return bytes;
}

void NoteWrite(int fd, const void* bytes, ssize_t size, off64_t offset) {
  if (size <= 0 || !Interposed::IsActive()) return;
  Interposed::Wrote(fd, static_cast<uint64_t>(offset),
                    std::string(static_cast<const char*>(bytes), static_cast<size_t>(size)));
}

void NoteWritev(int fd, const iovec* pieces, int count, ssize_t size, off64_t offset) {
  if (size <= 0 || !Interposed::IsActive()) return;
  Interposed::Wrote(fd, static_cast<uint64_t>(offset), Gather(pieces, count, size));
}

// The offset of the next plain write to a regular file; -1 for anything else.
off64_t Position(int fd) { return Interposed::IsActive() ? lseek64(fd, 0, SEEK_CUR) : -1; }

bool Exists(const char* path) {
  struct stat status;
  return Interposed::IsActive() && stat(path, &status) == 0;
}

}  // namespace

// Exported, so that they come before those of the C library.
#pragma GCC visibility push(default)
extern "C" {

// An open that may create a file has a third argument.
#define DEFINE_OPEN(name)                                                     \
  int name(const char* path, int flags, ...) {                                \
    NEXT(name);                                                               \
    va_list more;                                                             \
    va_start(more, flags);                                                    \
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;    \
    va_end(more);                                                             \
    const bool has_existed = Exists(path);                                    \
    const int fd = next(path, flags, mode);                                   \
    if (fd >= 0 && (flags & O_ACCMODE) != O_RDONLY && Interposed::IsActive()) \
      Interposed::Opened(fd, path, has_existed, (flags & O_TRUNC) != 0);      \
    return fd;                                                                \
  }
DEFINE_OPEN(open)
DEFINE_OPEN(open64)

int fdatasync(int fd) {
  NEXT(fdatasync);
  const int result = next(fd);
  if (result == 0) Interposed::Flushed(fd);
  return result;
}

int fsync(int fd) {
  NEXT(fsync);
  const int result = next(fd);
  if (result == 0) Interposed::Flushed(fd);
  return result;
}

// LMDB flushes a writable map with it; the storage never uses one (src/storage/lmdb_env.h).
int msync(void* begin, size_t size, int flags) {
  NEXT(msync);
  RINGRAFT_ASSERT(!Interposed::IsActive());
  return next(begin, size, flags);
}

ssize_t write(int fd, const void* bytes, size_t size) {
  NEXT(write);
  const off64_t offset = Position(fd);
  const ssize_t written = next(fd, bytes, size);
  if (offset >= 0) NoteWrite(fd, bytes, written, offset);
  return written;
}

ssize_t writev(int fd, const iovec* pieces, int count) {
  NEXT(writev);
  const off64_t offset = Position(fd);
  const ssize_t written = next(fd, pieces, count);
  if (offset >= 0) NoteWritev(fd, pieces, count, written, offset);
  return written;
}

#define DEFINE_PWRITE(name, offset_type)                                     \
  ssize_t name(int fd, const void* bytes, size_t size, offset_type offset) { \
    NEXT(name);                                                              \
    const ssize_t written = next(fd, bytes, size, offset);                   \
    NoteWrite(fd, bytes, written, offset);                                   \
    return written;                                                          \
  }
DEFINE_PWRITE(pwrite, off_t)
DEFINE_PWRITE(pwrite64, off64_t)

#define DEFINE_PWRITEV(name, offset_type)                                    \
  ssize_t name(int fd, const iovec* pieces, int count, offset_type offset) { \
    NEXT(name);                                                              \
    const ssize_t written = next(fd, pieces, count, offset);                 \
    NoteWritev(fd, pieces, count, written, offset);                          \
    return written;                                                          \
  }
DEFINE_PWRITEV(pwritev, off_t)
DEFINE_PWRITEV(pwritev64, off64_t)

#define DEFINE_FTRUNCATE(name, offset_type)                                \
  int name(int fd, offset_type size) noexcept {                            \
    NEXT(name);                                                            \
    const int result = next(fd, size);                                     \
    if (result == 0) Interposed::Resized(fd, static_cast<uint64_t>(size)); \
    return result;                                                         \
  }
DEFINE_FTRUNCATE(ftruncate, off_t)
DEFINE_FTRUNCATE(ftruncate64, off64_t)

int mkdir(const char* path, mode_t mode) noexcept {
  NEXT(mkdir);
  const int result = next(path, mode);
  if (result == 0) Interposed::MadeDirectory(path);
  return result;
}

int unlink(const char* path) noexcept {
  NEXT(unlink);
  Interposed::Removing(path);
  return next(path);
}

int rename(const char* from, const char* to) noexcept {
  NEXT(rename);
  const int result = next(from, to);
  if (result == 0) Interposed::Renamed(from, to);
  return result;
}

}  // extern "C"
#pragma GCC visibility pop

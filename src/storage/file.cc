#include "storage/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/try.h"

namespace ringraft::storage {

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) close(fd_);
}

Error SystemError(std::string_view doing, const std::string& path, int error_number) {
  Errc code = error_number == ENOSPC || error_number == EDQUOT ? Errc::kFull : Errc::kIo;
  return Error(code, fmt::format("cannot {} {}: {}", doing, path, std::strerror(error_number)));
}

Result<FileDescriptor> OpenFile(const std::string& path, int flags, int mode) {
  int fd = open(path.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) return SystemError("open", path, errno);
  return FileDescriptor(fd);
}

Result<bool> FileExists(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) == 0) return true;
  if (errno == ENOENT) return false;
  return SystemError("stat", path, errno);
}

Result<std::string> ReadSmallFile(const std::string& path) {
  RINGRAFT_TRY(file, OpenFile(path, O_RDONLY));
  std::string text(4096, '\0');
  ssize_t size = pread(file.get(), text.data(), text.size(), 0);
  if (size < 0) return SystemError("read", path, errno);
  text.resize(static_cast<size_t>(size));
  return text;
}

Result<void> WriteText(const FileDescriptor& file, std::string_view text, const std::string& path) {
  ssize_t written = pwrite(file.get(), text.data(), text.size(), 0);
  if (written == static_cast<ssize_t>(text.size())) return Success();
  return SystemError("write", path, written < 0 ? errno : ENOSPC);  // a short write to a file means a full disk
}

Result<void> SyncFile(const std::string& path) {
  RINGRAFT_TRY(file, OpenFile(path, O_RDONLY));
  if (fsync(file.get()) != 0) return SystemError("flush", path, errno);
  return Success();
}

Result<void> RemoveIfThere(const std::string& path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return SystemError("remove", path, errno);
  return Success();
}

Result<void> Rename(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) return SystemError(fmt::format("rename {} to", from), to, errno);
  return Success();
}

}  // namespace ringraft::storage

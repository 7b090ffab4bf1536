// A few file operations that return errors as results.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "ringraft/errc.h"

namespace ringraft::storage {

class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor();
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

// What to do about a damaged data directory: the end of such errors.
constexpr std::string_view kDamageRemedy =
    "empty the data directory, start the node and readmit it (`ringraft readmit ID`, or ConfigChange::Readmit); never "
    "restore a backup";

// kFull for ENOSPC and EDQUOT, kIo otherwise: "cannot <doing> <path>: <cause>".
Error SystemError(std::string_view doing, const std::string& path, int error_number);

Result<FileDescriptor> OpenFile(const std::string& path, int flags, int mode = 0644);  // always close-on-exec
Result<bool> FileExists(const std::string& path);
Result<std::string> ReadSmallFile(const std::string& path);  // the first 4 KiB
// Writes at offset 0; `path` is for the error.
Result<void> WriteText(const FileDescriptor& file, std::string_view text, const std::string& path);
Result<void> SyncFile(const std::string& path);  // fsync; of a directory, too
Result<void> RemoveIfThere(const std::string& path);
Result<void> Rename(const std::string& from, const std::string& to);

}  // namespace ringraft::storage

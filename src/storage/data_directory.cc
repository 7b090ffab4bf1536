#include "storage/data_directory.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <ctime>

#include "base/try.h"
#include "storage/database_check.h"
#include "storage/stored_format.h"

namespace ringraft::storage {
namespace {

constexpr std::string_view kFormatLine = "format ";

void Reached(const StepHook& hook, std::string_view step) {
  if (hook) hook(step);
}

std::string ParentOf(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<void> MakeDirectory(const std::string& path) {
  if (path.empty()) return Error(Errc::kInvalidArgument, "the path of the data directory is empty; name a directory");
  if (mkdir(path.c_str(), 0755) == 0) return SyncFile(ParentOf(path));
  if (errno == ENOENT)
    return Error(Errc::kIo, fmt::format("cannot create the data directory {}: {} does not exist; create it", path,
                                        ParentOf(path)));
  if (errno != EEXIST) return SystemError("create the data directory", path, errno);
  struct stat status;
  if (stat(path.c_str(), &status) != 0) return SystemError("stat the data directory", path, errno);
  if (!S_ISDIR(status.st_mode))
    return Error(Errc::kIo, fmt::format("the data directory {} is not a directory; name another", path));
  // The process that created it may have been killed before the flush. A parent that this process cannot read is left
  // to its owner.
  if (access(ParentOf(path).c_str(), R_OK) != 0) return Success();
  return SyncFile(ParentOf(path));
}

// For the error message of the next process that tries to lock it; the lock itself is the kernel's.
Result<void> WriteProcessId(const FileDescriptor& file, const std::string& path) {
  if (ftruncate(file.get(), 0) != 0) return SystemError("write", path, errno);
  return WriteText(file, fmt::format("{}\n", getpid()), path);
}

}  // namespace

Result<DataDirectory> DataDirectory::Lock(const std::string& path) {
  RINGRAFT_TRYV(MakeDirectory(path));
  std::string lock_path = path + "/LOCK";
  RINGRAFT_TRY(file, OpenFile(lock_path, O_RDWR | O_CREAT));
  if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return SystemError("lock", lock_path, errno);
    auto holder = ReadSmallFile(lock_path);
    std::string id = holder ? holder.value().substr(0, holder.value().find('\n')) : std::string();
    return Error(Errc::kLocked,
                 fmt::format("data directory {} is in use by process {}; stop it or choose another directory", path,
                             id.empty() ? "(unknown)" : id));
  }
  RINGRAFT_TRYV(WriteProcessId(file, lock_path));
  return DataDirectory(path, std::move(file));
}

Result<void> DataDirectory::Prepare(const std::function<Result<void>(const std::string& file)>& create,
                                    const StepHook& hook) {
  RINGRAFT_TRY(has_marker, FileExists(marker_path()));
  RINGRAFT_TRY(has_database, FileExists(database_path()));
  if (has_marker) {
    RINGRAFT_TRYV(CheckMarker());
    if (!has_database)
      return Error(Errc::kCorrupt,
                   fmt::format("{} is missing, but {} shows that there was one; {}", database_path(), marker_path(),
                               kDamageRemedy));
  }
  if (!has_database) RINGRAFT_TRYV(CreateDatabase(create, hook));
  RINGRAFT_TRYV(CheckDatabaseFile(database_path()));
  if (!has_marker) {
    // If the last start was interrupted, its rename is visible but may not be durable.
    RINGRAFT_TRYV(SyncFile(path_));
    Reached(hook, "the database is in its place");
    RINGRAFT_TRYV(WriteMarker(hook));
  }
  return Success();
}

Result<void> DataDirectory::CreateDatabase(const std::function<Result<void>(const std::string& file)>& create,
                                           const StepHook& hook) {
  std::string temporary = database_path() + ".new", temporary_lock = temporary + "-lock";
  Reached(hook, "the directory is locked");
  RINGRAFT_TRYV(RemoveIfThere(temporary));
  RINGRAFT_TRYV(RemoveIfThere(temporary_lock));
  Reached(hook, "leftovers are removed");
  RINGRAFT_TRYV(create(temporary));
  Reached(hook, "the database is written");
  RINGRAFT_TRYV(SyncFile(temporary));
  RINGRAFT_TRYV(RemoveIfThere(temporary_lock));
  RINGRAFT_TRYV(SyncFile(path_));  // other files that `create` made are in the directory before the database is
  Reached(hook, "the database is flushed");
  RINGRAFT_TRYV(Rename(temporary, database_path()));
  Reached(hook, "the database is renamed");
  return Success();
}

Result<void> DataDirectory::WriteMarker(const StepHook& hook) {
  std::string temporary = marker_path() + ".new";
  std::string text = fmt::format(
      "ringraft data directory\n{}{}\ncreated {:%Y-%m-%dT%H:%M:%SZ}\n\nThe log and the vote of one Raft node. Do not "
      "delete, copy or restore single files: a node that loses acknowledged entries or its vote can lose data of the "
      "whole cluster.\n",
      kFormatLine, kFormatVersion, fmt::gmtime(std::time(nullptr)));
  {
    RINGRAFT_TRY(file, OpenFile(temporary, O_WRONLY | O_CREAT | O_TRUNC));
    Reached(hook, "the marker is begun");
    RINGRAFT_TRYV(WriteText(file, text, temporary));
    Reached(hook, "the marker is written");
    if (fsync(file.get()) != 0) return SystemError("flush", temporary, errno);
  }
  Reached(hook, "the marker is flushed");
  RINGRAFT_TRYV(Rename(temporary, marker_path()));
  Reached(hook, "the marker is renamed");
  RINGRAFT_TRYV(SyncFile(path_));
  Reached(hook, "the marker is in its place");
  return Success();
}

// The format in the database is authoritative; the marker's is checked first because a newer build may keep its data in
// other files. An unreadable marker still shows that there was a database.
Result<void> DataDirectory::CheckMarker() {
  RINGRAFT_TRY(text, ReadSmallFile(marker_path()));
  size_t line = text.find(fmt::format("\n{}", kFormatLine));
  if (line == std::string::npos) return Success();
  const char* begin = text.data() + line + 1 + kFormatLine.size();
  uint32_t format = 0;
  std::from_chars(begin, text.data() + text.size(), format);
  if (format <= kFormatVersion) return Success();
  return Error(Errc::kWrongVersion, fmt::format("{} has the format {}; this build reads up to {}: use a newer build",
                                                marker_path(), format, kFormatVersion));
}

}  // namespace ringraft::storage

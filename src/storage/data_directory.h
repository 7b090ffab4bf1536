// The directory of one node's data: its lock, and a first start that may be interrupted at any point.
//
//   LOCK                 held with flock while the directory is in use; names the process
//   ringraft.mdb         the database (ringraft.mdb-lock is LMDB's)
//   ringraft.redo        its last commits (redo_file.h)
//   RINGRAFT             the marker: a text for people, and proof that there was a database
//   ringraft.mdb.new, RINGRAFT.new   left by an interrupted first start
//
// A first start goes through these states, each durable before the next:
//
//   nothing --> ringraft.redo and ringraft.mdb.new (complete, flushed) --> ringraft.mdb --> and RINGRAFT
//
// So a directory with a marker must have a valid database, and a missing one is never replaced by an empty one; a
// database without a marker was renamed when it was complete, and gets its marker; in any other state the first start
// begins again.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "ringraft/errc.h"
#include "storage/file.h"

namespace ringraft::storage {

// For tests: called after each step of a first start.
using StepHook = std::function<void(std::string_view step)>;

// Holds the lock for its lifetime.
class DataDirectory {
 public:
  // Creates the directory if its parent exists. Errors: kLocked, kIo.
  static Result<DataDirectory> Lock(const std::string& path);

  // Ensures that there is a valid database; on a first start `create(file)` creates it. `create` must leave no file
  // open. Errors: kCorrupt, kWrongVersion, kIo, kFull.
  Result<void> Prepare(const std::function<Result<void>(const std::string& file)>& create, const StepHook& hook = {});

  const std::string& path() const { return path_; }
  std::string database_path() const { return path_ + "/ringraft.mdb"; }
  std::string redo_path() const { return path_ + "/ringraft.redo"; }

 private:
  explicit DataDirectory(std::string path, FileDescriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  Result<void> CreateDatabase(const std::function<Result<void>(const std::string& file)>& create, const StepHook& hook);
  Result<void> WriteMarker(const StepHook& hook);
  Result<void> CheckMarker();
  std::string marker_path() const { return path_ + "/RINGRAFT"; }

  std::string path_;
  FileDescriptor lock_;
};

}  // namespace ringraft::storage

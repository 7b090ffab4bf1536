// The directory of one node's data: who may use it, and a first start that can be cut short at any point.
//
//   LOCK                 held with flock while the directory is in use; names the process
//   ringraft.mdb         the database (ringraft.mdb-lock is LMDB's)
//   ringraft.redo        its last commits (redo_file.h)
//   RINGRAFT             the marker: for people, and proof that there was a database
//   ringraft.mdb.new, RINGRAFT.new   of a first start that has not ended
//
// A first start goes through these states, each durable before the next:
//
//   nothing --> ringraft.redo and ringraft.mdb.new (whole, flushed) --> ringraft.mdb --> and RINGRAFT
//
// So a directory with a marker must have a good database, and an empty one never takes its place; a database without a
// marker was renamed when it was whole, and gets its marker; anything else is begun again.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "ringraft/errc.h"
#include "storage/file.h"

namespace ringraft::storage {

// What a test does between the steps of a first start.
using StepHook = std::function<void(std::string_view step)>;

// Holds the lock as long as it lives.
class DataDirectory {
 public:
  // Creates the directory if its parent exists. Errors: kLocked, kIo.
  static Result<DataDirectory> Lock(const std::string& path);

  // Makes sure that there is a good database, made by `create(file)` if this is the first start. `create` leaves no
  // file open. Errors: kCorrupt, kWrongVersion, kIo, kFull.
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

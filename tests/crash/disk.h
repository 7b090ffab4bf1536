// The possible contents of a disk after a power cut. Durable writes are there; of the others any may have reached the
// disk, in any order and in part.
//
// The page cache writes back whole blocks of 4 KiB at any time, so a block may have any of its states since the last
// flush. A block that is being written when the power fails may be torn: each of its sectors of 512 bytes may have any
// state; a sector is never torn. A new size may be there or not; bytes beyond the size that is there are lost. Any of
// the changes of a directory since its last flush may be there.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "recorder.h"

namespace ringraft::crash {

using Random = std::mt19937_64;

// If `bytes` is shorter than `size`, the rest is zeros.
struct FileImage {
  std::string bytes;
  uint64_t size = 0;
  bool operator==(const FileImage&) const = default;
};

// The unflushed changes that a power cut loses.
struct Cut {
  enum class Kind {
    kAll,     // all of them
    kNone,    // none
    kChosen,  // each block and size is kept by its bit in `kept`, in the order of files and offsets
    kBlocks,  // random blocks keep a random state
    kTorn,    // the same, and some blocks are torn
  };
  Kind kind = Kind::kAll;
  uint64_t kept = 0;
};

class FileModel {
 public:
  static constexpr size_t kBlock = 4096;
  static constexpr size_t kSector = 512;

  explicit FileModel(const FileImage& durable = {});

  void Write(uint64_t offset, const std::string& bytes);
  void SetSize(uint64_t size);
  void Flush();
  // The bytes written there become durable, independently of all others.
  void Settle(uint64_t offset, uint64_t size);

  // The number of blocks, and the size, that may have more than one state on the disk.
  int Undecided() const { return static_cast<int>(pending_.size()) + (sizes_.size() > 1 ? 1 : 0); }
  FileImage After(const Cut& cut, int first_bit, Random& random) const;
  FileImage Now() const { return FileImage{latest_, sizes_.back()}; }  // what a reader sees

 private:
  std::string LatestBlock(uint64_t block) const;
  void PutDurable(uint64_t block, const std::string& content);

  std::string durable_, latest_;                          // up to the last written byte
  std::vector<uint64_t> sizes_;                           // the durable size, then each since
  std::map<uint64_t, std::vector<std::string>> pending_;  // by block: its states since the last flush, oldest first
};

// The recorded flushes that take effect. All kinds but the first are for tests that missing flushes are detected.
enum class Flushes {
  kHonest,
  kNone,         // as with MDB_NOSYNC: no flush, no synchronous write
  kNoData,       // only synchronous writes: the meta page may refer to pages that are not there
  kNoMeta,       // as with MDB_NOMETASYNC: synchronous writes are plain ones
  kNoDirectory,  // directories are not flushed
};

struct DiskImage {
  bool has_directory = false;
  std::map<std::string, FileImage> files;
};

class Disk {
 public:
  // A disk on which everything of `image` is durable, with the file numbers of `numbers`; other files never change.
  Disk(const DiskImage& image, const std::map<std::string, int>& numbers, Flushes flushes);

  // A synchronous write is like any other until Settle.
  void Apply(const Event& event);
  bool NeedsSettling(const Event& event) const;
  void Settle(const Event& event) { files_.at(event.file).Settle(event.offset, event.bytes.size()); }

  int Undecided() const;   // of all files
  bool IsSettled() const;  // true if the disk can have only one state
  DiskImage After(const Cut& cut, Random& random) const;
  DiskImage Now() const;

 private:
  void Change(std::map<std::string, int>& entries, const Event& event) const;
  std::map<std::string, int> EntriesAfter(const Cut& cut, Random& random) const;

  Flushes flushes_;
  std::map<int, FileModel> files_;
  std::map<std::string, int> durable_entries_, entries_;
  std::vector<Event> entry_changes_;  // since the last flush of the directory
  bool has_durable_directory_, has_directory_;
};

}  // namespace ringraft::crash

// What a disk may hold after a power cut: a file, and a directory of files, of which some writes are durable, and of
// the others any may have reached the disk, in any order and in part.
//
// The page cache writes whole blocks of 4 KiB back when it likes, so of each block any state since the last flush may
// be there. A block that is being written when the power goes may be torn: of each of its sectors of 512 bytes any
// state may be there; a sector is never torn. A new size may be there or not; what lies behind the size that is there
// is gone. Of the changes of a directory since its last flush any may be there.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "recorder.h"

namespace ringraft::crash {

using Random = std::mt19937_64;

// `bytes` may end before `size`: the rest is zeros.
struct FileImage {
  std::string bytes;
  uint64_t size = 0;
  bool operator==(const FileImage&) const = default;
};

// What a power cut takes of what was not flushed.
struct Cut {
  enum class Kind {
    kAll,     // everything
    kNone,    // nothing
    kChosen,  // each block and size by its bit in `kept`, in the order of files and offsets
    kBlocks,  // random states of random blocks
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
  // What was written there is durable now, whatever else is not.
  void Settle(uint64_t offset, uint64_t size);

  // The blocks, and the size, of which the disk may have more than one state.
  int Undecided() const { return static_cast<int>(pending_.size()) + (sizes_.size() > 1 ? 1 : 0); }
  FileImage After(const Cut& cut, int first_bit, Random& random) const;
  FileImage Now() const { return FileImage{latest_, sizes_.back()}; }  // what a reader sees

 private:
  std::string LatestBlock(uint64_t block) const;
  void PutDurable(uint64_t block, const std::string& content);

  std::string durable_, latest_;                          // up to the last byte that was written
  std::vector<uint64_t> sizes_;                           // the durable one, then each since
  std::map<uint64_t, std::vector<std::string>> pending_;  // by block: its states since, oldest first
};

// Which of the flushes that were recorded take effect. All but the first are for proving that their loss is found.
enum class Flushes {
  kHonest,
  kNone,         // as with MDB_NOSYNC: no flush, no synchronous write
  kNoData,       // synchronous writes alone: the meta page may name pages that are not there
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

  // A synchronous write is like any other until it is settled.
  void Apply(const Event& event);
  bool NeedsSettling(const Event& event) const;
  void Settle(const Event& event) { files_.at(event.file).Settle(event.offset, event.bytes.size()); }

  int Undecided() const;   // blocks and sizes
  bool IsSettled() const;  // there is only one state that the disk can have
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

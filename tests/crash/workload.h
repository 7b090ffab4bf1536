// A storage under load through the storage thread, recorded: what it asked of the disk, and which states it went
// through.
#pragma once

#include <string>
#include <vector>

#include "disk.h"
#include "ringraft/storage.h"

namespace ringraft::crash {

// Everything that a storage holds, as one line: equal lines, equal states.
Result<std::string> StateOf(Storage& storage);

// Small, so that opening is cheap; large enough for every workload here.
constexpr size_t kMaxBytes = size_t{64} << 20;

struct History {
  DiskImage start;                     // all of it durable
  std::map<std::string, int> numbers;  // of files in it
  std::vector<Event> events;
  std::vector<std::string> states;  // 0: at the start; n: after commit n
  int acknowledged = 0;             // at the end
  std::string problem;              // empty if nothing was wrong while it was recorded
};

// What is in `directory`, and the reverse. Locks are left out.
DiskImage ReadImage(const std::string& directory);
void WriteImage(const DiskImage& image, const std::string& directory);
// Byte by byte.
bool AreSame(const DiskImage& a, const DiskImage& b);

// Opens the storage in `directory`, where `start` is put before (nothing: a new one), and lets it make `rounds` rounds
// of a few group commits: batches from some bytes to many pages, truncations, hard states, values.
History RecordWorkload(const std::string& directory, const DiskImage& start, int rounds, Random& random);

// Who makes the directory of a first start.
enum class MadeBy { kFirstStart, kOthersWithoutFlush };

// A first start in `directory`, with a few commits at its end. Before it, one first start for each number in
// `killed_after`, which is killed after that step.
History RecordFirstStart(const std::string& directory, MadeBy made_by, const std::vector<int>& killed_after);

}  // namespace ringraft::crash

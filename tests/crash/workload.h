// A recorded workload of the storage through the storage thread: its disk operations, and the states that it went
// through.
#pragma once

#include <string>
#include <vector>

#include "disk.h"
#include "ringraft/storage.h"

namespace ringraft::crash {

// The whole state of a storage as one line: equal lines mean equal states.
Result<std::string> StateOf(Storage& storage);

// Small, so that opening is cheap; large enough for every workload here.
constexpr size_t kMaxBytes = size_t{64} << 20;

struct History {
  DiskImage start;                     // completely durable
  std::map<std::string, int> numbers;  // of files in it
  std::vector<Event> events;
  std::vector<std::string> states;  // 0: at the start; n: after commit n
  int acknowledged = 0;             // at the end
  std::string problem;              // of the recording; empty if there was none
};

// Reads the contents of `directory` without lock files, and writes them.
DiskImage ReadImage(const std::string& directory);
void WriteImage(const DiskImage& image, const std::string& directory);
// Byte by byte.
bool AreSame(const DiskImage& a, const DiskImage& b);

// Writes `start` to `directory` (empty: a new data directory), opens the storage there, and runs `rounds` rounds of a
// few group commits: batches from some bytes to many pages, truncations, hard states, values.
History RecordWorkload(const std::string& directory, const DiskImage& start, int rounds, Random& random);

// What creates the directory of a first start.
enum class MadeBy { kFirstStart, kOthersWithoutFlush };

// A first start in `directory`, followed by a few commits. Before it, for each number in `killed_after`, a first start
// that is killed after that step.
History RecordFirstStart(const std::string& directory, MadeBy made_by, const std::vector<int>& killed_after);

}  // namespace ringraft::crash

// What the tests of the storages share: directories that go away, batches from a few words, one line of text for a
// whole state.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ringraft/storage.h"

namespace ringraft::storage {

// A new directory, removed with everything in it at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::chrono::system_clock::time_point At(int64_t microseconds);

LogEntry Entry(uint64_t index, uint64_t term, std::string_view command, LogEntryType type = LogEntryType::kCommand);

// A batch of `commands` from `first` on. A command that begins with "config" is a configuration, an empty one a no-op.
BatchRef Batch(uint64_t first, uint64_t term, const std::vector<std::string>& commands, uint64_t group = 1);

// "3@2:abc" for each entry (index, term, command), with '*' behind it for a configuration; separated by blanks.
std::string Text(std::span<const BatchRef> batches);
std::string Text(std::span<const OwnedLogEntry> entries);
// Everything: "term 3 vote 1 | terms 1:1 3:2 | configurations 2:config | 1@1:a ..."; fails the test on an error.
std::string Text(Storage& storage);
std::string ReadFile(const std::string& path);
void WriteFile(const std::string& path, std::string_view bytes);

// Has the call failed with this code, and with a message of one line that has all these words?
template <class T>
bool Fails(const Result<T>& result, Errc code, std::vector<std::string> words = {}) {
  if (result) {
    MESSAGE("it should have failed");
    return false;
  }
  std::string message = result.error().message();
  bool good = result.error() == code && message.find('\n') == std::string::npos;
  for (const std::string& word : words) good = good && message.find(word) != std::string::npos;
  if (!good) MESSAGE("error " << static_cast<int>(result.error().code()) << ": " << message);
  return good;
}

// The three kinds of storage. `Open` gives the same state each time if `kSurvives`.
struct Lmdb {
  static constexpr bool kSurvives = true;
  TemporaryDirectory directory;
  std::shared_ptr<Storage> Open() {
    auto storage = OpenLmdbStorage(directory.path() + "/data");
    REQUIRE_MESSAGE(storage, storage.error().message());
    return storage.value();
  }
};

struct Memory {
  static constexpr bool kSurvives = false;
  std::shared_ptr<Storage> Open() { return MakeMemoryStorage(); }
};

// Over the facets of a storage in memory, which a user's own would stand in for.
struct Adapted {
  static constexpr bool kSurvives = true;
  std::shared_ptr<Storage> memory = MakeMemoryStorage();
  std::shared_ptr<Storage> Open() {
    return AdaptStorage(std::shared_ptr<Log>(memory, &memory->Log()), std::shared_ptr<Store>(memory, &memory->Store()));
  }
};

}  // namespace ringraft::storage

TYPE_TO_STRING(ringraft::storage::Lmdb);
TYPE_TO_STRING(ringraft::storage::Memory);
TYPE_TO_STRING(ringraft::storage::Adapted);

// The cases of a conformance suite are written once and run with each.
#define STORAGE_CASE(name) TEST_CASE_TEMPLATE(name, Kind, Lmdb, Memory, Adapted)

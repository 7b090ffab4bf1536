// The common part of the storage tests: temporary directories, batches from a few words, one line of text for a whole
// state.
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

// A new directory; the destructor removes it with everything in it.
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

// A batch of `commands` from index `first` on. A command that begins with "config" is a configuration, an empty one a
// no-op.
BatchRef Batch(uint64_t first, uint64_t term, const std::vector<std::string>& commands, uint64_t group = 1);

// "3@2:abc" for each entry (index, term, command), followed by '*' for a configuration; separated by spaces.
std::string Text(std::span<const BatchRef> batches);
std::string Text(std::span<const OwnedLogEntry> entries);
// The whole state: "term 3 vote 1 | terms 1:1 3:2 | configurations 2:config | 1@1:a ..."; fails the test on an error.
std::string Text(Storage& storage);
std::string ReadFile(const std::string& path);
void WriteFile(const std::string& path, std::string_view bytes);

// Returns true if the call failed with this code and with a one-line message that has all these words.
template <class T>
bool Fails(const Result<T>& result, Errc code, std::vector<std::string> words = {}) {
  if (result) {
    MESSAGE("the call succeeded instead of failing");
    return false;
  }
  std::string message = result.error().message();
  bool good = result.error() == code && message.find('\n') == std::string::npos;
  for (const std::string& word : words) good = good && message.find(word) != std::string::npos;
  if (!good) MESSAGE("error " << static_cast<int>(result.error().code()) << ": " << message);
  return good;
}

// The three kinds of storage. If `kSurvives`, every `Open` returns the same state.
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

// On the facets of a storage in memory, in place of a user's own.
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

// A case of a conformance suite: written once, run with each kind.
#define STORAGE_CASE(name) TEST_CASE_TEMPLATE(name, Kind, Lmdb, Memory, Adapted)

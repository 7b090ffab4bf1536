// The redo file by itself, and the storage that commits from it what LMDB lacks. F2 and F9 are rows of the catalogue of
// hazards (tests/CATALOGUE.md).
#include "storage/redo_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <future>

#include "support.h"

namespace ringraft::storage {
namespace {

constexpr uint64_t kId = 77;
constexpr GroupId kGroup{1};

struct Redo {
  TemporaryDirectory directory;
  std::string path = directory.path() + "/redo";
  Redo() { REQUIRE(RedoFile::Create(path, kId)); }

  RedoFile Open(uint64_t id = kId) {
    auto file = RedoFile::Open(path, id);
    REQUIRE_MESSAGE(file, file.error().message());
    return std::move(file).value();
  }
  void Damage(size_t offset) {
    std::string bytes = ReadFile(path);
    bytes[offset] = static_cast<char>(bytes[offset] ^ 1);
    WriteFile(path, bytes);
  }
};

constexpr size_t SlotOf(uint64_t transaction) { return RedoFile::kBlock + transaction % 2 * RedoFile::kSlotBytes; }

// "7 term 3 vote 1 after 4: 5@3:a" for each record.
std::string Text(const Result<std::vector<RedoRecord>>& records) {
  REQUIRE_MESSAGE(records, records.error().message());
  std::string text;
  for (const RedoRecord& record : records.value()) {
    text += (text.empty() ? "" : " | ") + std::to_string(record.transaction);
    if (record.hard_state)
      text += " term " + std::to_string(record.hard_state->term.value()) + " vote " +
              std::to_string(record.hard_state->vote.value());
    if (record.truncate_after) text += " after " + std::to_string(record.truncate_after->value());
    text += ": " + storage::Text(record.batches);
  }
  return text;
}

TEST_CASE("F2: records newer than the database's last commit are read back unchanged") {
  Redo redo;
  {
    RedoFile file = redo.Open();
    CHECK(Text(file.ReadAfter(0)) == "");
    REQUIRE(file.Write(4, kGroup, HardState{Term(3), NodeId(2)}, Index(6),
                       std::vector<BatchRef>{Batch(7, 3, {"a", "config"}), Batch(9, 3, {std::string(9000, 'x')})}));
    REQUIRE(file.Write(5, kGroup, std::nullopt, std::nullopt, std::vector<BatchRef>{Batch(10, 3, {"b"})}));
  }
  RedoFile file = redo.Open();
  std::string last = "5: 10@3:b";
  CHECK(Text(file.ReadAfter(3)) ==
        "4 term 3 vote 2 after 6: 7@3:a 8@3:config* 9@3:" + std::string(9000, 'x') + " | " + last);
  CHECK(Text(file.ReadAfter(4)) == last);
  CHECK(Text(file.ReadAfter(5)) == "");
  CHECK(Text(file.ReadAfter(900)) == "");
  REQUIRE(file.Write(6, kGroup, HardState{Term(4), NodeId(0)}, std::nullopt, {}));
  CHECK(Text(file.ReadAfter(4)) == last + " | 6 term 4 vote 0: ");
  CHECK(file.ReadAfter(5).value()[0].group == kGroup);
}

TEST_CASE("F2: a partly written record is ignored, whichever byte is wrong") {
  for (size_t at : {size_t{0}, size_t{9}, size_t{16}, size_t{24}, size_t{40}, size_t{56}, size_t{64}, size_t{95},
                    size_t{96}, size_t{110}, size_t{4000}, size_t{5100}}) {
    CAPTURE(at);
    Redo redo;
    RedoFile file = redo.Open();
    REQUIRE(file.Write(4, kGroup, std::nullopt, std::nullopt, std::vector<BatchRef>{Batch(1, 1, {"a"})}));
    REQUIRE(file.Write(5, kGroup, std::nullopt, std::nullopt,
                       std::vector<BatchRef>{Batch(2, 1, {std::string(5000, 'x')})}));
    redo.Damage(SlotOf(5) + at);
    CHECK(Text(file.ReadAfter(3)) == "4: 1@1:a");
    CHECK(Text(file.ReadAfter(4)) == "");
  }
}

TEST_CASE("F2: a gap between the database and the records is named: one of them is older than it was") {
  Redo redo;
  RedoFile file = redo.Open();
  REQUIRE(file.Write(8, kGroup, std::nullopt, std::nullopt, std::vector<BatchRef>{Batch(1, 1, {"a"})}));
  CHECK(Fails(file.ReadAfter(6), Errc::kCorrupt, {redo.path, "commit 8", "ends with 6", "restore"}));
  CHECK(Text(file.ReadAfter(7)) == "8: 1@1:a");
}

TEST_CASE("F2: a redo file that is missing, damaged, short, or of another database is refused by name") {
  Redo redo;
  CHECK(Fails(RedoFile::Open(redo.path + "2", kId), Errc::kCorrupt, {redo.path + "2", "missing", "restore"}));
  CHECK(Fails(RedoFile::Open(redo.path, kId + 1), Errc::kCorrupt, {redo.path, "another database"}));
  redo.Damage(9);
  CHECK(Fails(RedoFile::Open(redo.path, kId), Errc::kCorrupt, {redo.path, "damaged"}));
  WriteFile(redo.path, "short");
  CHECK(Fails(RedoFile::Open(redo.path, kId), Errc::kCorrupt, {redo.path, "truncated"}));
  REQUIRE(RedoFile::Create(redo.path, kId));
  std::filesystem::resize_file(redo.path, RedoFile::kFileBytes - 1);
  RedoFile file = redo.Open();
  CHECK(Fails(file.ReadAfter(0), Errc::kCorrupt, {redo.path, "truncated"}));
}

TEST_CASE("batches that fit into a slot are written, and nothing larger fits") {
  size_t overhead = RedoFile::kHeaderBytes + 8 + BatchHeader::kSize + BatchHeader::kEntryOverhead;
  std::vector<BatchRef> fits{Batch(1, 1, {std::string(RedoFile::kSlotBytes - overhead, 'x')})};
  CHECK(RedoFile::Fits(fits));
  CHECK(!RedoFile::Fits(std::vector<BatchRef>{Batch(1, 1, {std::string(RedoFile::kSlotBytes - overhead + 1, 'x')})}));
  Redo redo;
  RedoFile file = redo.Open();
  for (uint64_t transaction : {1, 2}) REQUIRE(file.Write(transaction, kGroup, std::nullopt, std::nullopt, fits));
  CHECK(file.ReadAfter(0).value().size() == 2);
  CHECK(std::filesystem::file_size(redo.path) == RedoFile::kFileBytes);
}

// Copies the directory between the record and LMDB's commit: the state after a power cut there, if every write reached
// the disk.
std::string CopyWithin(Storage& storage, const std::string& from, const std::string& to, const HardState& hard_state,
                       std::optional<Index> truncate_after, const std::vector<BatchRef>& batches) {
  REQUIRE(storage.CommitEarly(hard_state, truncate_after, batches, [&] {
    std::filesystem::remove_all(to);
    std::filesystem::copy(from, to);
  }));
  return storage::Text(storage);
}

TEST_CASE("F2: a commit that was durable before LMDB had it is there once after a restart") {
  TemporaryDirectory directory;
  std::string data = directory.path() + "/data", copy = directory.path() + "/copy";
  auto storage = OpenLmdbStorage(data).value();
  auto commit = [&](uint64_t k, std::optional<Index> truncate_after, const std::vector<BatchRef>& batches) {
    std::string expected = CopyWithin(*storage, data, copy, HardState{Term(k), NodeId(1)}, truncate_after, batches);
    for (int opening = 0; opening < 2; ++opening) {
      auto copied = OpenLmdbStorage(copy);
      REQUIRE_MESSAGE(copied, copied.error().message());
      CHECK(storage::Text(*copied.value()) == expected);
    }
  };
  commit(1, std::nullopt, {Batch(1, 1, {"a", "config A", "c"})});
  commit(2, std::nullopt, {});
  commit(3, Index(1), {Batch(2, 3, {"B"}), Batch(3, 3, {"C"})});
  commit(4, Index(2), {});
  commit(5, std::nullopt, {Batch(3, 5, {std::string(RedoFile::kSlotBytes, 'x')})});  // too large for a record
  commit(6, std::nullopt, {Batch(4, 5, {"d"})});
}

TEST_CASE("F2: a database without its redo file, or with one of another commit, is refused by name") {
  TemporaryDirectory directory;
  std::string data = directory.path() + "/data", copy = directory.path() + "/copy";
  auto commit = [&](Storage& storage, uint64_t k) {
    REQUIRE(storage.CommitEarly(HardState{Term(k), NodeId(1)}, std::nullopt, {}, [] {}));
  };
  commit(*OpenLmdbStorage(data).value(), 1);
  std::filesystem::copy(data, copy);
  {
    auto storage = OpenLmdbStorage(data).value();
    for (uint64_t k = 2; k <= 5; ++k) commit(*storage, k);
  }
  std::filesystem::copy_file(data + "/ringraft.redo", copy + "/ringraft.redo",
                             std::filesystem::copy_options::overwrite_existing);
  CHECK(Fails(OpenLmdbStorage(copy), Errc::kCorrupt, {copy + "/ringraft.redo", "newer than its database"}));
  std::filesystem::remove(copy + "/ringraft.redo");
  CHECK(Fails(OpenLmdbStorage(copy), Errc::kCorrupt, {copy + "/ringraft.redo", "missing"}));
  std::string other = directory.path() + "/other";
  REQUIRE(OpenLmdbStorage(other));
  std::filesystem::copy_file(other + "/ringraft.redo", copy + "/ringraft.redo");
  CHECK(Fails(OpenLmdbStorage(copy), Errc::kCorrupt, {copy + "/ringraft.redo", "another database"}));
  CHECK(storage::Text(*OpenLmdbStorage(data).value()) == "term 5 vote 1 | terms | configurations | ");
}

TEST_CASE("a read finds a commit as soon as it is durable") {
  TemporaryDirectory directory;
  auto storage = OpenLmdbStorage(directory.path()).value();
  for (uint64_t k = 1; k <= 50; ++k) {
    std::promise<void> durable, reading;
    auto reader = std::async(std::launch::async, [&] {
      durable.get_future().wait();
      reading.set_value();
      return storage->Read(Index(k), 1).value().size();
    });
    REQUIRE(storage->CommitEarly(std::nullopt, std::nullopt, std::vector<BatchRef>{Batch(k, 1, {"a"})}, [&] {
      durable.set_value();
      reading.get_future().wait();
    }));
    CHECK(reader.get() == 1);
  }
}

TEST_CASE("F2, F9: a record that cannot be written fails the commit, reports nothing durable, and ends all writes") {
  TemporaryDirectory directory;
  auto storage = OpenLmdbStorage(directory.path()).value();
  REQUIRE(storage->CommitEarly(HardState{Term(1), NodeId(1)}, std::nullopt, {}, [] {}));
  // Makes the descriptor of the redo file refer to a file that cannot be written.
  int redo = -1;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code ignored;
    if (std::filesystem::read_symlink(entry.path(), ignored) == directory.path() + "/ringraft.redo")
      redo = std::stoi(entry.path().filename());
  }
  REQUIRE(redo >= 0);
  int full = open("/dev/full", O_RDWR | O_CLOEXEC);
  REQUIRE(dup2(full, redo) == redo);
  close(full);
  bool is_durable = false;
  CHECK(Fails(storage->CommitEarly(HardState{Term(2), NodeId(1)}, std::nullopt, {}, [&] { is_durable = true; }),
              Errc::kFull, {"ringraft.redo"}));
  CHECK(!is_durable);
  CHECK(Fails(storage->Commit(HardState{Term(3), NodeId(1)}, std::nullopt, {}), Errc::kIo, {"restart the node"}));
  storage.reset();
  CHECK(storage::Text(*OpenLmdbStorage(directory.path()).value()) == "term 1 vote 1 | terms | configurations | ");
}

}  // namespace
}  // namespace ringraft::storage

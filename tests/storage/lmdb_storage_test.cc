// The LMDB storage in particular: its directory, its limits, its group. F6, F12 and F16 are rows of the catalogue of
// hazards (tests/CATALOGUE.md).
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "storage/lmdb_env.h"
#include "storage/stored_format.h"
#include "support.h"

namespace ringraft::storage {
namespace {

TEST_CASE("a directory is created if its parent exists, and otherwise refused by name") {
  TemporaryDirectory directory;
  REQUIRE(OpenLmdbStorage(directory.path() + "/new"));
  CHECK(Fails(OpenLmdbStorage(directory.path() + "/no/such"), Errc::kIo,
              {directory.path() + "/no/such", directory.path() + "/no does not exist"}));
  WriteFile(directory.path() + "/file", "x");
  CHECK(Fails(OpenLmdbStorage(directory.path() + "/file"), Errc::kIo, {"/file", "not a directory"}));
  CHECK(Fails(OpenLmdbStorage(""), Errc::kInvalidArgument));
  CHECK(Fails(OpenLmdbStorage("/proc/ringraft"), Errc::kIo, {"/proc/ringraft"}));
  LmdbOptions tiny;
  tiny.max_bytes = 1000;
  CHECK(Fails(OpenLmdbStorage(directory.path() + "/tiny", tiny), Errc::kInvalidArgument, {"max_bytes", "1000"}));
}

TEST_CASE("F12: a directory in use is refused, naming the process that holds it") {
  TemporaryDirectory directory;
  {
    auto held = OpenLmdbStorage(directory.path());
    REQUIRE(held);
    CHECK(Fails(OpenLmdbStorage(directory.path()), Errc::kLocked,
                {"data directory " + directory.path() + " is in use by process " + std::to_string(getpid()) + ";"}));
    // The refused attempt must not have released the lock of the first one.
    CHECK(Fails(OpenLmdbStorage(directory.path()), Errc::kLocked));
    pid_t child = fork();
    if (child == 0) {
      auto other = OpenLmdbStorage(directory.path());
      _exit(!other && other.error() == Errc::kLocked ? 0 : 1);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    REQUIRE(held.value()->Commit(HardState{Term(1), NodeId(1)}, std::nullopt, {}));
  }
  CHECK(OpenLmdbStorage(directory.path()));
}

// Returns false for a key of the main database that is not a table.
bool IsTable(const LmdbTxn& txn, const std::string& name, unsigned& flags) {
  MDB_dbi table = 0;
  return mdb_dbi_open(txn.get(), name.c_str(), 0, &table) == 0 && mdb_dbi_flags(txn.get(), table, &flags) == 0;
}

TEST_CASE("F6, F16: the database has no flag that weakens durability, and no table with several values per key") {
  TemporaryDirectory directory;
  {
    auto storage = OpenLmdbStorage(directory.path());
    REQUIRE(storage);
    for (uint64_t i = 1; i <= 3; ++i)
      REQUIRE(storage.value()->CommitEarly(HardState{Term(i), NodeId(1)}, std::nullopt,
                                           std::vector<BatchRef>{Batch(i, i, {"config x"})}, [] {}));
  }
  auto env = LmdbEnv::Open(directory.path() + "/ringraft.mdb", size_t{1} << 30);
  REQUIRE(env);
  auto env_flags = [&] {
    unsigned flags = 0;
    REQUIRE(mdb_env_get_flags(env.value()->get(), &flags) == 0);
    return flags;
  };
  CHECK((env_flags() & (MDB_WRITEMAP | MDB_NOSYNC | MDB_MAPASYNC | MDB_NOMETASYNC | MDB_NOLOCK)) == 0);
  for (LmdbTxn::FlushMeta flush : {LmdbTxn::FlushMeta::kWithNextCommit, LmdbTxn::FlushMeta::kNow}) {
    auto txn = LmdbTxn::BeginWrite(*env.value());
    REQUIRE(txn);
    auto table = txn.value().OpenTable("values", LmdbTxn::IfMissing::kFail);
    REQUIRE(table);
    REQUIRE(txn.value().Put(table.value(), "k", "v"));
    REQUIRE(txn.value().Commit(flush));
    // Also after a commit with FlushMeta::kWithNextCommit: the flag is for that commit alone.
    CHECK((env_flags() & (MDB_WRITEMAP | MDB_NOSYNC | MDB_MAPASYNC | MDB_NOMETASYNC)) == 0);
  }
  auto txn = LmdbTxn::BeginWrite(*env.value());
  REQUIRE(txn);
  MDB_dbi main = 0;
  REQUIRE(mdb_dbi_open(txn.value().get(), nullptr, 0, &main) == 0);
  int tables = 0;
  auto cursor = LmdbCursor::Open(txn.value(), main);
  REQUIRE(cursor);
  for (auto found = cursor.value().Seek("a"); found && found.value(); found = cursor.value().Next()) {
    const std::string name(cursor.value().key());
    CAPTURE(name);
    unsigned flags = ~0u;
    CHECK(IsTable(txn.value(), name, flags));
    CHECK(flags == 0);  // MDB_DUPSORT, MDB_INTEGERKEY, MDB_REVERSEKEY ...
    ++tables;
  }
  CHECK(tables == 5);
}

TEST_CASE("files that another process left in the directory do not matter") {
  TemporaryDirectory directory;
  WriteFile(directory.path() + "/notes.txt", "mine");
  REQUIRE(OpenLmdbStorage(directory.path()));
  CHECK(ReadFile(directory.path() + "/notes.txt") == "mine");
}

TEST_CASE("a full map is a named error, later writes are refused, and a larger map continues") {
  TemporaryDirectory directory;
  LmdbOptions small;
  small.max_bytes = size_t{1} << 20;
  uint64_t written = 0;
  {
    auto storage = OpenLmdbStorage(directory.path(), small);
    REQUIRE(storage);
    Result<void> result = Success();
    while (result) {
      result = storage.value()->Commit(HardState{Term(1), NodeId(1)}, std::nullopt,
                                       std::vector<BatchRef>{Batch(written + 1, 1, {std::string(50'000, 'x')})});
      if (result) ++written;
    }
    CHECK(Fails(result, Errc::kFull, {"1048576", "max_bytes", "ringraft.mdb"}));
    CHECK(written >= 10);
    CHECK(Fails(storage.value()->Commit(HardState{Term(2), NodeId(1)}, std::nullopt, {}), Errc::kIo,
                {"restart the node"}));
    CHECK(Fails(storage.value()->Read(Index(1), 1), Errc::kIo, {"restart the node"}));
    CHECK(Fails(storage.value()->Recover(), Errc::kIo));
    CHECK(Fails(storage.value()->Store().Set("k", "v"), Errc::kIo));
    CHECK(Fails(storage.value()->Store().Get("k"), Errc::kIo));
    CHECK(Fails(storage.value()->Log().Last(), Errc::kIo));
    CHECK(Fails(storage.value()->Log().Append(std::vector<LogEntry>{Entry(written + 1, 1, "y")}), Errc::kIo));
  }
  CHECK(std::filesystem::file_size(directory.path() + "/ringraft.mdb") <= small.max_bytes);
  {
    auto storage = OpenLmdbStorage(directory.path(), small);
    REQUIRE(storage);
    auto recovered = storage.value()->Recover();
    REQUIRE(recovered);
    CHECK(recovered.value().last_index == Index(written));
    CHECK(recovered.value().hard_state == HardState{Term(1), NodeId(1)});
  }
  auto storage = OpenLmdbStorage(directory.path());
  REQUIRE(storage);
  for (int i = 0; i < 100; ++i)
    REQUIRE(storage.value()->Commit(std::nullopt, std::nullopt,
                                    std::vector<BatchRef>{Batch(++written, 1, {std::string(50'000, 'y')})}));
  CHECK(storage.value()->Recover().value().last_index == Index(written));
}

TEST_CASE("a map that fills up at any page loses nothing durable") {
  for (size_t size : {10, 1000, 3000, 5000, 9000}) {
    CAPTURE(size);
    TemporaryDirectory directory;
    LmdbOptions small;
    small.max_bytes = size_t{1} << 20;
    uint64_t durable = 0;
    {
      auto storage = OpenLmdbStorage(directory.path(), small).value();
      Result<void> result = Success();
      while (result)
        result = storage->CommitEarly(HardState{Term(durable + 1), NodeId(1)}, std::nullopt,
                                      std::vector<BatchRef>{Batch(durable + 1, 1, {std::string(size, 'x')})},
                                      [&] { ++durable; });
      CHECK(Fails(result, Errc::kFull, {"1048576", "max_bytes"}));
    }
    auto storage = OpenLmdbStorage(directory.path());
    REQUIRE_MESSAGE(storage, storage.error().message());
    CHECK(storage.value()->Recover().value().last_index == Index(durable));
    CHECK(storage.value()->Recover().value().hard_state.term == Term(durable));
  }
}

TEST_CASE("a directory of format 1 gets a redo file, and older builds then refuse it") {
  TemporaryDirectory directory;
  std::string database = directory.path() + "/ringraft.mdb", redo = directory.path() + "/ringraft.redo";
  REQUIRE(OpenLmdbStorage(directory.path()).value()->Commit(HardState{Term(5), NodeId(2)}, std::nullopt, {}));
  auto put_format = [&](std::string_view key, std::optional<uint64_t> value) {
    auto env = LmdbEnv::Open(database, size_t{1} << 30).value();
    auto txn = LmdbTxn::BeginWrite(*env).value();
    MDB_dbi table = txn.OpenTable("format", LmdbTxn::IfMissing::kFail).value();
    MDB_val name = ToVal(key);
    if (value) {
      REQUIRE(txn.Put(table, key, Seal(key, EncodeUint64(*value))));
    } else {
      REQUIRE(mdb_del(txn.get(), table, &name, nullptr) == 0);
    }
    REQUIRE(txn.Commit());
  };
  put_format("version", 1);
  put_format("redo", std::nullopt);
  std::filesystem::remove(redo);
  for (int opening = 0; opening < 2; ++opening) {
    auto storage = OpenLmdbStorage(directory.path());
    REQUIRE_MESSAGE(storage, storage.error().message());
    CHECK(storage.value()->Recover().value().hard_state == HardState{Term(5), NodeId(2)});
    CHECK(std::filesystem::exists(redo));
  }
  std::filesystem::remove(redo);  // a directory of format 2 without its redo file
  CHECK(Fails(OpenLmdbStorage(directory.path()), Errc::kCorrupt, {"ringraft.redo", "missing"}));
}

TEST_CASE("batches of another group are refused, and groups are isolated from each other") {
  TemporaryDirectory directory;
  LmdbOptions one, two;
  two.group = GroupId(2);
  {
    auto storage = OpenLmdbStorage(directory.path(), two);
    REQUIRE(storage);
    CHECK(Fails(storage.value()->Commit(std::nullopt, std::nullopt, std::vector<BatchRef>{Batch(1, 1, {"a"}, 1)}),
                Errc::kInvalidArgument, {"group 1", "group 2"}));
    REQUIRE(storage.value()->Commit(HardState{Term(3), NodeId(3)}, std::nullopt,
                                    std::vector<BatchRef>{Batch(1, 1, {"two"}, 2)}));
    REQUIRE(storage.value()->Store().Set("key", "two"));
  }
  {
    auto storage = OpenLmdbStorage(directory.path(), one);
    REQUIRE(storage);
    CHECK(Text(*storage.value()) == "term 0 vote 0 | terms | configurations | ");
    REQUIRE(storage.value()->Commit(std::nullopt, std::nullopt,
                                    std::vector<BatchRef>{Batch(1, 4, {"config", "one"}), Batch(3, 5, {"c"})}));
    REQUIRE(storage.value()->Commit(std::nullopt, Index(1), {}));
    CHECK(Text(*storage.value()) == "term 0 vote 0 | terms 1:4 | configurations 1:config | 1@4:config*");
    CHECK(storage.value()->Store().Get("key").value() == "");
    CHECK(storage.value()->Log().Last().value() == LogPosition{Index(1), Term(4)});
    REQUIRE(storage.value()->Commit(std::nullopt, Index(0), {}));
  }
  auto storage = OpenLmdbStorage(directory.path(), two);
  REQUIRE(storage);
  CHECK(Text(*storage.value()) == "term 3 vote 3 | terms 1:1 | configurations | 1@1:two");
  CHECK(storage.value()->Store().Get("key").value() == "two");
}

TEST_CASE("a file that is rewritten again and again does not grow") {
  TemporaryDirectory directory;
  auto storage = OpenLmdbStorage(directory.path());
  REQUIRE(storage);
  uintmax_t size = 0;
  for (int round = 0; round < 60; ++round) {
    std::vector<BatchRef> batches;
    for (uint64_t i = 1; i <= 20; ++i)
      batches.push_back(Batch(i, static_cast<uint64_t>(round) + 1, {std::string(10'000, 'x')}));
    REQUIRE(storage.value()->Commit(std::nullopt, Index(0), batches));
    REQUIRE(storage.value()->Read(Index(1), SIZE_MAX));  // a read transaction that stays open would keep old pages
    if (round == 20) size = std::filesystem::file_size(directory.path() + "/ringraft.mdb");
  }
  CHECK(std::filesystem::file_size(directory.path() + "/ringraft.mdb") == size);
}

TEST_CASE("the file is never shorter than the pages in use, whatever is truncated") {
  TemporaryDirectory directory;
  uint64_t last = 0;
  for (int round = 0; round < 30; ++round) {
    auto storage = OpenLmdbStorage(directory.path());  // refuses a file that is too short
    REQUIRE_MESSAGE(storage, storage.error().message());
    REQUIRE(storage.value()->Recover());
    std::vector<BatchRef> batches;
    for (int i = 0; i < 400; ++i) batches.push_back(Batch(++last, 1, {std::string(100, 'x')}));
    REQUIRE(storage.value()->Commit(std::nullopt, std::nullopt, batches));
    last = last / 3;
    REQUIRE(storage.value()->Commit(std::nullopt, Index(last), std::vector<BatchRef>{}));
  }
}

TEST_CASE("errors of LMDB name the file and the remedy") {
  TemporaryDirectory directory;
  auto env = LmdbEnv::Open(directory.path() + "/file", size_t{1} << 20);
  REQUIRE(env);
  std::string path = directory.path() + "/file";
  auto check = [&](int code, Errc expected, std::string word) {
    Error error = env.value()->ToError(code, "testing");
    CHECK(error.code() == expected);
    CHECK(error.message().find(path) != std::string::npos);
    CHECK_MESSAGE(error.message().find(word) != std::string::npos, error.message());
  };
  check(MDB_MAP_FULL, Errc::kFull, "raise max_bytes");
  check(ENOSPC, Errc::kFull, "free some");
  check(EDQUOT, Errc::kFull, "free some");
  check(EIO, Errc::kIo, "Input/output error");
  check(MDB_PANIC, Errc::kIo, "restart the node");
  check(MDB_CORRUPTED, Errc::kCorrupt, "damaged");
  check(MDB_INVALID, Errc::kCorrupt, "damaged");
  check(MDB_VERSION_MISMATCH, Errc::kWrongVersion, "another version");
}

}  // namespace
}  // namespace ringraft::storage

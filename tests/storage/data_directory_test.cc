// A first start that is interrupted at any point is completed by the next one; any other defect is refused by name. F15
// is a row of the catalogue of hazards (tests/CATALOGUE.md).
#include "storage/data_directory.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "storage/lmdb_storage.h"
#include "storage/stored_format.h"
#include "support.h"

namespace ringraft::storage {
namespace {

// Opens the storage in a child that is killed after step `n` of the first start (counted from 0). Returns the name of
// the step, or "" if the start ended before.
std::string KilledAfterStep(const std::string& directory, int n) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  pid_t child = fork();
  if (child == 0) {
    int step = 0;
    auto storage = LmdbStorage::Open(directory, LmdbOptions(), [&](std::string_view name) {
      if (step++ != n) return;
      [[maybe_unused]] ssize_t written = write(ends[1], name.data(), name.size());
      kill(getpid(), SIGKILL);
    });
    _exit(storage ? 0 : 1);
  }
  close(ends[1]);
  std::string name(100, '\0');
  ssize_t size = read(ends[0], name.data(), name.size());
  close(ends[0]);
  name.resize(size > 0 ? static_cast<size_t>(size) : 0);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == (name.empty() ? 0 : SIGKILL));
  return name;
}

TEST_CASE("F15: a first start that was killed after any step is completed by the next") {
  std::vector<std::string> steps;
  for (int n = 0;; ++n) {
    TemporaryDirectory directory;
    std::string data = directory.path() + "/data";
    std::string step = KilledAfterStep(data, n);
    if (step.empty()) break;
    CAPTURE(step);
    steps.push_back(step);
    {
      auto storage = OpenLmdbStorage(data);
      REQUIRE_MESSAGE(storage, storage.error().message());
      CHECK(Text(*storage.value()) == "term 0 vote 0 | terms | configurations | ");
      REQUIRE(storage.value()->Commit(HardState{Term(1), NodeId(1)}, std::nullopt,
                                      std::vector<BatchRef>{Batch(1, 1, {"a"})}));
    }
    CHECK(std::filesystem::exists(data + "/RINGRAFT"));
    CHECK(!std::filesystem::exists(data + "/ringraft.mdb.new"));
    auto storage = OpenLmdbStorage(data);
    REQUIRE(storage);
    CHECK(Text(*storage.value()) == "term 1 vote 1 | terms 1:1 | configurations | 1@1:a");
  }
  CHECK(steps == std::vector<std::string>{"the directory is locked", "leftovers are removed", "the database is written",
                                          "the database is flushed", "the database is renamed",
                                          "the database is in its place", "the marker is begun",
                                          "the marker is written", "the marker is flushed", "the marker is renamed",
                                          "the marker is in its place"});
}

TEST_CASE("F15: a first start that is killed again and again completes in the end") {
  TemporaryDirectory directory;
  std::string data = directory.path() + "/data";
  for (int n = 0; n < 11; ++n) KilledAfterStep(data, n);
  auto storage = OpenLmdbStorage(data);
  REQUIRE(storage);
  CHECK(Text(*storage.value()) == "term 0 vote 0 | terms | configurations | ");
}

TEST_CASE("F15: leftovers of a first start, complete or not, are removed") {
  for (const char* leftover : {"", "garbage", "RRB1"}) {
    TemporaryDirectory directory;
    WriteFile(directory.path() + "/ringraft.mdb.new", leftover);
    WriteFile(directory.path() + "/ringraft.mdb.new-lock", leftover);
    WriteFile(directory.path() + "/RINGRAFT.new", leftover);
    auto storage = OpenLmdbStorage(directory.path());
    REQUIRE_MESSAGE(storage, storage.error().message());
    CHECK(Text(*storage.value()) == "term 0 vote 0 | terms | configurations | ");
  }
}

TEST_CASE("the marker says what the directory is") {
  TemporaryDirectory directory;
  { REQUIRE(OpenLmdbStorage(directory.path())); }
  std::string text = ReadFile(directory.path() + "/RINGRAFT");
  CHECK(text.find("ringraft data directory\nformat 2\ncreated 20") == 0);
}

TEST_CASE("a lost marker is written again, and the data stays") {
  TemporaryDirectory directory;
  {
    auto storage = OpenLmdbStorage(directory.path());
    REQUIRE(storage);
    REQUIRE(storage.value()->Commit(HardState{Term(1), NodeId(1)}, std::nullopt,
                                    std::vector<BatchRef>{Batch(1, 1, {"a"})}));
  }
  std::filesystem::remove(directory.path() + "/RINGRAFT");
  auto storage = OpenLmdbStorage(directory.path());
  REQUIRE(storage);
  CHECK(Text(*storage.value()) == "term 1 vote 1 | terms 1:1 | configurations | 1@1:a");
  CHECK(std::filesystem::exists(directory.path() + "/RINGRAFT"));
}

TEST_CASE("a newer format is refused, whether the marker or the database says so") {
  TemporaryDirectory directory;
  { REQUIRE(OpenLmdbStorage(directory.path())); }
  std::string marker = ReadFile(directory.path() + "/RINGRAFT");
  WriteFile(directory.path() + "/RINGRAFT", "ringraft data directory\nformat 3\n");
  CHECK(Fails(OpenLmdbStorage(directory.path()), Errc::kWrongVersion,
              {"RINGRAFT", "format 3", "up to 2", "newer build"}));
  WriteFile(directory.path() + "/RINGRAFT", marker);
  CHECK(OpenLmdbStorage(directory.path()));
  {
    auto env = LmdbEnv::Open(directory.path() + "/ringraft.mdb", size_t{1} << 30);
    REQUIRE(env);
    auto txn = LmdbTxn::BeginWrite(*env.value());
    REQUIRE(txn);
    auto table = txn.value().OpenTable("format", LmdbTxn::IfMissing::kFail);
    REQUIRE(table);
    REQUIRE(txn.value().Put(table.value(), "version", Seal("version", EncodeUint64(3))));
    REQUIRE(txn.value().Commit());
  }
  CHECK(Fails(OpenLmdbStorage(directory.path()), Errc::kWrongVersion,
              {"ringraft.mdb", "format 3", "up to 2", "newer build"}));
}

TEST_CASE("an LMDB database of another program is refused and left unchanged") {
  TemporaryDirectory directory;
  {
    auto env = LmdbEnv::Open(directory.path() + "/ringraft.mdb", size_t{1} << 20);
    REQUIRE(env);
    auto txn = LmdbTxn::BeginWrite(*env.value());
    REQUIRE(txn);
    auto table = txn.value().OpenTable("theirs", LmdbTxn::IfMissing::kCreate);
    REQUIRE(table);
    REQUIRE(txn.value().Put(table.value(), "key", "value"));
    REQUIRE(txn.value().Commit());
  }
  std::string before = ReadFile(directory.path() + "/ringraft.mdb");
  CHECK(Fails(OpenLmdbStorage(directory.path()), Errc::kCorrupt, {"ringraft.mdb"}));
  CHECK(ReadFile(directory.path() + "/ringraft.mdb") == before);
}

}  // namespace
}  // namespace ringraft::storage

// A failed flush is final (hazard F9 in tests/CATALOGUE.md). This program's fdatasync replaces that of the C library,
// for LMDB, too.
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#include "support.h"

namespace {
std::atomic<int> flushes{0};
std::atomic<bool> fails{false};
}  // namespace

extern "C" __attribute__((visibility("default"))) int fdatasync(int fd) {
  ++flushes;
  if (fails) {
    errno = EIO;
    return -1;
  }
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

namespace ringraft::storage {
namespace {

TEST_CASE("every commit flushes, and one that changes nothing does not") {
  TemporaryDirectory directory;
  auto storage = OpenLmdbStorage(directory.path());
  REQUIRE(storage);
  int before = flushes;
  REQUIRE(storage.value()->Commit(HardState{Term(1), NodeId(1)}, std::nullopt, {}));
  CHECK(flushes == before + 1);
  REQUIRE(storage.value()->Commit(std::nullopt, std::nullopt,
                                  std::vector<BatchRef>{Batch(1, 1, {"a"}), Batch(2, 1, {"b"})}));
  CHECK(flushes == before + 2);
  REQUIRE(storage.value()->Commit(std::nullopt, Index(1), std::vector<BatchRef>{Batch(2, 2, {"c"})}));
  CHECK(flushes == before + 3);
  REQUIRE(storage.value()->Store().Set("k", "v"));
  CHECK(flushes == before + 4);
  REQUIRE(storage.value()->Commit(std::nullopt, std::nullopt, {}));
  REQUIRE(storage.value()->Read(Index(1), SIZE_MAX));
  CHECK(flushes == before + 4);
}

TEST_CASE("F9: a failed flush fails the commit, is never retried, and makes the storage refuse all further writes") {
  TemporaryDirectory directory;
  {
    auto storage = OpenLmdbStorage(directory.path());
    REQUIRE(storage);
    REQUIRE(storage.value()->Commit(HardState{Term(1), NodeId(1)}, std::nullopt,
                                    std::vector<BatchRef>{Batch(1, 1, {"a"})}));
    int before = flushes;
    fails = true;
    auto failed =
        storage.value()->Commit(HardState{Term(2), NodeId(1)}, std::nullopt, std::vector<BatchRef>{Batch(2, 2, {"b"})});
    fails = false;
    CHECK(Fails(failed, Errc::kIo, {"ringraft.mdb", "committing", "Input/output error"}));
    CHECK(flushes == before + 1);
    CHECK(Fails(storage.value()->Commit(HardState{Term(2), NodeId(1)}, std::nullopt, {}), Errc::kIo,
                {"Input/output error", "restart the node"}));
    CHECK(Fails(storage.value()->Store().Set("k", "v"), Errc::kIo));
    storage.value().reset();
    CHECK(flushes == before + 1);  // closing does not flush, either
  }
  auto storage = OpenLmdbStorage(directory.path());
  REQUIRE(storage);
  CHECK(Text(*storage.value()) == "term 1 vote 1 | terms 1:1 | configurations | 1@1:a");
}

TEST_CASE("F9: a file that cannot grow is an error that names it, and does not kill the process") {
  TemporaryDirectory directory;
  auto storage = OpenLmdbStorage(directory.path());
  REQUIRE(storage);
  REQUIRE(
      storage.value()->Commit(HardState{Term(1), NodeId(1)}, std::nullopt, std::vector<BatchRef>{Batch(1, 1, {"a"})}));
  auto old_handler = signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit;
  REQUIRE(getrlimit(RLIMIT_FSIZE, &old_limit) == 0);
  rlimit limit = old_limit;
  limit.rlim_cur = 8 << 20;
  REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  auto failed = storage.value()->Commit(std::nullopt, std::nullopt,
                                        std::vector<BatchRef>{Batch(2, 1, {std::string(16 << 20, 'x')})});
  REQUIRE(setrlimit(RLIMIT_FSIZE, &old_limit) == 0);
  signal(SIGXFSZ, old_handler);
  CHECK(Fails(failed, Errc::kIo, {"ringraft.mdb", "File too large"}));
  CHECK(Fails(storage.value()->Commit(std::nullopt, std::nullopt, std::vector<BatchRef>{Batch(2, 1, {"b"})}), Errc::kIo,
              {"restart the node"}));
  storage.value().reset();
  storage = OpenLmdbStorage(directory.path());
  REQUIRE(storage);
  CHECK(Text(*storage.value()) == "term 1 vote 1 | terms 1:1 | configurations | 1@1:a");
}

}  // namespace
}  // namespace ringraft::storage

// A process that commits is killed at any moment: acknowledged commits are there, and others completely or not at all.
// F11 and F13 are rows of the catalogue of hazards (tests/CATALOGUE.md).
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>

#include "storage/lmdb_env.h"
#include "support.h"

namespace ringraft::storage {
namespace {

// Commit number k, always the same: it appends, sometimes after a truncation that cuts a batch in two, and its hard
// state has the term k.
void CommitNumber(Storage& storage, uint64_t k, uint64_t& last, uint64_t& term, const Storage::OnDurable& on_durable) {
  std::mt19937_64 random(k);
  std::optional<Index> truncate_after;
  if (k % 5 == 0 && last > 3) {
    last -= random() % 4;
    truncate_after = Index(last);
    ++term;
  }
  if (last > 60) {
    truncate_after = Index(last = 10);
    ++term;
  }
  std::vector<BatchRef> batches;
  for (uint64_t i = 0; i < 1 + random() % 2; ++i) {
    std::vector<std::string> commands;
    for (uint64_t j = 0; j < 1 + random() % 3; ++j)
      commands.push_back((random() % 8 == 0 ? "config " : "command ") + std::to_string(k) +
                         std::string(random() % 6000, 'x'));
    batches.push_back(Batch(last + 1, term, commands));
    last = batches.back().last().value();
  }
  auto committed = storage.CommitEarly(HardState{Term(k), NodeId(1)}, truncate_after, batches, on_durable);
  if (!committed) _exit(1);
}

TEST_CASE("F13: after kill -9 the state is that of a commit, and no acknowledged commit is missing") {
  TemporaryDirectory directory;
  auto model = MakeMemoryStorage();
  uint64_t k = 0, last = 0, term = 1, lost_races = 0;  // of the model
  std::mt19937 random(1);
  for (int round = 0; round < 25; ++round) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
      close(ends[0]);
      auto storage = OpenLmdbStorage(directory.path());
      if (!storage) _exit(2);
      for (uint64_t number = k + 1;; ++number) {
        CommitNumber(*storage.value(), number, last, term, [&] {
          if (write(ends[1], &number, sizeof number) != sizeof number) _exit(3);
        });
      }
    }
    close(ends[1]);
    uint64_t acknowledged = k, wanted = k + 1 + random() % 12;
    while (acknowledged < wanted) REQUIRE(read(ends[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged);
    for (unsigned spin = random() % 2'000'000; spin > 0; --spin) asm volatile("");  // somewhere in the next commit
    kill(child, SIGKILL);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(status == SIGKILL);
    uint64_t more = 0;
    while (read(ends[0], &more, sizeof more) == sizeof more) acknowledged = more;
    close(ends[0]);

    auto storage = OpenLmdbStorage(directory.path());
    REQUIRE_MESSAGE(storage, storage.error().message());
    auto recovered = storage.value()->Recover();
    REQUIRE_MESSAGE(recovered, recovered.error().message());
    uint64_t reached = recovered.value().hard_state.term.value();
    REQUIRE(reached >= acknowledged);
    REQUIRE(reached <= acknowledged + 1);
    lost_races += reached - acknowledged;
    while (k < reached) CommitNumber(*model, ++k, last, term, [] {});
    REQUIRE(Text(*storage.value()) == Text(*model));
  }
  MESSAGE("killed 25 times over " << k << " commits; " << lost_races
                                  << " times between the flush and the acknowledgement");
}

// Another process that opens the database, runs `work`, reports it, and stays.
class Child {
 public:
  template <class Work>
  explicit Child(Work work) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    pid_ = fork();
    if (pid_ == 0) {
      if (!work()) _exit(1);
      if (write(ends[1], "x", 1) != 1) _exit(2);
      while (true) pause();
    }
    close(ends[1]);
    char said = 0;
    is_ready_ = read(ends[0], &said, 1) == 1;
    close(ends[0]);
  }
  ~Child() { Kill(); }
  bool is_ready() const { return is_ready_; }
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
  bool is_ready_ = false;
};

std::string ReadersOf(const LmdbEnv& env) {
  std::string text;
  mdb_reader_list(
      env.get(),
      [](const char* line, void* to) {
        static_cast<std::string*>(to)->append(line);
        return 0;
      },
      &text);
  return text;
}

TEST_CASE("F11: the reader slot of a killed process is cleared when the database is opened, and keeps no pages") {
  TemporaryDirectory directory;
  const std::string file = directory.path() + "/ringraft.mdb";
  REQUIRE(OpenLmdbStorage(directory.path()));
  constexpr size_t kMax = size_t{1} << 30;
  // A process that has the file open all the time, as LMDB's own tools might: without one, LMDB resets the table of
  // readers by itself.
  Child watcher([&] {
    static auto env = LmdbEnv::Open(file, kMax);
    return env.has_value();
  });
  REQUIRE(watcher.is_ready());
  Child reader([&] {
    static auto env = LmdbEnv::Open(file, kMax);
    if (!env) return false;
    static auto txn = LmdbTxn::BeginRead(*env.value());
    return txn.has_value();
  });
  REQUIRE(reader.is_ready());
  reader.Kill();
  {
    auto env = LmdbEnv::Open(file, kMax);
    REQUIRE(env);
    CHECK(ReadersOf(*env.value()) == "(no active readers)\n");
  }
  // A reader in the table would keep every page that a commit frees.
  auto storage = OpenLmdbStorage(directory.path());
  REQUIRE(storage);
  for (int i = 0; i < 100; ++i) REQUIRE(storage.value()->Store().Set("key", std::string(60'000, 'x')));
  storage.value().reset();
  auto env = LmdbEnv::Open(file, kMax);
  REQUIRE(env);
  CHECK(env.value()->used_bytes() < 1'000'000);
}

}  // namespace
}  // namespace ringraft::storage

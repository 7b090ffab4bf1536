// The storage thread: group commit, order, errors, and that no submitted write is dropped. F9 is a row of the catalogue
// of hazards (tests/CATALOGUE.md).
#include "storage/storage_thread.h"

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "support.h"

namespace ringraft::storage {
namespace {

// A mailbox with the test's thread as its reactor.
class TestMailbox final : public reactor::Mailbox {
 public:
  // Delivers until `condition` holds.
  template <class Condition>
  void Until(Condition condition) {
    while (!condition()) {
      if (Drain()) continue;
      if (!BeginSleep()) continue;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return is_woken_; });
        is_woken_ = false;
      }
      EndSleep();
    }
  }

 private:
  void Wake() override {
    std::lock_guard lock(mutex_);
    is_woken_ = true;
    wake_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  bool is_woken_ = false;
};

// Records its commits, and holds each until Open lets it through.
class GatedStorage final : public Storage {
 public:
  Result<RecoveredLog> Recover() override { return memory_->Recover(); }
  Result<void> Commit(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                      std::span<const BatchRef> batches) override {
    std::unique_lock lock(mutex_);
    std::string text;
    if (hard_state) text += "term " + std::to_string(hard_state->term.value()) + ";";
    if (truncate_after) text += "after " + std::to_string(truncate_after->value()) + ";";
    if (batches.size() <= 10 && (batches.empty() || batches[0].size() < 1000)) text += Text(batches);
    commits_.push_back(text);
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_ > 0; });
    --open_;
    if (static_cast<int>(commits_.size()) == failing_) return Error(Errc::kIo, "the disk is broken");
    return memory_->Commit(hard_state, truncate_after, batches);
  }
  Result<std::vector<BatchRef>> Read(Index from, size_t max_bytes) const override {
    return memory_->Read(from, max_bytes);
  }
  ringraft::Log& Log() override { return memory_->Log(); }
  ringraft::Store& Store() override { return memory_->Store(); }

  void Open(int commits) {
    std::lock_guard lock(mutex_);
    open_ += commits;
    changed_.notify_all();
  }
  void FailCommit(int number) {
    std::lock_guard lock(mutex_);
    failing_ = number;
  }
  void WaitForCommit(size_t number) {  // until it has begun
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return commits_.size() >= number; });
  }
  std::vector<std::string> commits() {
    std::lock_guard lock(mutex_);
    return commits_;
  }

 private:
  std::shared_ptr<Storage> memory_ = MakeMemoryStorage();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> commits_;
  int open_ = 0;
  int failing_ = 0;
};

constexpr int kEveryCommit = 1'000'000;

struct Rig {
  GatedStorage storage;
  TestMailbox mailbox;
  std::vector<uint64_t> persisted;
  std::vector<std::pair<uint64_t, std::string>> failed;
  std::unique_ptr<StorageThread> thread =
      std::make_unique<StorageThread>(storage, mailbox, [this](uint64_t number, Result<void> result) {
        if (result) {
          persisted.push_back(number);
        } else {
          failed.emplace_back(number, result.error().message());
        }
      });
  ~Rig() {
    storage.Open(kEveryCommit);  // a test that failed leaves the thread waiting
    thread.reset();
    mailbox.Drain();
  }

  void Submit(uint64_t number, std::optional<HardState> hard_state, std::optional<Index> truncate_after,
              std::vector<BatchRef> batches) {
    thread->Submit(WriteRequest{number, hard_state, truncate_after, std::move(batches)});
  }
  void WaitFor(uint64_t number) {
    mailbox.Until([&] { return !persisted.empty() && persisted.back() >= number; });
  }
};

HardState Voted(uint64_t term) { return HardState{Term(term), NodeId(1)}; }

TEST_CASE("writes that wait while a commit runs become one commit, with the last hard state") {
  Rig rig;
  rig.Submit(1, Voted(1), std::nullopt, {Batch(1, 1, {"a"})});
  rig.storage.WaitForCommit(1);
  rig.Submit(2, std::nullopt, std::nullopt, {Batch(2, 1, {"b"}), Batch(3, 1, {"c"})});
  rig.Submit(3, Voted(2), std::nullopt, {});
  rig.Submit(4, Voted(3), std::nullopt, {Batch(4, 3, {"d"})});
  rig.Submit(5, std::nullopt, std::nullopt, {});
  rig.storage.Open(2);
  rig.WaitFor(5);
  CHECK(rig.storage.commits() == std::vector<std::string>{"term 1;1@1:a", "term 3;2@1:b 3@1:c 4@3:d"});
  CHECK(rig.failed.empty());
  auto counters = rig.thread->counters();
  CHECK(counters.commits == 2);
  CHECK(counters.writes == 5);
  CHECK(counters.bytes == 4 * Batch(1, 1, {"a"}).size());
}

TEST_CASE("a truncation begins a commit, which includes the writes after it") {
  Rig rig;
  rig.Submit(1, std::nullopt, std::nullopt, {Batch(1, 1, {"a"}), Batch(2, 1, {"b"}), Batch(3, 1, {"c"})});
  rig.storage.WaitForCommit(1);
  rig.Submit(2, std::nullopt, Index(2), {Batch(3, 2, {"x"})});  // the first of its group
  rig.Submit(3, std::nullopt, std::nullopt, {Batch(4, 2, {"y"})});
  rig.Submit(4, Voted(3), Index(1), {});
  rig.Submit(5, std::nullopt, std::nullopt, {Batch(2, 3, {"z"})});
  rig.Submit(6, std::nullopt, Index(0), {Batch(1, 4, {"n"})});
  rig.storage.Open(4);
  rig.WaitFor(6);
  CHECK(rig.storage.commits() ==
        std::vector<std::string>{"1@1:a 2@1:b 3@1:c", "after 2;3@2:x 4@2:y", "term 3;after 1;2@3:z", "after 0;1@4:n"});
  CHECK(Text(rig.storage) == "term 3 vote 1 | terms 1:4 | configurations | 1@4:n");
}

TEST_CASE("reports come in order, and one may stand for those before it") {
  Rig rig;
  rig.storage.Open(3);
  rig.Submit(1, std::nullopt, std::nullopt, {Batch(1, 1, {"a"})});
  rig.storage.WaitForCommit(1);
  rig.WaitFor(1);
  rig.Submit(2, std::nullopt, std::nullopt, {Batch(2, 1, {"b"})});
  rig.storage.WaitForCommit(2);
  rig.Submit(3, std::nullopt, std::nullopt, {Batch(3, 1, {"c"})});
  rig.storage.WaitForCommit(3);
  rig.WaitFor(3);
  for (size_t i = 1; i < rig.persisted.size(); ++i) CHECK(rig.persisted[i - 1] < rig.persisted[i]);
  CHECK(rig.persisted.front() == 1);
  CHECK(rig.persisted.back() == 3);
}

TEST_CASE("no write is reported before its commit has ended") {
  Rig rig;
  rig.Submit(1, std::nullopt, std::nullopt, {Batch(1, 1, {"a"})});
  rig.storage.WaitForCommit(1);
  CHECK(!rig.mailbox.Drain());
  CHECK(rig.persisted.empty());
  rig.storage.Open(1);
  rig.WaitFor(1);
}

TEST_CASE("F9: an error is reported once, with the first number that failed, and nothing is written after it") {
  Rig rig;
  rig.storage.FailCommit(2);
  rig.storage.Open(1);
  rig.Submit(1, std::nullopt, std::nullopt, {Batch(1, 1, {"a"})});
  rig.WaitFor(1);
  rig.Submit(2, std::nullopt, std::nullopt, {Batch(2, 1, {"b"})});
  rig.storage.WaitForCommit(2);
  rig.Submit(3, std::nullopt, std::nullopt, {Batch(3, 1, {"c"})});
  rig.Submit(4, std::nullopt, Index(1), {});
  rig.storage.Open(10);
  rig.mailbox.Until([&] { return !rig.failed.empty(); });
  rig.Submit(5, Voted(1), std::nullopt, {});
  rig.thread.reset();
  rig.mailbox.Drain();
  CHECK(rig.persisted == std::vector<uint64_t>{1});
  CHECK(rig.failed == std::vector<std::pair<uint64_t, std::string>>{{2, "the disk is broken"}});
  CHECK(rig.storage.commits().size() == 2);
}

TEST_CASE("F9: a success before an error is reported before it, even if both are delivered at once") {
  Rig rig;
  rig.storage.FailCommit(2);
  rig.Submit(1, std::nullopt, std::nullopt, {Batch(1, 1, {"a"})});
  rig.storage.WaitForCommit(1);
  rig.Submit(2, std::nullopt, Index(0), {});
  rig.Submit(3, std::nullopt, std::nullopt, {});
  rig.storage.Open(2);
  rig.mailbox.Until([&] { return !rig.failed.empty(); });
  CHECK(rig.persisted == std::vector<uint64_t>{1});
  CHECK(rig.failed[0].first == 2);
}

// Its commits are durable at once, but return only when released, and may then fail.
class EarlyStorage final : public Storage {
 public:
  Result<RecoveredLog> Recover() override { return memory_->Recover(); }
  Result<void> Commit(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                      std::span<const BatchRef> batches) override {
    return memory_->Commit(hard_state, truncate_after, batches);
  }
  Result<void> CommitEarly(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                           std::span<const BatchRef> batches, const OnDurable& on_durable) override {
    auto committed = Commit(hard_state, truncate_after, batches);
    on_durable();
    released.wait();
    if (fails_afterwards) return Error(Errc::kIo, "the disk is broken");
    return committed;
  }
  Result<std::vector<BatchRef>> Read(Index from, size_t max_bytes) const override {
    return memory_->Read(from, max_bytes);
  }
  ringraft::Log& Log() override { return memory_->Log(); }
  ringraft::Store& Store() override { return memory_->Store(); }

  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  std::atomic<bool> fails_afterwards{false};

 private:
  std::shared_ptr<Storage> memory_ = MakeMemoryStorage();
};

TEST_CASE("a write is reported once it is durable, while the storage still works on it") {
  EarlyStorage storage;
  TestMailbox mailbox;
  uint64_t persisted = 0;
  std::vector<std::pair<uint64_t, std::string>> failed;
  StorageThread thread(storage, mailbox, [&](uint64_t number, Result<void> result) {
    if (result) {
      persisted = number;
    } else {
      failed.emplace_back(number, result.error().message());
    }
  });
  thread.Submit(WriteRequest{1, Voted(1), std::nullopt, {}});
  mailbox.Until([&] { return persisted == 1; });  // nothing was released
  SUBCASE("it continues with the next write") {
    storage.release.set_value();
    thread.Submit(WriteRequest{2, Voted(2), std::nullopt, {}});
    mailbox.Until([&] { return persisted == 2; });
    CHECK(failed.empty());
  }
  SUBCASE("a later error is that of the next write, since this one is durable") {
    storage.fails_afterwards = true;
    storage.release.set_value();
    mailbox.Until([&] { return !failed.empty(); });
    CHECK(persisted == 1);
    CHECK(failed == std::vector<std::pair<uint64_t, std::string>>{{2, "the disk is broken"}});
  }
}

TEST_CASE("the destructor writes what was submitted, and nothing is reported afterwards") {
  Rig rig;
  rig.storage.Open(1000);
  for (uint64_t i = 1; i <= 500; ++i) rig.Submit(i, Voted(i), std::nullopt, {Batch(i, 1, {"x"})});
  rig.thread.reset();
  size_t reports = rig.persisted.size();
  CHECK(rig.storage.Recover().value().last_index == Index(500));
  CHECK(rig.storage.Recover().value().hard_state == Voted(500));
  rig.mailbox.Drain();
  CHECK(rig.persisted.size() == reports);
}

TEST_CASE("it may be destroyed within its own report") {
  auto storage = MakeMemoryStorage();
  TestMailbox mailbox;
  std::unique_ptr<StorageThread> thread;
  bool is_destroyed = false;
  thread = std::make_unique<StorageThread>(*storage, mailbox, [&](uint64_t, Result<void>) {
    thread.reset();
    is_destroyed = true;
  });
  thread->Submit(WriteRequest{1, HardState{Term(1), NodeId(1)}, std::nullopt, {}});
  mailbox.Until([&] { return is_destroyed; });
  mailbox.Drain();
  CHECK(storage->Recover().value().hard_state.term == Term(1));
}

TEST_CASE("it may be destroyed at once, without any write") {
  auto storage = MakeMemoryStorage();
  TestMailbox mailbox;
  for (int i = 0; i < 50; ++i) StorageThread thread(*storage, mailbox, [](uint64_t, Result<void>) {});
  CHECK(!mailbox.Drain());
}

TEST_CASE("a queue longer than the limit of a commit is written in several commits") {
  Rig rig;
  rig.storage.Open(1);
  rig.Submit(1, Voted(1), std::nullopt, {});
  rig.WaitFor(1);
  rig.Submit(2, Voted(1), std::nullopt, {});
  rig.storage.WaitForCommit(2);
  std::string large(size_t{8} << 20, 'x');
  for (uint64_t i = 0; i < 12; ++i) rig.Submit(3 + i, std::nullopt, std::nullopt, {Batch(i + 1, 1, {large})});
  rig.storage.Open(100);
  rig.WaitFor(14);
  CHECK(rig.storage.commits().size() == 4);
  CHECK(rig.storage.Recover().value().last_index == Index(12));
}

TEST_CASE("writes of 8 MiB reach LMDB, and are there after a restart") {
  TemporaryDirectory directory;
  std::string large(size_t{8} << 20, 'x');
  {
    auto storage = OpenLmdbStorage(directory.path());
    REQUIRE(storage);
    TestMailbox mailbox;
    uint64_t persisted = 0;
    StorageThread thread(*storage.value(), mailbox, [&](uint64_t number, Result<void> result) {
      REQUIRE(result);
      persisted = number;
    });
    for (uint64_t i = 1; i <= 5; ++i)
      thread.Submit(WriteRequest{i, HardState{Term(i), NodeId(1)}, std::nullopt, {Batch(i, 1, {large})}});
    mailbox.Until([&] { return persisted == 5; });
  }
  auto storage = OpenLmdbStorage(directory.path());
  REQUIRE(storage);
  CHECK(storage.value()->Recover().value().last_index == Index(5));
  CHECK((*storage.value()->Read(Index(5), 1).value()[0].begin()).command == large);
}

TEST_CASE("thousands of small writes with concurrent reads keep their order") {
  TemporaryDirectory directory;
  auto opened = OpenLmdbStorage(directory.path());
  REQUIRE(opened);
  Storage& storage = *opened.value();
  REQUIRE(storage.Recover());
  TestMailbox mailbox;
  uint64_t persisted = 0;
  bool is_ordered = true, is_visible = true;
  StorageThread thread(storage, mailbox, [&](uint64_t number, Result<void> result) {
    is_ordered = is_ordered && result && number > persisted;
    persisted = number;
    auto read = storage.Read(Index(number), 1);  // on the reactor, while the next commit runs
    is_visible = is_visible && read && !read.value().empty();
  });
  constexpr uint64_t kWrites = 3000;
  for (uint64_t i = 1; i <= kWrites; ++i) {
    thread.Submit(WriteRequest{i, std::nullopt, std::nullopt, {Batch(i, 1, {"command"})}});
    if (i % 16 == 0) mailbox.Drain();
    if (i - persisted > 512) mailbox.Until([&] { return i - persisted < 64; });
  }
  mailbox.Until([&] { return persisted == kWrites; });
  CHECK(is_ordered);
  CHECK(is_visible);
  CHECK(thread.counters().writes == kWrites);
  CHECK(thread.counters().commits < kWrites);
}

}  // namespace
}  // namespace ringraft::storage

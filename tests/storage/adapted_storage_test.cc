// AdaptStorage with a user's own Log and Store: the order of its writes, and its errors for a bad log.
#include <algorithm>

#include "support.h"

namespace ringraft::storage {
namespace {

// Forwards everything to a storage in memory, records the writes, and fails on request.
struct User {
  std::shared_ptr<Storage> memory = MakeMemoryStorage();
  std::vector<std::string> calls;
  std::string failing;  // the call that fails
  bool lies_about_last = false;
  uint64_t longest_range = 0;

  Result<void> Note(const std::string& call) {
    calls.push_back(call);
    if (call == failing) return Error(Errc::kIo, "the user's disk is broken");
    return Success();
  }
};

class UserLog final : public Log {
 public:
  explicit UserLog(User& user) : user_(user), log_(user.memory->Log()) {}
  Result<Term> Get(Index index) const override { return log_.Get(index); }
  Result<bool> Match(Index index, Term term) const override { return log_.Match(index, term); }
  Result<LogPosition> Last() const override {
    auto last = log_.Last();
    if (user_.lies_about_last) last.value().index = last.value().index + 1;
    return last;
  }
  Result<std::vector<OwnedLogEntry>> RangeGet(Index after, Index to) const override {
    user_.longest_range = std::max(user_.longest_range, to - after);
    return log_.RangeGet(after, to);
  }
  Result<void> AppendAfter(Index index, std::span<const LogEntry> entries) override {
    if (auto noted = user_.Note("AppendAfter"); !noted) return noted;
    return log_.AppendAfter(index, entries);
  }
  Result<void> Append(std::span<const LogEntry> entries) override {
    if (auto noted = user_.Note("Append"); !noted) return noted;
    return log_.Append(entries);
  }
  Result<Index> AppendEntry(const LogEntry& entry) override { return log_.AppendEntry(entry); }

 private:
  User& user_;
  Log& log_;
};

class UserStore final : public Store {
 public:
  explicit UserStore(User& user) : user_(user), store_(user.memory->Store()) {}
  Result<void> Set(std::string_view key, std::string_view value) override {
    if (auto noted = user_.Note("Set"); !noted) return noted;
    return store_.Set(key, value);
  }
  Result<std::string> Get(std::string_view key) const override { return store_.Get(key); }
  Result<void> SetUint64(std::string_view key, uint64_t value) override {
    if (auto noted = user_.Note("SetUint64"); !noted) return noted;
    return store_.SetUint64(key, value);
  }
  Result<uint64_t> GetUint64(std::string_view key) const override { return store_.GetUint64(key); }

 private:
  User& user_;
  Store& store_;
};

std::shared_ptr<Storage> Adapt(User& user) {
  return AdaptStorage(std::make_shared<UserLog>(user), std::make_shared<UserStore>(user));
}

TEST_CASE("the hard state is written before the log, and a truncation together with its replacement") {
  User user;
  auto storage = Adapt(user);
  REQUIRE(storage->Commit(HardState{Term(1), NodeId(1)}, std::nullopt,
                          std::vector<BatchRef>{Batch(1, 1, {"a", "b"}), Batch(3, 1, {"c"})}));
  CHECK(user.calls == std::vector<std::string>{"Set", "Append"});
  user.calls.clear();
  REQUIRE(storage->Commit(HardState{Term(2), NodeId(1)}, Index(1), std::vector<BatchRef>{Batch(2, 2, {"x"})}));
  CHECK(user.calls == std::vector<std::string>{"Set", "AppendAfter"});
  CHECK(Text(*storage) == "term 2 vote 1 | terms 1:1 2:2 | configurations | 1@1:a 2@2:x");
}

TEST_CASE("a failed store leaves the log alone, and after any failure nothing more is written") {
  for (const char* failing : {"Set", "Append", "AppendAfter"}) {
    User user;
    auto storage = Adapt(user);
    REQUIRE(
        storage->Commit(HardState{Term(1), NodeId(1)}, std::nullopt, std::vector<BatchRef>{Batch(1, 1, {"a", "b"})}));
    user.failing = failing;
    user.calls.clear();
    std::optional<Index> truncate_after;
    if (std::string(failing) == "AppendAfter") truncate_after = Index(1);
    auto batch = Batch(truncate_after ? 2 : 3, 2, {"x"});
    CHECK(Fails(storage->Commit(HardState{Term(2), NodeId(1)}, truncate_after, std::vector<BatchRef>{batch}), Errc::kIo,
                {"the user's disk"}));
    CHECK(user.calls.back() == failing);
    CHECK(user.memory->Log().Last().value() == LogPosition{Index(2), Term(1)});
    user.failing.clear();
    user.calls.clear();
    CHECK(Fails(storage->Commit(HardState{Term(3), NodeId(1)}, std::nullopt, {}), Errc::kIo, {"restart the node"}));
    CHECK(user.calls.empty());
  }
}

TEST_CASE("the group of the batches is stored beside a log without groups") {
  User user;
  REQUIRE(Adapt(user)->Commit(std::nullopt, std::nullopt, std::vector<BatchRef>{Batch(1, 1, {"a"}, 7)}));
  auto storage = Adapt(user);
  REQUIRE(storage->Recover());
  auto read = storage->Read(Index(1), SIZE_MAX);
  REQUIRE(read);
  CHECK(read.value()[0].header().group == GroupId(7));
}

TEST_CASE("a long log is recovered and read in bounded ranges") {
  User user;
  auto storage = Adapt(user);
  for (uint64_t i = 0; i < 20; ++i) {
    std::vector<std::string> commands(100, "c");
    if (i % 5 == 0) commands[50] = "config " + std::to_string(i);
    REQUIRE(
        storage->Commit(std::nullopt, std::nullopt, std::vector<BatchRef>{Batch(i * 100 + 1, i / 4 + 1, commands)}));
  }
  user.longest_range = 0;
  auto recovered = Adapt(user)->Recover();
  REQUIRE(recovered);
  CHECK(recovered.value().last_index == Index(2000));
  CHECK(recovered.value().terms == std::vector<TermRun>{{Index(1), Term(1)},
                                                        {Index(401), Term(2)},
                                                        {Index(801), Term(3)},
                                                        {Index(1201), Term(4)},
                                                        {Index(1601), Term(5)}});
  REQUIRE(recovered.value().configurations.size() == 4);
  CHECK(recovered.value().configurations[1].index == Index(551));
  CHECK(recovered.value().configurations[1].command == "config 5");
  CHECK(Text(storage->Read(Index(1), SIZE_MAX).value()) == Text(user.memory->Read(Index(1), SIZE_MAX).value()));
  CHECK(user.longest_range <= 256);
}

TEST_CASE("entries of one batch with different times become separate batches") {
  User user;
  std::vector<LogEntry> entries;
  for (uint64_t i = 1; i <= 4; ++i)
    entries.push_back(LogEntry(Index(i), Term(1), LogEntryType::kCommand, "c", At(static_cast<int64_t>(i / 2))));
  REQUIRE(user.memory->Log().Append(entries));
  auto read = Adapt(user)->Read(Index(1), SIZE_MAX);
  REQUIRE(read);
  CHECK(read.value().size() == 3);
  size_t i = 0;
  for (const BatchRef& batch : read.value())
    for (LogEntry entry : batch) CHECK(entry == entries[i++]);
}

TEST_CASE("an inconsistent log or a damaged hard state is refused") {
  User user;
  REQUIRE(Adapt(user)->Commit(HardState{Term(1), NodeId(1)}, std::nullopt, std::vector<BatchRef>{Batch(1, 1, {"a"})}));
  user.lies_about_last = true;
  CHECK(Fails(Adapt(user)->Recover(), Errc::kCorrupt, {"no entry 2"}));
  user.lies_about_last = false;
  REQUIRE(Adapt(user)->Recover());
  REQUIRE(user.memory->Store().Set("ringraft/hard_state", "garbage that is long enough"));
  CHECK(Fails(Adapt(user)->Recover(), Errc::kCorrupt, {"hard state"}));
}

}  // namespace
}  // namespace ringraft::storage

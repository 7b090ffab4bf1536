// Every guarantee of storage.h, for every storage.
#include <algorithm>
#include <atomic>
#include <thread>

#include "support.h"

namespace ringraft::storage {
namespace {

Result<void> Append(Storage& storage, std::vector<BatchRef> batches) {
  return storage.Commit(std::nullopt, std::nullopt, batches);
}

STORAGE_CASE("a new storage is empty") {
  Kind kind;
  auto storage = kind.Open();
  CHECK(Text(*storage) == "term 0 vote 0 | terms | configurations | ");
  CHECK(storage->Read(Index(1), SIZE_MAX).value().empty());
  CHECK(storage->Read(Index(0), 0).value().empty());
}

STORAGE_CASE("hard state, terms, configurations and entries are recovered, also after reopening") {
  Kind kind;
  std::string expected =
      "term 3 vote 2 | terms 1:1 4:3 | configurations 2:config A 4:config B | 1@1: 2@1:config A* 3@1:b 4@3:config B* "
      "5@3:c";
  {
    auto storage = kind.Open();
    REQUIRE(storage->Commit(HardState{Term(1), NodeId(1)}, std::nullopt,
                            std::vector<BatchRef>{Batch(1, 1, {"", "config A"})}));
    REQUIRE(Append(*storage, {Batch(3, 1, {"b"})}));
    REQUIRE(storage->Commit(HardState{Term(3), NodeId(2)}, std::nullopt,
                            std::vector<BatchRef>{Batch(4, 3, {"config B"}), Batch(5, 3, {"c"})}));
    CHECK(Text(*storage) == expected);
  }
  if (!Kind::kSurvives) return;
  for (int i = 0; i < 2; ++i) {
    auto storage = kind.Open();
    CHECK(Text(*storage) == expected);
  }
  auto storage = kind.Open();
  REQUIRE(Append(*storage, {Batch(6, 3, {"d"})}));  // without a call of Recover
  CHECK(Text(*storage) == expected + " 6@3:d");
}

STORAGE_CASE("an empty commit is a success, and so is a hard state alone") {
  Kind kind;
  auto storage = kind.Open();
  REQUIRE(storage->Commit(std::nullopt, std::nullopt, {}));
  REQUIRE(storage->Commit(HardState{Term(8), NodeId(0)}, std::nullopt, {}));
  CHECK(Text(*storage) == "term 8 vote 0 | terms | configurations | ");
}

STORAGE_CASE("an early commit reports once that it is durable, and otherwise equals any other") {
  Kind kind;
  auto storage = kind.Open();
  int reports = 0;
  auto on_durable = [&] { ++reports; };
  REQUIRE(storage->CommitEarly(HardState{Term(1), NodeId(1)}, std::nullopt,
                               std::vector<BatchRef>{Batch(1, 1, {"a", "b", "c"})}, on_durable));
  CHECK(reports == 1);
  REQUIRE(storage->CommitEarly(std::nullopt, std::nullopt, {}, on_durable));
  CHECK(reports == 2);
  REQUIRE(storage->CommitEarly(std::nullopt, Index(2), std::vector<BatchRef>{Batch(3, 2, {"C"})}, on_durable));
  CHECK(reports == 3);
  CHECK(Fails(storage->CommitEarly(std::nullopt, std::nullopt, std::vector<BatchRef>{Batch(9, 2, {"gap"})}, on_durable),
              Errc::kInvalidArgument));
  CHECK(reports == 3);
  REQUIRE(Append(*storage, {Batch(4, 2, {"d"})}));
  std::string expected = "term 1 vote 1 | terms 1:1 3:2 | configurations | 1@1:a 2@1:b 3@2:C 4@2:d";
  CHECK(Text(*storage) == expected);
  if (!Kind::kSurvives) return;
  storage.reset();
  CHECK(Text(*kind.Open()) == expected);
}

STORAGE_CASE("batches that do not follow the last entry are refused, and nothing of their commit is applied") {
  Kind kind;
  auto storage = kind.Open();
  REQUIRE(storage->Commit(HardState{Term(2), NodeId(1)}, std::nullopt,
                          std::vector<BatchRef>{Batch(1, 1, {"a", "b"}), Batch(3, 2, {"c"})}));
  std::string before = Text(*storage);
  HardState other{Term(9), NodeId(9)};
  for (const BatchRef& wrong : {Batch(5, 2, {"gap"}), Batch(3, 2, {"overlap"}), Batch(4, 1, {"falls"})})
    CHECK(Fails(storage->Commit(other, std::nullopt, std::vector<BatchRef>{wrong}), Errc::kInvalidArgument,
                {std::to_string(wrong.first().value())}));
  CHECK(Fails(storage->Commit(other, std::nullopt, std::vector<BatchRef>{Batch(4, 2, {"d"}), Batch(6, 2, {"gap"})}),
              Errc::kInvalidArgument));
  CHECK(Fails(storage->Commit(other, Index(1), std::vector<BatchRef>{Batch(4, 2, {"d"})}), Errc::kInvalidArgument));
  CHECK(Fails(storage->Commit(other, Index(9), std::vector<BatchRef>{Batch(10, 2, {"d"})}), Errc::kInvalidArgument));
  CHECK(Text(*storage) == before);
  REQUIRE(Append(*storage, {Batch(4, 2, {"d"})}));
  CHECK(Text(*storage) == before + " 4@2:d");
}

STORAGE_CASE("truncation removes entries, terms and configurations, at every index and within batches") {
  for (uint64_t after = 0; after <= 9; ++after) {
    CAPTURE(after);
    Kind kind;
    auto storage = kind.Open();
    REQUIRE(Append(*storage, {Batch(1, 1, {"config 1", "b", "config 3"}), Batch(4, 2, {"d", "e", "config 6"}),
                              Batch(7, 4, {"g", "h"})}));
    REQUIRE(storage->Commit(HardState{Term(5), NodeId(3)}, Index(after), {}));
    std::vector<std::string> entries = {"1@1:config 1*", "2@1:b",         "3@1:config 3*", "4@2:d",
                                        "5@2:e",         "6@2:config 6*", "7@4:g",         "8@4:h"};
    std::string terms = after >= 7 ? " 1:1 4:2 7:4" : after >= 4 ? " 1:1 4:2" : after >= 1 ? " 1:1" : "";
    std::string configurations;
    for (uint64_t i : {1, 3, 6})
      if (i <= after) configurations += " " + std::to_string(i) + ":config " + std::to_string(i);
    std::string text;
    for (uint64_t i = 0; i < std::min<uint64_t>(after, 8); ++i) text += (i > 0 ? " " : "") + entries[i];
    std::string expected = "term 5 vote 3 | terms" + terms + " | configurations" + configurations + " | " + text;
    CHECK(Text(*storage) == expected);
    uint64_t next = std::min<uint64_t>(after, 8) + 1;
    REQUIRE(Append(*storage, {Batch(next, 4, {"new"})}));
    if (Kind::kSurvives) {
      storage.reset();
      storage = kind.Open();
    }
    std::string appended = std::to_string(next) + "@4:new";
    auto read = storage->Read(Index(1), SIZE_MAX);
    REQUIRE(read);
    CHECK(Text(read.value()) == text + (text.empty() ? "" : " ") + appended);
  }
}

STORAGE_CASE("truncation and new batches are one commit") {
  Kind kind;
  auto storage = kind.Open();
  REQUIRE(Append(*storage, {Batch(1, 1, {"a", "b", "c"}), Batch(4, 1, {"d"})}));
  REQUIRE(storage->Commit(HardState{Term(2), NodeId(0)}, Index(2),
                          std::vector<BatchRef>{Batch(3, 2, {"x"}), Batch(4, 2, {"config y"})}));
  CHECK(Text(*storage) ==
        "term 2 vote 0 | terms 1:1 3:2 | configurations 4:config y | 1@1:a 2@1:b 3@2:x 4@2:config y*");
}

STORAGE_CASE("a read begins with the batch that holds its index, and keeps to its bound after the first batch") {
  Kind kind;
  auto storage = kind.Open();
  for (uint64_t i = 0; i < 10; ++i)
    REQUIRE(Append(
        *storage, {Batch(i * 3 + 1, i + 1, {std::string(1000, 'a'), std::string(1000, 'b'), std::string(1000, 'c')})}));
  size_t size = Batch(1, 1, {std::string(1000, 'a'), std::string(1000, 'b'), std::string(1000, 'c')}).size();
  for (uint64_t from = 1; from <= 30; ++from) {
    CAPTURE(from);
    auto one = storage->Read(Index(from), 0);
    REQUIRE(one);
    REQUIRE(one.value().size() == 1);
    CHECK(one.value()[0].first() <= Index(from));
    CHECK(one.value()[0].last() >= Index(from));
    auto all = storage->Read(Index(from), SIZE_MAX);
    REQUIRE(all);
    CHECK(all.value().back().last() == Index(30));
    for (size_t i = 1; i < all.value().size(); ++i) CHECK(all.value()[i].first() == all.value()[i - 1].last() + 1);
  }
  for (size_t count : {1, 2, 5}) {
    auto some = storage->Read(Index(4), size * count);
    REQUIRE(some);
    CHECK(some.value().back().last() == Index(3 + 3 * count));
    auto less = storage->Read(Index(4), size * (count + 1) - 1);
    CHECK(less.value().back().last() == Index(3 + 3 * count));
  }
  CHECK(storage->Read(Index(31), SIZE_MAX).value().empty());
  CHECK(storage->Read(Index(UINT64_MAX), SIZE_MAX).value().empty());
  CHECK(storage->Read(Index(0), 0).value()[0].first() == Index(1));
}

STORAGE_CASE("group, append time and binary commands of a batch are kept") {
  Kind kind;
  auto storage = kind.Open();
  BatchRef batch = Batch(1, 1, {std::string("\0\xff", 2), "x"});
  REQUIRE(Append(*storage, {batch}));
  auto read = storage->Read(Index(1), SIZE_MAX);
  REQUIRE(read);
  REQUIRE(read.value().size() == 1);
  CHECK(read.value()[0].header().group == GroupId(1));
  CHECK(read.value()[0].header().append_time_ns == batch.header().append_time_ns);
  CHECK(Text(read.value()) == Text(std::vector<BatchRef>{batch}));
}

STORAGE_CASE("an 8 MiB command is kept") {
  Kind kind;
  std::string command(size_t{8} << 20, '\0');
  for (size_t i = 0; i < command.size(); ++i) command[i] = static_cast<char>(i * 131 >> 3);
  auto storage = kind.Open();
  REQUIRE(Append(*storage, {Batch(1, 1, {command, "next"})}));
  if (Kind::kSurvives) {
    storage.reset();
    storage = kind.Open();
  }
  auto read = storage->Read(Index(1), 1);
  REQUIRE(read);
  CHECK((*read.value()[0].begin()).command == command);
}

STORAGE_CASE("reads from another thread see whole commits while one writes") {
  Kind kind;
  auto storage = kind.Open();
  REQUIRE(storage->Recover());
  // Entries i*4+1 .. i*4+4 are one commit, and every tenth commit replaces the last four entries.
  std::atomic<bool> is_done{false};
  std::atomic<uint64_t> reads{0};
  std::string problem;
  std::thread reader([&] {
    while (!is_done.load()) {
      auto read = storage->Read(Index(1), SIZE_MAX);
      auto last = storage->Log().Last();
      auto value = storage->Store().Get("key");
      if (!read || !last || !value) problem = "an error while reading";
      Index next(1);
      for (const BatchRef& batch : read.value()) {
        if (batch.first() != next) problem = "a gap";
        next = batch.last() + 1;
      }
      if ((next - Index(1)) % 4 != 0) problem = "half a commit";
      reads.fetch_add(1);
    }
  });
  uint64_t next = 1, term = 1, commits = 0;
  while (commits < 200 || reads.load() < 20) {
    std::vector<BatchRef> batches;
    std::optional<Index> truncate_after;
    if (++commits % 10 == 0 && next > 4) truncate_after = Index((next -= 4) - 1), ++term;
    batches.push_back(Batch(next, term, {"a", std::string(3000, 'b')}));
    batches.push_back(Batch(next + 2, term, {"c", "d"}));
    REQUIRE(storage->Commit(HardState{Term(term), NodeId(1)}, truncate_after, batches));
    if (commits % 7 == 0) REQUIRE(storage->Store().SetUint64("key", commits));
    next += 4;
    if (next > 200) {
      REQUIRE(storage->Commit(std::nullopt, Index(0), {}));
      next = 1;
    }
  }
  is_done = true;
  reader.join();
  CHECK(problem == "");
}

}  // namespace
}  // namespace ringraft::storage

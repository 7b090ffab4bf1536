// Every guarantee of log.h, for the Log facet of every storage.
#include <algorithm>

#include "support.h"

namespace ringraft::storage {
namespace {

std::string Range(Log& log, uint64_t after, uint64_t to) {
  auto entries = log.RangeGet(Index(after), Index(to));
  REQUIRE(entries);
  return Text(entries.value());
}

std::vector<LogEntry> Five() {
  return {Entry(1, 1, "a"), Entry(2, 1, "b"), Entry(3, 1, "c"), Entry(4, 2, "d"), Entry(5, 2, "e")};
}

STORAGE_CASE("an empty log returns nothing, without an error") {
  Kind kind;
  auto storage = kind.Open();
  Log& log = storage->Log();
  CHECK(log.Get(Index(0)).value() == Term(0));
  CHECK(log.Get(Index(1)).value() == Term(0));
  CHECK(log.Match(Index(0), Term(0)).value() == false);
  CHECK(log.Match(Index(1), Term(0)).value() == false);
  CHECK(log.Last().value() == LogPosition{});
  CHECK(Range(log, 0, 100) == "");
  CHECK(Range(log, 0, UINT64_MAX) == "");
}

STORAGE_CASE("appended entries can be read by index, matched and read as ranges") {
  Kind kind;
  auto storage = kind.Open();
  Log& log = storage->Log();
  REQUIRE(log.Append(Five()));
  CHECK(log.Last().value() == LogPosition{Index(5), Term(2)});
  CHECK(log.Get(Index(3)).value() == Term(1));
  CHECK(log.Get(Index(4)).value() == Term(2));
  CHECK(log.Get(Index(6)).value() == Term(0));
  CHECK(log.Get(Index(UINT64_MAX)).value() == Term(0));
  CHECK(log.Match(Index(3), Term(1)).value());
  CHECK(!log.Match(Index(3), Term(2)).value());
  CHECK(!log.Match(Index(6), Term(2)).value());
  CHECK(!log.Match(Index(6), Term(0)).value());
  CHECK(!log.Match(Index(0), Term(0)).value());
}

STORAGE_CASE("a range excludes its first index and includes its last") {
  Kind kind;
  auto storage = kind.Open();
  Log& log = storage->Log();
  REQUIRE(log.Append(Five()));
  CHECK(Range(log, 0, 5) == "1@1:a 2@1:b 3@1:c 4@2:d 5@2:e");
  CHECK(Range(log, 1, 3) == "2@1:b 3@1:c");
  CHECK(Range(log, 2, 4) == "3@1:c 4@2:d");
  CHECK(Range(log, 4, 5) == "5@2:e");
  CHECK(Range(log, 3, 3) == "");
  CHECK(Range(log, 4, 3) == "");
  CHECK(Range(log, 5, 9) == "");
  CHECK(Range(log, 4, UINT64_MAX) == "5@2:e");
  CHECK(Range(log, UINT64_MAX - 1, UINT64_MAX) == "");
}

STORAGE_CASE("type, command and time of an entry are kept") {
  Kind kind;
  auto storage = kind.Open();
  Log& log = storage->Log();
  std::string binary("\0\xff\n", 3);
  std::vector<LogEntry> entries = {
      LogEntry(Index(1), Term(1), LogEntryType::kNoop, "", At(7)),
      LogEntry(Index(2), Term(1), LogEntryType::kConfiguration, "members", At(7)),
      LogEntry(Index(3), Term(1), LogEntryType::kCommand, binary, At(1'900'000'000'000'000)),
      LogEntry(Index(4), Term(1), LogEntryType::kCommand, "", At(0))};
  REQUIRE(log.Append(entries));
  auto got = log.RangeGet(Index(0), Index(4));
  REQUIRE(got);
  REQUIRE(got.value().size() == 4);
  for (size_t i = 0; i < 4; ++i) CHECK(got.value()[i].view() == entries[i]);
}

STORAGE_CASE("AppendAfter replaces what follows, also within one earlier append") {
  for (uint64_t after = 0; after <= 5; ++after) {
    CAPTURE(after);
    Kind kind;
    auto storage = kind.Open();
    Log& log = storage->Log();
    REQUIRE(log.Append(Five()));
    REQUIRE(log.AppendAfter(Index(after), std::vector<LogEntry>{Entry(after + 1, 3, "x"), Entry(after + 2, 3, "y")}));
    CHECK(log.Last().value() == LogPosition{Index(after + 2), Term(3)});
    std::vector<LogEntry> all = Five();
    CHECK(log.RangeGet(Index(0), Index(after)).value().size() == after);
    for (uint64_t i = 1; i <= after; ++i) CHECK(log.Get(Index(i)).value() == all[i - 1].term);
    CHECK(log.Get(Index(after + 1)).value() == Term(3));
    CHECK(log.Get(Index(after + 3)).value() == Term(0));
    REQUIRE(storage->Recover());
  }
}

STORAGE_CASE("AppendAfter without entries only removes") {
  Kind kind;
  auto storage = kind.Open();
  Log& log = storage->Log();
  REQUIRE(log.Append(Five()));
  REQUIRE(log.AppendAfter(Index(2), {}));
  CHECK(Range(log, 0, 9) == "1@1:a 2@1:b");
  REQUIRE(log.AppendAfter(Index(2), {}));
  CHECK(Range(log, 0, 9) == "1@1:a 2@1:b");
  REQUIRE(log.AppendAfter(Index(0), {}));
  CHECK(log.Last().value() == LogPosition{});
  REQUIRE(log.Append(std::vector<LogEntry>{Entry(1, 9, "new")}));
  CHECK(Range(log, 0, 9) == "1@9:new");
}

STORAGE_CASE("gaps, wrong indexes, zeros and falling terms are refused, and the log stays unchanged") {
  Kind kind;
  auto storage = kind.Open();
  Log& log = storage->Log();
  CHECK(Fails(log.Append(std::vector<LogEntry>{Entry(2, 1, "gap")}), Errc::kInvalidArgument, {"2"}));
  CHECK(Fails(log.Append(std::vector<LogEntry>{Entry(0, 1, "zero")}), Errc::kInvalidArgument));
  CHECK(Fails(log.AppendAfter(Index(1), {}), Errc::kInvalidArgument, {"1", "0"}));
  REQUIRE(log.Append(Five()));
  CHECK(Fails(log.Append(std::vector<LogEntry>{Entry(5, 2, "again")}), Errc::kInvalidArgument, {"6", "5"}));
  CHECK(Fails(log.Append(std::vector<LogEntry>{Entry(7, 2, "gap")}), Errc::kInvalidArgument));
  CHECK(Fails(log.Append(std::vector<LogEntry>{Entry(6, 2, "f"), Entry(8, 2, "gap")}), Errc::kInvalidArgument));
  CHECK(Fails(log.Append(std::vector<LogEntry>{Entry(6, 2, "f"), Entry(6, 2, "twice")}), Errc::kInvalidArgument));
  CHECK(Fails(log.Append(std::vector<LogEntry>{Entry(6, 0, "term 0")}), Errc::kInvalidArgument, {"6"}));
  CHECK(Fails(log.Append(std::vector<LogEntry>{Entry(6, 1, "falls")}), Errc::kInvalidArgument, {"term"}));
  CHECK(Fails(log.Append(std::vector<LogEntry>{Entry(6, 3, "f"), Entry(7, 2, "falls")}), Errc::kInvalidArgument));
  CHECK(
      Fails(log.AppendAfter(Index(6), std::vector<LogEntry>{Entry(7, 2, "gap")}), Errc::kInvalidArgument, {"6", "5"}));
  CHECK(Fails(log.AppendAfter(Index(2), std::vector<LogEntry>{Entry(6, 2, "gap")}), Errc::kInvalidArgument));
  CHECK(Fails(log.AppendEntry(Entry(0, 1, "falls")), Errc::kInvalidArgument));
  CHECK(Range(log, 0, 9) == "1@1:a 2@1:b 3@1:c 4@2:d 5@2:e");
  REQUIRE(log.Append(std::vector<LogEntry>{Entry(6, 2, "f")}));
  CHECK(log.Last().value() == LogPosition{Index(6), Term(2)});
}

STORAGE_CASE("AppendEntry appends after the last entry, ignores the entry's index, and returns the assigned one") {
  Kind kind;
  auto storage = kind.Open();
  Log& log = storage->Log();
  CHECK(log.AppendEntry(Entry(0, 1, "a")).value() == Index(1));
  CHECK(log.AppendEntry(Entry(77, 1, "b")).value() == Index(2));
  CHECK(log.AppendEntry(Entry(3, 2, "c")).value() == Index(3));
  CHECK(Range(log, 0, 9) == "1@1:a 2@1:b 3@2:c");
}

STORAGE_CASE("appending nothing changes nothing") {
  Kind kind;
  auto storage = kind.Open();
  Log& log = storage->Log();
  REQUIRE(log.Append({}));
  CHECK(log.Last().value() == LogPosition{});
  REQUIRE(log.Append(Five()));
  REQUIRE(log.Append({}));
  CHECK(log.Last().value() == LogPosition{Index(5), Term(2)});
}

STORAGE_CASE("a thousand entries, many of them in one call, can be read in ranges of any size") {
  Kind kind;
  auto storage = kind.Open();
  Log& log = storage->Log();
  std::vector<std::string> commands;
  for (uint64_t i = 1; i <= 1000; ++i) commands.push_back("command " + std::to_string(i));
  std::vector<LogEntry> entries;
  for (uint64_t i = 1; i <= 1000; ++i) entries.push_back(Entry(i, 1 + i / 300, commands[i - 1]));
  REQUIRE(log.Append(std::span(entries).first(900)));
  for (size_t i = 900; i < 1000; i += 20) REQUIRE(log.Append(std::span(entries).subspan(i, 20)));
  for (uint64_t after = 0; after < 1000; after += 37) {
    auto got = log.RangeGet(Index(after), Index(after + 100));
    REQUIRE(got);
    REQUIRE(got.value().size() == std::min<uint64_t>(100, 1000 - after));
    for (size_t i = 0; i < got.value().size(); ++i) REQUIRE(got.value()[i].view() == entries[after + i]);
  }
}

STORAGE_CASE("the storage recovers and reads what the facet wrote, and vice versa") {
  Kind kind;
  auto storage = kind.Open();
  REQUIRE(storage->Recover());
  REQUIRE(storage->Log().Append(Five()));
  CHECK(Text(*storage) == "term 0 vote 0 | terms 1:1 4:2 | configurations | 1@1:a 2@1:b 3@1:c 4@2:d 5@2:e");
  std::vector<BatchRef> batches = {Batch(6, 3, {"", "config A"})};
  REQUIRE(storage->Commit(HardState{Term(3), NodeId(2)}, std::nullopt, batches));
  CHECK(storage->Log().Last().value() == LogPosition{Index(7), Term(3)});
  CHECK(Range(storage->Log(), 4, 9) == "5@2:e 6@3: 7@3:config A*");
  REQUIRE(storage->Log().AppendAfter(Index(6), std::vector<LogEntry>{Entry(7, 4, "x")}));
  CHECK(Text(*storage) ==
        "term 3 vote 2 | terms 1:1 4:2 6:3 7:4 | configurations | 1@1:a 2@1:b 3@1:c 4@2:d 5@2:e 6@3: 7@4:x");
}

}  // namespace
}  // namespace ringraft::storage

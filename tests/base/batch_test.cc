// Batches: encoding preserves the entries, and any later change is detected.
#include "ringraft/batch.h"

#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace ringraft {
namespace {

std::chrono::system_clock::time_point At(int64_t ns) {
  return std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::nanoseconds(ns)));
}

BatchRef Sample() {
  BatchBuilder builder;
  builder.Add(LogEntryType::kNoop, "");
  builder.Add(LogEntryType::kCommand, "set x 1");
  builder.Add(LogEntryType::kConfiguration, std::string("\0members\0", 9));
  builder.Add(LogEntryType::kCommand, std::string(300, 'z'));
  return builder.Seal(Index(42), Term(7), NodeId(3), GroupId(9), 1'700'000'000'123'456'789);
}

std::vector<LogEntry> Entries(const BatchRef& batch) {
  std::vector<LogEntry> entries;
  for (LogEntry entry : batch) entries.push_back(entry);
  return entries;
}

// A changed batch with a valid checksum, as a malicious peer could send it.
std::string Resealed(std::string bytes) {
  XXH3_state_t* state = XXH3_createState();
  XXH3_64bits_reset(state);
  XXH3_64bits_update(state, bytes.data(), 56);
  XXH3_64bits_update(state, bytes.data() + 64, bytes.size() - 64);
  uint64_t checksum = XXH3_64bits_digest(state);
  XXH3_freeState(state);
  std::memcpy(bytes.data() + 56, &checksum, 8);
  return bytes;
}

template <class T>
std::string With(const BatchRef& batch, size_t at, T value) {
  std::string bytes(batch.bytes());
  std::memcpy(bytes.data() + at, &value, sizeof value);
  return Resealed(bytes);
}

TEST_CASE("a decoded batch has the header and the entries of the sealed one") {
  BatchRef batch = Sample();
  auto decoded = BatchRef::Decode(std::string(batch.bytes()));
  REQUIRE(decoded);
  for (const BatchRef& each : {batch, decoded.value()}) {
    CHECK(each.first() == Index(42));
    CHECK(each.last() == Index(45));
    CHECK(each.term() == Term(7));
    CHECK(each.header().count == 4);
    CHECK(each.header().leader == NodeId(3));
    CHECK(each.header().group == GroupId(9));
    CHECK(each.header().append_time_ns == 1'700'000'000'123'456'789);
    CHECK(each.header().flags == BatchHeader::kHasConfiguration);
    CHECK(each.header().body_bytes == each.size() - BatchHeader::kSize);
    auto time = At(1'700'000'000'123'456'789);
    CHECK(Entries(each) ==
          std::vector<LogEntry>{
              LogEntry(Index(42), Term(7), LogEntryType::kNoop, "", time),
              LogEntry(Index(43), Term(7), LogEntryType::kCommand, "set x 1", time),
              LogEntry(Index(44), Term(7), LogEntryType::kConfiguration, std::string_view("\0members\0", 9), time),
              LogEntry(Index(45), Term(7), LogEntryType::kCommand, std::string(300, 'z'), time),
          });
  }
  CHECK(decoded.value().bytes() == batch.bytes());
  CHECK(decoded.value().bytes().data() != batch.bytes().data());
}

TEST_CASE("the layout of a batch is the documented one") {
  BatchBuilder builder;
  builder.Add(LogEntryType::kCommand, "ab");
  BatchRef batch = builder.Seal(Index(0x0102030405060708), Term(2), NodeId(3), GroupId(4), 5);
  std::string expected;
  expected += "RRB1";
  expected += std::string("\x0a\0\0\0", 4);
  expected += "\x08\x07\x06\x05\x04\x03\x02\x01";
  expected += std::string("\x02\0\0\0\0\0\0\0", 8);
  expected += std::string("\x01\0\0\0", 4);
  expected += std::string("\0\0\0\0", 4);
  expected += std::string("\x05\0\0\0\0\0\0\0", 8);
  expected += std::string("\x04\0\0\0\0\0\0\0", 8);
  expected += std::string("\x03\0\0\0\0\0\0\0", 8);
  expected += std::string(8, '\0');
  expected += std::string("\x02\0\0\0\x01\0\0\0", 8) + "ab";
  CHECK(batch.bytes() == Resealed(expected));
}

TEST_CASE("every flipped bit of a batch is detected") {
  std::string bytes(Sample().bytes());
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] ^= static_cast<char>(1 << bit % 8);
    auto decoded = BatchRef::Decode(flipped);
    REQUIRE_MESSAGE(!decoded, "bit " << bit);
    REQUIRE(decoded.error() == Errc::kCorrupt);
  }
}

TEST_CASE("a truncated or extended batch is refused") {
  std::string bytes(Sample().bytes());
  for (size_t size = 0; size < bytes.size(); ++size) {
    std::string cut = bytes.substr(0, size);  // a copy, so that sanitizers detect a read beyond its end
    REQUIRE(BatchRef::Decode(cut).error() == Errc::kCorrupt);
  }
  CHECK(BatchRef::Decode(bytes + 'x').error() == Errc::kCorrupt);
}

TEST_CASE("a batch with a valid checksum and invalid contents is refused") {
  BatchRef batch = Sample();
  size_t second = BatchHeader::kSize + 8;  // the header of entry 43
  CHECK(BatchRef::Decode(Resealed(std::string(batch.bytes()))));
  CHECK(BatchRef::Decode(With<uint32_t>(batch, 24, 0)).error() == Errc::kCorrupt);  // no entries
  CHECK(BatchRef::Decode(With<uint32_t>(batch, 24, 3)).error() == Errc::kCorrupt);  // one fewer
  CHECK(BatchRef::Decode(With<uint32_t>(batch, 24, 5)).error() == Errc::kCorrupt);  // one more
  CHECK(BatchRef::Decode(With<uint32_t>(batch, 24, UINT32_MAX)).error() == Errc::kCorrupt);
  CHECK(BatchRef::Decode(With<uint64_t>(batch, 8, 0)).error() == Errc::kCorrupt);           // index 0
  CHECK(BatchRef::Decode(With<uint64_t>(batch, 8, UINT64_MAX)).error() == Errc::kCorrupt);  // overflowing indexes
  CHECK(BatchRef::Decode(With<uint64_t>(batch, 16, 0)).error() == Errc::kCorrupt);          // term 0
  CHECK(BatchRef::Decode(With<uint32_t>(batch, 28, 0)).error() == Errc::kCorrupt);          // hidden configuration
  CHECK(BatchRef::Decode(With<uint32_t>(batch, 28, 2)).error() == Errc::kCorrupt);  // contradictory flag: no commands
  CHECK(BatchRef::Decode(With<uint32_t>(batch, 28, 3)).error() == Errc::kCorrupt);
  CHECK(BatchRef::Decode(With<uint32_t>(batch, 28, 5)).error() == Errc::kCorrupt);  // an unknown flag
  CHECK(BatchRef::Decode(With<uint32_t>(batch, second, UINT32_MAX)).error() == Errc::kCorrupt);
  CHECK(BatchRef::Decode(With<uint32_t>(batch, second, 6)).error() == Errc::kCorrupt);
  CHECK(BatchRef::Decode(With<uint8_t>(batch, second + 4, 0)).error() == Errc::kCorrupt);  // an unknown type
  CHECK(BatchRef::Decode(With<uint8_t>(batch, second + 4, 4)).error() == Errc::kCorrupt);
}

TEST_CASE("random bytes are refused") {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(random() % 200, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    if (i % 2 == 0 && bytes.size() >= 4) std::memcpy(bytes.data(), "RRB1", 4);
    if (i % 4 == 0 && bytes.size() >= 64) {
      uint32_t body = static_cast<uint32_t>(bytes.size() - 64);
      std::memcpy(bytes.data() + 4, &body, 4);
      bytes = Resealed(bytes);
    }
    REQUIRE(!BatchRef::Decode(bytes));
  }
}

TEST_CASE("a slice is a separate batch with the entries of its range") {
  BatchRef batch = Sample();
  for (uint64_t from = 42; from <= 45; ++from) {
    for (uint64_t to = from; to <= 45; ++to) {
      BatchRef slice = batch.Slice(Index(from), Index(to));
      auto decoded = BatchRef::Decode(slice.bytes());
      REQUIRE(decoded);
      std::vector<LogEntry> all = Entries(batch);
      CHECK(Entries(decoded.value()) == std::vector<LogEntry>(all.begin() + (from - 42), all.begin() + (to - 41)));
      CHECK(decoded.value().header().leader == NodeId(3));
      CHECK(decoded.value().header().group == GroupId(9));
      CHECK((decoded.value().header().flags != 0) == (from <= 44 && to >= 44));
    }
  }
}

TEST_CASE("a builder predicts the size of its batch, and can be reused") {
  BatchBuilder builder;
  for (int round = 0; round < 3; ++round) {
    CHECK(builder.empty());
    CHECK(builder.size() == BatchHeader::kSize);
    for (int i = 0; i < 100; ++i) builder.Add(LogEntryType::kCommand, std::string(static_cast<size_t>(i) * 7, 'a'));
    CHECK(builder.count() == 100);
    size_t size = builder.size();
    BatchRef batch = builder.Seal(Index(1), Term(1), NodeId(1), GroupId(1), 0);
    CHECK(batch.size() == size);
    CHECK(batch.header().flags == 0);
    CHECK(BatchRef::Decode(batch.bytes()));
  }
}

TEST_CASE("encoded entries are added unchanged") {
  BatchBuilder first;
  first.Add(LogEntryType::kCommand, "one");
  first.Add(LogEntryType::kCommand, "two");
  BatchRef plain = first.Seal(Index(1), Term(1), NodeId(1), GroupId(1), 0);
  BatchBuilder second;
  second.AddEncoded(plain.bytes().substr(BatchHeader::kSize), 2);
  CHECK(second.count() == 2);
  CHECK(second.Seal(Index(1), Term(1), NodeId(1), GroupId(1), 0).bytes() == plain.bytes());
}

TEST_CASE("moving a builder moves its entries") {
  BatchBuilder from;
  from.Add(LogEntryType::kConfiguration, "c");
  BatchBuilder to(std::move(from));
  BatchBuilder third;
  third = std::move(to);
  REQUIRE(third.count() == 1);
  BatchRef batch = third.Seal(Index(1), Term(1), NodeId(1), GroupId(1), 0);
  CHECK(batch.header().flags == BatchHeader::kHasConfiguration);
}

TEST_CASE("copies of a reference share the bytes, and the last copy frees them") {
  BatchRef outer;
  CHECK(!outer);
  const char* bytes = nullptr;
  {
    BatchRef inner = Sample();
    bytes = inner.bytes().data();
    outer = inner;
    BatchRef moved = std::move(inner);
    CHECK(!inner);  // NOLINT(bugprone-use-after-move)
    CHECK(moved.bytes().data() == bytes);
  }
  CHECK(outer.bytes().data() == bytes);
  CHECK(Entries(outer).size() == 4);
}

TEST_CASE("MakeBatch keeps index, term, types, commands and time") {
  auto time = At(123'456'789'000);
  std::vector<LogEntry> entries = {LogEntry(Index(5), Term(2), LogEntryType::kCommand, "a", time),
                                   LogEntry(Index(6), Term(2), LogEntryType::kNoop, "", time)};
  BatchRef batch = MakeBatch(entries, NodeId(8), GroupId(2));
  CHECK(Entries(batch) == entries);
  CHECK(batch.header().leader == NodeId(8));
  CHECK(batch.header().group == GroupId(2));
}

TEST_CASE("an 8 MiB command survives encoding") {
  std::string command(size_t{8} << 20, '\0');
  for (size_t i = 0; i < command.size(); ++i) command[i] = static_cast<char>(i * 31);
  BatchBuilder builder;
  builder.Add(LogEntryType::kCommand, command);
  auto decoded = BatchRef::Decode(builder.Seal(Index(1), Term(1), NodeId(1), GroupId(1), 0).bytes());
  REQUIRE(decoded);
  CHECK((*decoded.value().begin()).command == command);
}

}  // namespace
}  // namespace ringraft

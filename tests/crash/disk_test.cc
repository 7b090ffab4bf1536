// The model of the disk: flushed data stays, and every possible outcome of the rest is tried.
#include "disk.h"

#include <doctest/doctest.h>

#include <set>

namespace ringraft::crash {
namespace {

constexpr uint64_t kBlock = FileModel::kBlock;
constexpr uint64_t kSector = FileModel::kSector;

FileModel TwoBlocks() { return FileModel(FileImage{std::string(2 * kBlock, 'a'), 2 * kBlock}); }

TEST_CASE("flushed writes are never lost, and unflushed ones may be") {
  Random random(1);
  FileModel file = TwoBlocks();
  file.Write(kBlock, std::string(kBlock, 'b'));
  CHECK(file.Undecided() == 1);
  CHECK(file.After(Cut{Cut::Kind::kAll}, 0, random).bytes == std::string(2 * kBlock, 'a'));
  CHECK(file.After(Cut{Cut::Kind::kNone}, 0, random).bytes == std::string(kBlock, 'a') + std::string(kBlock, 'b'));
  file.Flush();
  CHECK(file.Undecided() == 0);
  for (Cut::Kind kind : {Cut::Kind::kAll, Cut::Kind::kNone, Cut::Kind::kBlocks, Cut::Kind::kTorn})
    CHECK(file.After(Cut{kind}, 0, random) == file.Now());
}

TEST_CASE("any state of a block since the last flush may survive, independently of other blocks") {
  Random random(1);
  FileModel file = TwoBlocks();
  file.Write(0, std::string(kBlock, 'b'));
  file.Write(0, std::string(2 * kBlock, 'c'));
  std::set<std::string> found;
  for (int i = 0; i < 200; ++i) {
    std::string bytes = file.After(Cut{Cut::Kind::kBlocks}, 0, random).bytes;
    CHECK(bytes == std::string(kBlock, bytes[0]) + std::string(kBlock, bytes[kBlock]));
    found.insert({bytes[0], bytes[kBlock]});
  }
  CHECK(found == std::set<std::string>{"aa", "ac", "ba", "bc", "ca", "cc"});
}

TEST_CASE("a block may be torn between sectors, never within one") {
  Random random(1);
  FileModel file = TwoBlocks();
  file.Write(0, std::string(2 * kBlock, 'b'));
  bool is_torn = false;
  for (int i = 0; i < 50; ++i) {
    std::string bytes = file.After(Cut{Cut::Kind::kTorn}, 0, random).bytes;
    for (size_t at = 0; at < bytes.size(); at += kSector) {
      CHECK(bytes.substr(at, kSector) == std::string(kSector, bytes[at]));
      is_torn = is_torn || bytes[at] != bytes[at / kBlock * kBlock];
    }
  }
  CHECK(is_torn);
}

TEST_CASE("every choice of blocks has a number") {
  Random random(1);
  FileModel file = TwoBlocks();
  file.Write(0, std::string(3 * kBlock, 'b'));
  CHECK(file.Undecided() == 4);  // the size, too
  std::set<std::pair<std::string, uint64_t>> found;
  for (uint64_t kept = 0; kept < 16; ++kept) {
    FileImage image = file.After(Cut{Cut::Kind::kChosen, kept}, 0, random);
    found.insert({image.bytes, image.size});
  }
  CHECK(found.size() == 12);  // the third block is cut off unless the new size is there
}

TEST_CASE("a synchronous write is durable when it completes, and concurrent writes are not") {
  Random random(1);
  FileModel file = TwoBlocks();
  file.Write(0, "b");
  file.Write(kBlock + 32, "c");
  file.Settle(kBlock + 32, 1);
  FileImage image = file.After(Cut{Cut::Kind::kAll}, 0, random);
  CHECK(image.bytes[0] == 'a');
  CHECK(image.bytes[kBlock + 32] == 'c');
}

TEST_CASE("directory entries are durable when the directory is flushed, and a rename is never torn") {
  Random random(1);
  DiskImage nothing;
  nothing.has_directory = true;
  Disk disk(nothing, {}, Flushes::kHonest);
  disk.Apply(Event{.kind = Event::Kind::kCreate, .file = 0, .name = "new"});
  disk.Apply(Event{.kind = Event::Kind::kWrite, .file = 0, .bytes = "text"});
  disk.Apply(Event{.kind = Event::Kind::kFlush, .file = 0});
  CHECK(disk.After(Cut{Cut::Kind::kAll}, random).files.empty());
  disk.Apply(Event{.kind = Event::Kind::kRename, .name = "new", .new_name = "old"});
  std::set<std::string> found;
  for (int i = 0; i < 100; ++i) {
    std::string names;
    for (const auto& [name, file] : disk.After(Cut{Cut::Kind::kBlocks}, random).files) {
      names += name;
      CHECK(file.bytes == "text");
    }
    found.insert(names);
  }
  CHECK(found == std::set<std::string>{"", "new", "old"});
  disk.Apply(Event{.kind = Event::Kind::kFlushDirectory});
  CHECK(disk.IsSettled());
  CHECK(disk.After(Cut{Cut::Kind::kAll}, random).files.contains("old"));
}

}  // namespace
}  // namespace ringraft::crash

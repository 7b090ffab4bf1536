#include "disk.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/assert.h"

namespace ringraft::crash {
namespace {

std::string BlockOf(const std::string& content, uint64_t block) {
  std::string bytes(FileModel::kBlock, '\0');
  uint64_t begin = block * FileModel::kBlock;
  if (begin < content.size())
    std::memcpy(bytes.data(), content.data() + begin, std::min<uint64_t>(FileModel::kBlock, content.size() - begin));
  return bytes;
}

void PutBlock(std::string& content, uint64_t block, const std::string& bytes) {
  uint64_t begin = block * FileModel::kBlock;
  if (content.size() < begin + FileModel::kBlock) content.resize(begin + FileModel::kBlock);
  std::memcpy(content.data() + begin, bytes.data(), FileModel::kBlock);
}

template <class T>
const T& AnyOf(const std::vector<T>& all, Random& random) {
  return all[random() % all.size()];
}

bool Flip(Random& random) { return random() % 2 == 0; }

}  // namespace

FileModel::FileModel(const FileImage& durable) : durable_(durable.bytes), latest_(durable.bytes), sizes_{durable.size} {
  RINGRAFT_ASSERT(durable.bytes.size() <= durable.size);
}

std::string FileModel::LatestBlock(uint64_t block) const { return BlockOf(latest_, block); }

void FileModel::Write(uint64_t offset, const std::string& bytes) {
  if (bytes.empty()) return;
  uint64_t end = offset + bytes.size();
  if (latest_.size() < end) latest_.resize(end);
  std::memcpy(latest_.data() + offset, bytes.data(), bytes.size());
  for (uint64_t block = offset / kBlock; block * kBlock < end; ++block) pending_[block].push_back(LatestBlock(block));
  if (end > sizes_.back()) sizes_.push_back(end);
}

void FileModel::SetSize(uint64_t size) {
  if (size == sizes_.back()) return;
  if (size < latest_.size()) {  // reads as zeros if the file grows again
    uint64_t end = latest_.size();
    latest_.resize(size);
    for (uint64_t block = size / kBlock; block * kBlock < end; ++block) pending_[block].push_back(LatestBlock(block));
  }
  sizes_.push_back(size);
}

void FileModel::Flush() {
  durable_ = latest_;
  sizes_ = {sizes_.back()};
  pending_.clear();
}

void FileModel::PutDurable(uint64_t block, const std::string& content) {
  PutBlock(durable_, block, content);
  if (durable_.size() > sizes_.front()) durable_.resize(sizes_.front());
}

// The size becomes durable, too, if the write extended the file.
void FileModel::Settle(uint64_t offset, uint64_t size) {
  uint64_t end = offset + size;
  if (end > sizes_.front()) sizes_ = {sizes_.back()};
  for (uint64_t block = offset / kBlock; block * kBlock < end; ++block) {
    PutDurable(block, LatestBlock(block));
    pending_.erase(block);
  }
}

FileImage FileModel::After(const Cut& cut, int first_bit, Random& random) const {
  FileImage image{durable_, sizes_.front()};
  bool is_random = cut.kind == Cut::Kind::kBlocks || cut.kind == Cut::Kind::kTorn;
  uint64_t odds = std::array<uint64_t, 3>{1, 4, 7}[is_random ? random() % 3 : 0];  // few, half, nearly all are kept
  int bit = first_bit;
  auto is_kept = [&] {
    if (cut.kind == Cut::Kind::kChosen) return (cut.kept >> bit++ & 1) != 0;
    return cut.kind == Cut::Kind::kNone || (is_random && random() % 8 < odds);
  };
  for (const auto& [block, states] : pending_) {
    if (!is_kept()) continue;
    std::string content = is_random ? AnyOf(states, random) : states.back();
    if (cut.kind == Cut::Kind::kTorn && Flip(random)) {
      std::string before = BlockOf(durable_, block);
      for (size_t sector = 0; sector < kBlock; sector += kSector) {
        uint64_t state = random() % (states.size() + 1);
        content.replace(sector, kSector, state == 0 ? before : states[state - 1], sector, kSector);
      }
    }
    PutBlock(image.bytes, block, content);
  }
  if (sizes_.size() > 1 && is_kept()) image.size = is_random ? AnyOf(sizes_, random) : sizes_.back();
  if (image.bytes.size() > image.size) image.bytes.resize(image.size);
  return image;
}

Disk::Disk(const DiskImage& image, const std::map<std::string, int>& numbers, Flushes flushes)
    : flushes_(flushes), has_durable_directory_(image.has_directory), has_directory_(image.has_directory) {
  int other = -1;
  for (const auto& [name, file] : image.files) {
    auto numbered = numbers.find(name);
    int number = numbered == numbers.end() ? other-- : numbered->second;
    files_.emplace(number, FileModel(file));
    durable_entries_[name] = number;
  }
  entries_ = durable_entries_;
}

// A rename keeps the file that it was applied to, so it may be durable even if the file's creation is not.
void Disk::Change(std::map<std::string, int>& entries, const Event& event) const {
  if (event.kind == Event::Kind::kCreate) entries[event.name] = event.file;
  if (event.kind == Event::Kind::kRemove) entries.erase(event.name);
  if (event.kind != Event::Kind::kRename) return;
  entries.erase(event.name);
  entries[event.new_name] = event.file;
}

bool Disk::NeedsSettling(const Event& event) const {
  return event.kind == Event::Kind::kWrite && event.is_durable && flushes_ != Flushes::kNone &&
         flushes_ != Flushes::kNoMeta;
}

void Disk::Apply(const Event& event) {
  switch (event.kind) {
    case Event::Kind::kMakeDirectory:
      has_directory_ = true;
      break;
    case Event::Kind::kFlushParent:
      has_durable_directory_ = has_directory_;
      break;
    case Event::Kind::kCreate:
    case Event::Kind::kRemove:
    case Event::Kind::kRename: {
      entry_changes_.push_back(event);
      Event& change = entry_changes_.back();
      if (event.kind == Event::Kind::kCreate) files_.emplace(event.file, FileModel());
      if (event.kind == Event::Kind::kRename) change.file = entries_.at(event.name);
      Change(entries_, change);
      break;
    }
    case Event::Kind::kFlushDirectory:
      if (flushes_ == Flushes::kNoDirectory) break;
      durable_entries_ = entries_;
      entry_changes_.clear();
      break;
    case Event::Kind::kWrite:
      files_.at(event.file).Write(event.offset, event.bytes);
      break;
    case Event::Kind::kSize:
      files_.at(event.file).SetSize(event.offset);
      break;
    case Event::Kind::kFlush:
      if (flushes_ != Flushes::kNone && flushes_ != Flushes::kNoData) files_.at(event.file).Flush();
      break;
  }
}

int Disk::Undecided() const {
  int undecided = 0;
  for (const auto& [number, file] : files_) undecided += file.Undecided();
  return undecided;
}

bool Disk::IsSettled() const {
  return Undecided() == 0 && entry_changes_.empty() && has_directory_ == has_durable_directory_;
}

std::map<std::string, int> Disk::EntriesAfter(const Cut& cut, Random& random) const {
  std::map<std::string, int> entries = durable_entries_;
  if (cut.kind == Cut::Kind::kAll) return entries;
  if (cut.kind == Cut::Kind::kNone) return entries_;
  // All changes up to some moment, as with a journal, or any subset.
  bool is_ordered = Flip(random);
  size_t end = is_ordered ? random() % (entry_changes_.size() + 1) : entry_changes_.size();
  for (size_t i = 0; i < end; ++i)
    if (is_ordered || Flip(random)) Change(entries, entry_changes_[i]);
  return entries;
}

DiskImage Disk::After(const Cut& cut, Random& random) const {
  DiskImage image;
  image.has_directory = has_durable_directory_ || (has_directory_ && cut.kind != Cut::Kind::kAll &&
                                                   (cut.kind == Cut::Kind::kNone || Flip(random)));
  if (!image.has_directory) return image;
  std::map<std::string, int> entries = EntriesAfter(cut, random);
  int bit = 0;
  for (const auto& [number, file] : files_) {
    for (const auto& [name, entry] : entries)
      if (entry == number) image.files[name] = file.After(cut, bit, random);
    bit += file.Undecided();
  }
  return image;
}

DiskImage Disk::Now() const {
  DiskImage image;
  image.has_directory = has_directory_;
  for (const auto& [name, number] : entries_) image.files[name] = files_.at(number).Now();
  return image;
}

}  // namespace ringraft::crash

#include "explorer.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <fstream>

namespace ringraft::crash {
namespace {

LmdbOptions SmallOptions() {
  LmdbOptions options;
  options.max_bytes = kMaxBytes;
  return options;
}

uint64_t HashOf(const DiskImage& image, int first, int last) {
  uint64_t hash = XXH3_64bits_withSeed("", 0, static_cast<uint64_t>(first) << 32 | static_cast<uint64_t>(last));
  for (const auto& [name, file] : image.files) {
    hash = XXH3_64bits_withSeed(name.data(), name.size(), hash ^ file.size);
    hash = XXH3_64bits_withSeed(file.bytes.data(), file.bytes.size(), hash);
  }
  return hash + image.has_directory;
}

}  // namespace

Explorer::Explorer(std::string directory, Flushes flushes, Random& random,
                   std::function<void(const std::string&)> on_image)
    : directory_(std::move(directory) + "/image"), flushes_(flushes), random_(random), on_image_(std::move(on_image)) {}

// Between two events the moment of the power cut makes no difference on the disk. So commits acknowledged just before
// the second event must be there, and commits that had not begun just after the first must not.
std::string Explorer::Explore(const History& history, const Effort& effort, uint64_t enough) {
  if (!history.problem.empty()) return history.problem;
  seen_.clear();
  history_images_ = 0;
  Disk disk(history.start, history.numbers, flushes_);
  size_t count = history.events.size();
  for (size_t i = 0; i <= count && images_ < enough; ++i) {
    bool is_last = i == count;
    Window window{is_last ? history.acknowledged : history.events[i].acknowledged,
                  i == 0 ? 0 : history.events[i - 1].begun};
    window.last = std::max(window.first, window.last);
    point_ = is_last ? "at the end" : fmt::format("before event {} of {}, {}", i, count, Describe(history.events[i]));
    bool is_flush = is_last || history.events[i].kind == Event::Kind::kFlush;
    std::string problem = ExplorePoint(history, disk, window, effort, is_flush);
    if (!problem.empty() || is_last) return problem;
    const Event& event = history.events[i];
    disk.Apply(event);
    if (!disk.NeedsSettling(event)) continue;
    point_ = fmt::format("within event {} of {}, {}", i, count, Describe(event));
    problem = ExplorePoint(history, disk, Window{event.acknowledged, event.begun}, effort, true);
    if (!problem.empty()) return problem;
    disk.Settle(event);
  }
  return "";
}

std::string Explorer::ExplorePoint(const History& history, const Disk& disk, Window window, const Effort& effort,
                                   bool is_fullest) {
  ++points_;
  std::vector<Cut> cuts{Cut{Cut::Kind::kAll}, Cut{Cut::Kind::kNone}};
  int undecided = disk.Undecided();
  if (is_fullest && undecided <= effort.all_below)
    for (uint64_t kept = 0; kept < uint64_t{1} << undecided; ++kept) cuts.push_back(Cut{Cut::Kind::kChosen, kept});
  if (!disk.IsSettled()) {
    cuts.insert(cuts.end(), static_cast<size_t>(is_fullest ? effort.most_blocks : effort.blocks),
                Cut{Cut::Kind::kBlocks});
    cuts.insert(cuts.end(), static_cast<size_t>(is_fullest ? effort.most_torn : effort.torn), Cut{Cut::Kind::kTorn});
  }
  for (const Cut& cut : cuts) {
    DiskImage image = disk.After(cut, random_);
    if (!seen_.insert(HashOf(image, window.first, window.last)).second) continue;
    std::string problem = Check(history, image, window);
    if (!problem.empty()) return point_ + ": " + problem;
  }
  return "";
}

std::string Explorer::Check(const History& history, const DiskImage& image, Window window) {
  ++images_;
  ++history_images_;
  if (on_image_) on_image_(fmt::format("image {}, {}", images_, point_));
  WriteImage(image, directory_);
  // The lock file of a dead process may be missing or have any content.
  if (image.has_directory && random_() % 4 == 0) {
    std::ofstream lock(directory_ + "/ringraft.mdb-lock", std::ios::binary);
    std::string junk(random_() % 9000, '\0');
    for (char& byte : junk) byte = static_cast<char>(random_());
    lock << junk;
  }
  std::string problem = Open(history, window);
  if (!problem.empty()) return problem;
  if (random_() % history_images_ == 0) kept_ = image;
  return random_() % 8 == 0 ? CommitMore() : "";
}

std::string Explorer::Open(const History& history, Window window) {
  auto storage = OpenLmdbStorage(directory_, SmallOptions());
  if (!storage) return fmt::format("the directory is refused: {}", storage.error().message());
  auto state = StateOf(*storage.value());
  if (!state) return fmt::format("the storage cannot be read: {}", state.error().message());
  for (int commit = window.first; commit <= window.last; ++commit)
    if (state.value() == history.states[static_cast<size_t>(commit)]) return "";
  auto any = std::find(history.states.begin(), history.states.end(), state.value());
  std::string which = any == history.states.end()
                          ? "of no commit"
                          : fmt::format("that of commit {}", std::distance(history.states.begin(), any));
  return fmt::format("commit {} was acknowledged and {} begun, but the state is {}: {}", window.first, window.last,
                     which, state.value());
}

// Opening is not enough: the storage must also work.
std::string Explorer::CommitMore() {
  std::string expected;
  {
    auto storage = OpenLmdbStorage(directory_, SmallOptions());
    if (!storage) return fmt::format("the directory is refused when it is reopened: {}", storage.error().message());
    auto log = storage.value()->Recover();
    if (!log) return log.error().message();
    Term term = log.value().terms.empty() ? Term(1) : log.value().terms.back().term;
    BatchBuilder builder;
    builder.Add(LogEntryType::kCommand, std::string(5000, 'z'));
    std::vector<BatchRef> batches{builder.Seal(log.value().last_index + 1, term, NodeId(1), GroupId(1), 1)};
    bool is_durable = false;
    auto committed = storage.value()->CommitEarly(std::nullopt, std::nullopt, batches, [&] { is_durable = true; });
    if (!committed) return fmt::format("a further commit fails: {}", committed.error().message());
    if (!is_durable) return "a further commit is not reported as durable";
    auto state = StateOf(*storage.value());
    if (!state) return state.error().message();
    expected = state.value();
  }
  auto storage = OpenLmdbStorage(directory_, SmallOptions());
  if (!storage) return fmt::format("the directory is refused after a further commit: {}", storage.error().message());
  auto state = StateOf(*storage.value());
  if (!state || state.value() != expected) return "a further commit is missing after reopening";
  return "";
}

}  // namespace ringraft::crash

#include "workload.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>

#include "base/assert.h"
#include "base/try.h"
#include "storage/lmdb_storage.h"
#include "storage/storage_thread.h"

namespace ringraft::crash {
namespace {

constexpr std::string_view kKeys[] = {"a", "b", "c"};

class Hash {
 public:
  void Add(std::string_view bytes) { value_ = XXH3_64bits_withSeed(bytes.data(), bytes.size(), value_ ^ bytes.size()); }
  void Add(uint64_t number) { Add(std::string_view(reinterpret_cast<const char*>(&number), sizeof number)); }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 1;
};

// Forwards to the storage, and notifies the recorder when a commit begins and when it is acknowledged. A model in
// memory makes the same changes, and its states are kept.
class ObservedStorage final : public Storage {
 public:
  ObservedStorage(std::shared_ptr<Storage> storage, Recorder& recorder)
      : storage_(std::move(storage)), recorder_(recorder) {}

  // Copies the stored state into the model. Called before anything else.
  Result<void> Load() {
    RINGRAFT_TRY(recovered, storage_->Recover());
    RINGRAFT_TRY(batches, storage_->Read(Index(1), SIZE_MAX));
    RINGRAFT_TRYV(model_->Commit(recovered.hard_state, std::nullopt, batches));
    for (std::string_view key : kKeys) {
      RINGRAFT_TRY(value, storage_->Store().Get(key));
      if (!value.empty()) RINGRAFT_TRYV(model_->Store().Set(key, value));
    }
    return Remember();
  }

  Result<RecoveredLog> Recover() override { return storage_->Recover(); }
  Result<void> Commit(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                      std::span<const BatchRef> batches) override {
    return CommitEarly(hard_state, truncate_after, batches, [] {});
  }
  // Every fourth commit is a plain Commit, durable only when it returns.
  Result<void> CommitEarly(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                           std::span<const BatchRef> batches, const OnDurable& on_durable) override {
    WaitAtGate();
    RINGRAFT_TRYV(model_->Commit(hard_state, truncate_after, batches));
    return Observe([&](const OnDurable& acknowledge) -> Result<void> {
      auto both = [&] {
        acknowledge();
        on_durable();
      };
      if (states_.size() % 4 != 0) return storage_->CommitEarly(hard_state, truncate_after, batches, both);
      RINGRAFT_TRYV(storage_->Commit(hard_state, truncate_after, batches));
      both();
      return Success();
    });
  }
  Result<std::vector<BatchRef>> Read(Index from, size_t max_bytes) const override {
    return storage_->Read(from, max_bytes);
  }
  ringraft::Log& Log() override { return storage_->Log(); }
  ringraft::Store& Store() override { return values_; }

  // While the gate is closed the next commit waits, and writes submitted meanwhile are committed together.
  void CloseGate() {
    std::lock_guard lock(mutex_);
    is_closed_ = true;
    is_waiting_ = false;
  }
  void WaitForOneAtGate() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return is_waiting_; });
  }
  void OpenGate() {
    std::lock_guard lock(mutex_);
    is_closed_ = false;
    changed_.notify_all();
  }

  const std::vector<std::string>& states() const { return states_; }
  Term term(int commit) const { return terms_[static_cast<size_t>(commit)]; }

 private:
  class Values final : public ringraft::Store {
   public:
    explicit Values(ObservedStorage& observed) : observed_(observed) {}
    Result<void> Set(std::string_view key, std::string_view value) override {
      RINGRAFT_TRYV(observed_.model_->Store().Set(key, value));
      return observed_.Observe([&](const OnDurable& acknowledge) -> Result<void> {
        RINGRAFT_TRYV(observed_.storage_->Store().Set(key, value));
        acknowledge();
        return Success();
      });
    }
    Result<std::string> Get(std::string_view key) const override { return observed_.storage_->Store().Get(key); }
    Result<void> SetUint64(std::string_view key, uint64_t value) override {
      return observed_.storage_->Store().SetUint64(key, value);
    }
    Result<uint64_t> GetUint64(std::string_view key) const override {
      return observed_.storage_->Store().GetUint64(key);
    }

   private:
    ObservedStorage& observed_;
  };

  template <class Change>
  Result<void> Observe(Change change) {
    RINGRAFT_TRYV(Remember());
    int commit = static_cast<int>(states_.size()) - 1;
    recorder_.Begin(commit);
    return change([&] { recorder_.Acknowledge(commit); });
  }
  Result<void> Remember() {
    RINGRAFT_TRY(recovered, model_->Recover());
    RINGRAFT_TRY(state, StateOf(*model_));
    terms_.push_back(recovered.hard_state.term);
    states_.push_back(state);
    return Success();
  }
  void WaitAtGate() {
    std::unique_lock lock(mutex_);
    is_waiting_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !is_closed_; });
  }

  std::shared_ptr<Storage> storage_;
  Recorder& recorder_;
  std::shared_ptr<Storage> model_ = MakeMemoryStorage();
  Values values_{*this};
  std::vector<std::string> states_;
  std::vector<Term> terms_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_closed_ = false;
  bool is_waiting_ = false;
};

// Delivers on the posting thread, so that a result is checked at the moment at which it is reported.
class DirectMailbox final : public reactor::Mailbox {
 public:
  DirectMailbox() { BeginSleep(); }

 private:
  void Wake() override {
    do Drain();
    while (!BeginSleep());
  }
};

// Generates consecutive writes.
class Writer {
 public:
  Writer(const RecoveredLog& log, const std::vector<BatchRef>& batches, Random& random)
      : random_(random), last_(log.last_index.value()), number_term_(log.hard_state.term.value()) {
    if (!log.terms.empty()) term_ = log.terms.back().term.value();
    for (const BatchRef& batch : batches) sizes_.emplace_back(batch.last().value(), batch.size());
  }

  // The term of the hard state identifies the request.
  storage::WriteRequest Next(uint64_t number) {
    storage::WriteRequest request;
    request.number = number;
    request.hard_state = HardState{Term(++number_term_), NodeId(random_() % 4)};
    uint64_t bytes = 0;
    for (const auto& [last, size] : sizes_) bytes += size;
    if (bytes > 400'000) {
      Truncate(request, last_ * (random_() % 4) / 8);
    } else if (random_() % 6 == 0) {
      Truncate(request, last_ - std::min(last_, random_() % 8));
    }
    for (uint64_t left = random_() % 5 == 0 ? 0 : 1 + random_() % 3; left > 0; --left) {
      if (random_() % 10 == 0) ++term_;
      request.batches.push_back(MakeOne());
    }
    return request;
  }
  void AddValues(storage::WriteRequest& request) {
    request.values.emplace_back(kKeys[random_() % std::size(kKeys)], std::string(random_() % 300, 'v') + Word());
  }

 private:
  void Truncate(storage::WriteRequest& request, uint64_t after) {
    if (after >= last_) return;
    request.truncate_after = Index(last_ = after);
    ++term_;
    while (!sizes_.empty() && sizes_.back().first > after) sizes_.pop_back();
  }

  BatchRef MakeOne() {
    BatchBuilder builder;
    for (uint64_t left = 1 + random_() % 4; left > 0; --left) {
      uint64_t kind = random_() % 100;
      uint64_t size = kind < 50   ? random_() % 200
                      : kind < 85 ? random_() % 3000
                      : kind < 97 ? random_() % 20'000
                                  : 70'000;
      LogEntryType type = random_() % 20 == 0 ? LogEntryType::kConfiguration : LogEntryType::kCommand;
      if (type == LogEntryType::kConfiguration) size = random_() % 300;
      builder.Add(type, Word() + std::string(size, static_cast<char>('a' + random_() % 26)));
    }
    uint32_t count = builder.count();
    BatchRef batch = builder.Seal(Index(last_ + 1), Term(term_), NodeId(1), GroupId(1), 1'000'000'000);
    last_ += count;
    sizes_.emplace_back(last_, batch.size());
    return batch;
  }
  std::string Word() { return fmt::format("{:x} ", random_()); }

  Random& random_;
  uint64_t last_;
  uint64_t number_term_;
  uint64_t term_ = 1;
  std::vector<std::pair<uint64_t, uint64_t>> sizes_;  // of each batch: its last index and its size
};

// The storage thread on top of an ObservedStorage, and checks of what it acknowledges.
class Driver {
 public:
  Driver(ObservedStorage& observed, Recorder& recorder) : observed_(observed), recorder_(recorder) {}

  // A first write, and then, while it is being committed, a group of further writes.
  void Round(Writer& writer, Random& random) {
    observed_.CloseGate();
    Submit(writer.Next(++number_));
    observed_.WaitForOneAtGate();
    for (uint64_t more = random() % 5; more > 0; --more) {
      if (random() % 8 == 0) {
        storage::WriteRequest values;
        writer.AddValues(values);
        thread_.Submit(std::move(values));
      }
      storage::WriteRequest request = writer.Next(++number_);
      if (random() % 8 == 0) writer.AddValues(request);
      Submit(std::move(request));
    }
    observed_.OpenGate();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return persisted_ >= number_ || !problem_.empty(); });
  }

  std::string problem() {
    std::lock_guard lock(mutex_);
    return problem_;
  }

 private:
  void Submit(storage::WriteRequest request) {
    {
      std::lock_guard lock(mutex_);
      submitted_.push_back(request.hard_state->term);
    }
    thread_.Submit(std::move(request));
  }

  // Runs on the storage thread.
  void OnPersisted(uint64_t number, const Result<void>& result) {
    std::lock_guard lock(mutex_);
    changed_.notify_all();
    if (!result) {
      problem_ = fmt::format("write {} failed: {}", number, result.error().message());
      return;
    }
    persisted_ = number;
    Term durable = observed_.term(recorder_.acknowledged());
    if (durable < submitted_[number - 1])
      problem_ = fmt::format("write {} was acknowledged before its commit had returned", number);
  }

  ObservedStorage& observed_;
  Recorder& recorder_;
  DirectMailbox mailbox_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Term> submitted_;  // Invariant: submitted_[number - 1] is the term of write `number`.
  uint64_t number_ = 0;
  uint64_t persisted_ = 0;
  std::string problem_;
  storage::StorageThread thread_{observed_, mailbox_,
                                 [this](uint64_t number, Result<void> result) { OnPersisted(number, result); }};
};

LmdbOptions SmallOptions() {
  LmdbOptions options;
  options.max_bytes = kMaxBytes;
  return options;
}

// Checks that every call that changed a file was recorded.
void CompareWithDisk(History& history, const std::string& directory) {
  Disk disk(history.start, history.numbers, Flushes::kHonest);
  for (const Event& event : history.events) disk.Apply(event);
  if (history.problem.empty() && !AreSame(disk.Now(), ReadImage(directory)))
    history.problem = "the recorded calls do not produce the files on the disk: a call was not recorded";
}

}  // namespace

Result<std::string> StateOf(Storage& storage) {
  RINGRAFT_TRY(log, storage.Recover());
  RINGRAFT_TRY(batches, storage.Read(Index(1), SIZE_MAX));
  std::string state = fmt::format("term {} vote {} | terms", log.hard_state.term.value(), log.hard_state.vote.value());
  for (const TermRun& run : log.terms) state += fmt::format(" {}:{}", run.first_index.value(), run.term.value());
  state += " | configurations";
  for (const StoredConfiguration& each : log.configurations) {
    Hash hash;
    hash.Add(each.command);
    state += fmt::format(" {}:{:x}", each.index.value(), hash.value());
  }
  Hash hash;
  uint64_t last = 0;
  for (const BatchRef& batch : batches) {
    for (LogEntry entry : batch) {
      last = entry.index.value();
      hash.Add(last);
      hash.Add(entry.term.value());
      hash.Add(static_cast<uint64_t>(entry.type));
      hash.Add(entry.command);
    }
  }
  state += fmt::format(" | last {} of {}, {:x} | values", log.last_index.value(), last, hash.value());
  for (std::string_view key : kKeys) {
    RINGRAFT_TRY(value, storage.Store().Get(key));
    Hash value_hash;
    value_hash.Add(value);
    state += fmt::format(" {:x}", value_hash.value());
  }
  return state;
}

DiskImage ReadImage(const std::string& directory) {
  DiskImage image;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    std::string name = entry.path().filename();
    if (name == "LOCK" || name.ends_with("-lock")) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    FileImage& content = image.files[name];
    content.bytes.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    content.size = content.bytes.size();
    size_t used = content.bytes.find_last_not_of('\0');
    content.bytes.resize(used == std::string::npos ? 0 : used + 1);
  }
  image.has_directory = !error;
  return image;
}

void WriteImage(const DiskImage& image, const std::string& directory) {
  std::filesystem::remove_all(directory);
  if (!image.has_directory) return;
  RINGRAFT_ASSERT(mkdir(directory.c_str(), 0755) == 0);
  for (const auto& [name, file] : image.files) {
    int fd = open((directory + "/" + name).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    RINGRAFT_ASSERT(fd >= 0);
    RINGRAFT_ASSERT(pwrite(fd, file.bytes.data(), file.bytes.size(), 0) == static_cast<ssize_t>(file.bytes.size()));
    RINGRAFT_ASSERT(ftruncate(fd, static_cast<off_t>(file.size)) == 0);
    close(fd);
  }
}

bool AreSame(const DiskImage& a, const DiskImage& b) {
  auto is_same = [](const FileImage& x, const FileImage& y) {
    size_t common = std::min(x.bytes.size(), y.bytes.size());
    const std::string& longer = x.bytes.size() > common ? x.bytes : y.bytes;
    return x.size == y.size && std::memcmp(x.bytes.data(), y.bytes.data(), common) == 0 &&
           longer.find_first_not_of('\0', common) == std::string::npos;
  };
  if (a.has_directory != b.has_directory || a.files.size() != b.files.size()) return false;
  for (const auto& [name, file] : a.files)
    if (!b.files.contains(name) || !is_same(file, b.files.at(name))) return false;
  return true;
}

History RecordWorkload(const std::string& directory, const DiskImage& start, int rounds, Random& random) {
  WriteImage(start, directory);
  if (!start.has_directory) (void)OpenLmdbStorage(directory, SmallOptions());
  History history;
  history.start = ReadImage(directory);
  Recorder recorder(directory);
  {
    auto storage = OpenLmdbStorage(directory, SmallOptions());
    if (!storage) {
      history.problem = storage.error().message();
      return history;
    }
    ObservedStorage observed(storage.value(), recorder);
    auto recovered = storage.value()->Recover();
    auto batches = storage.value()->Read(Index(1), SIZE_MAX);
    if (!observed.Load() || !recovered || !batches) {
      history.problem = "the storage cannot be read";
      return history;
    }
    Writer writer(recovered.value(), batches.value(), random);
    Driver driver(observed, recorder);
    for (int round = 0; round < rounds && driver.problem().empty(); ++round) driver.Round(writer, random);
    history.problem = driver.problem();
    history.states = observed.states();
  }
  history.numbers = recorder.adopted();
  history.events = recorder.events();
  history.acknowledged = recorder.acknowledged();
  CompareWithDisk(history, directory);
  return history;
}

History RecordFirstStart(const std::string& directory, MadeBy made_by, const std::vector<int>& killed_after) {
  struct Killed {};
  History history;
  history.start = ReadImage(directory);
  Recorder recorder(directory);
  if (made_by == MadeBy::kOthersWithoutFlush) RINGRAFT_ASSERT(mkdir(directory.c_str(), 0755) == 0);
  for (int last_step : killed_after) {
    int step = 0;
    try {
      auto hook = [&](std::string_view) {
        if (step++ == last_step) throw Killed();
      };
      (void)storage::LmdbStorage::Open(directory, SmallOptions(), hook);
    } catch (const Killed&) {
    }
  }
  {
    auto storage = OpenLmdbStorage(directory, SmallOptions());
    if (!storage) {
      history.problem = storage.error().message();
      return history;
    }
    ObservedStorage observed(storage.value(), recorder);
    auto loaded = observed.Load();
    for (uint64_t k = 1; k <= 3 && loaded; ++k) {
      BatchBuilder builder;
      builder.Add(LogEntryType::kCommand, fmt::format("command {}", k));
      std::vector<BatchRef> batches{builder.Seal(Index(k), Term(1), NodeId(1), GroupId(1), 1)};
      loaded = observed.Commit(HardState{Term(k), NodeId(1)}, std::nullopt, batches);
    }
    if (!loaded) history.problem = loaded.error().message();
    history.states = observed.states();
  }
  history.numbers = recorder.adopted();
  history.events = recorder.events();
  history.acknowledged = recorder.acknowledged();
  CompareWithDisk(history, directory);
  return history;
}

}  // namespace ringraft::crash

#include "recorder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "base/assert.h"

namespace ringraft::crash {
namespace {

std::atomic<Recorder*> active{nullptr};

// Restores errno: recording must not change what the caller sees.
class KeepErrno {
 public:
  ~KeepErrno() { errno = kept_; }

 private:
  int kept_ = errno;
};

// Lock files are no part of the data: LOCK names a process, and LMDB recreates its own when no process has it open.
bool IsLock(std::string_view name) { return name == "LOCK" || name.ends_with("-lock"); }

std::string PathOf(int fd) {
  std::string path(4096, '\0');
  ssize_t size = readlink(fmt::format("/proc/self/fd/{}", fd).c_str(), path.data(), path.size());
  path.resize(size > 0 ? static_cast<size_t>(size) : 0);
  return path;
}

}  // namespace

std::string Describe(const Event& event) {
  switch (event.kind) {
    case Event::Kind::kMakeDirectory:
      return "mkdir";
    case Event::Kind::kFlushParent:
      return "the flush of the parent directory";
    case Event::Kind::kCreate:
      return fmt::format("the creation of {}", event.name);
    case Event::Kind::kRemove:
      return fmt::format("the removal of {}", event.name);
    case Event::Kind::kRename:
      return fmt::format("the renaming of {} to {}", event.name, event.new_name);
    case Event::Kind::kFlushDirectory:
      return "the flush of the directory";
    case Event::Kind::kWrite:
      return fmt::format("the {}write of {} bytes at {} of file {}", event.is_durable ? "synchronous " : "",
                         event.bytes.size(), event.offset, event.file);
    case Event::Kind::kSize:
      return fmt::format("the size {} of file {}", event.offset, event.file);
    case Event::Kind::kFlush:
      return fmt::format("the flush of file {}", event.file);
  }
  return "?";
}

Recorder::Recorder(std::string directory)
    : directory_(std::move(directory)), parent_(directory_.substr(0, directory_.rfind('/'))) {
  Recorder* none = nullptr;
  RINGRAFT_ASSERT(active.compare_exchange_strong(none, this));
}

Recorder::~Recorder() { active.store(nullptr); }

void Recorder::Begin(int commit) {
  std::lock_guard lock(mutex_);
  begun_ = commit;
}

void Recorder::Acknowledge(int commit) {
  std::lock_guard lock(mutex_);
  acknowledged_ = commit;
}

int Recorder::acknowledged() const {
  std::lock_guard lock(mutex_);
  return acknowledged_;
}

bool Recorder::IsInside(std::string_view path, std::string& name) const {
  if (path.size() <= directory_.size() + 1 || !path.starts_with(directory_) || path[directory_.size()] != '/')
    return false;
  name = path.substr(directory_.size() + 1);
  return !IsLock(name);
}

void Recorder::Add(Event event) {
  event.begun = begun_;
  event.acknowledged = acknowledged_;
  events_.push_back(std::move(event));
}

bool Interposed::IsActive() { return active.load() != nullptr; }

int Interposed::FileOf(Recorder& recorder, int fd) {
  struct stat status;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return -1;
  auto found = recorder.files_.find({status.st_dev, status.st_ino});
  return found == recorder.files_.end() ? -1 : found->second;
}

void Interposed::Opened(int fd, const char* path, bool has_existed, bool truncated) {
  KeepErrno keep;
  Recorder* recorder = active.load();
  std::string name;
  if (recorder == nullptr || !recorder->IsInside(path, name)) return;
  struct stat status;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return;
  std::lock_guard lock(recorder->mutex_);
  auto [place, is_new] = recorder->files_.try_emplace({status.st_dev, status.st_ino}, recorder->next_file_);
  if (is_new) {
    int file = recorder->next_file_++;
    if (has_existed) {
      recorder->adopted_[name] = file;
    } else {
      recorder->Add(Event{.kind = Event::Kind::kCreate, .file = file, .name = name});
    }
  }
  if (truncated && has_existed) recorder->Add(Event{.kind = Event::Kind::kSize, .file = place->second, .offset = 0});
}

void Interposed::Wrote(int fd, uint64_t offset, std::string bytes) {
  KeepErrno keep;
  Recorder* recorder = active.load();
  if (recorder == nullptr) return;
  std::lock_guard lock(recorder->mutex_);
  int file = FileOf(*recorder, fd);
  if (file < 0) return;
  bool is_durable = (fcntl(fd, F_GETFL) & (O_DSYNC | O_SYNC)) != 0;
  recorder->Add(Event{.kind = Event::Kind::kWrite,
                      .file = file,
                      .offset = offset,
                      .bytes = std::move(bytes),
                      .is_durable = is_durable});
}

void Interposed::Resized(int fd, uint64_t size) {
  KeepErrno keep;
  Recorder* recorder = active.load();
  if (recorder == nullptr) return;
  std::lock_guard lock(recorder->mutex_);
  int file = FileOf(*recorder, fd);
  if (file >= 0) recorder->Add(Event{.kind = Event::Kind::kSize, .file = file, .offset = size});
}

void Interposed::Flushed(int fd) {
  KeepErrno keep;
  Recorder* recorder = active.load();
  if (recorder == nullptr) return;
  std::string path = PathOf(fd);
  std::lock_guard lock(recorder->mutex_);
  int file = FileOf(*recorder, fd);
  if (file >= 0) {
    recorder->Add(Event{.kind = Event::Kind::kFlush, .file = file});
  } else if (path == recorder->directory_) {
    recorder->Add(Event{.kind = Event::Kind::kFlushDirectory});
  } else if (path == recorder->parent_) {
    recorder->Add(Event{.kind = Event::Kind::kFlushParent});
  }
}

void Interposed::MadeDirectory(const char* path) {
  KeepErrno keep;
  Recorder* recorder = active.load();
  if (recorder == nullptr || recorder->directory_ != path) return;
  std::lock_guard lock(recorder->mutex_);
  recorder->Add(Event{.kind = Event::Kind::kMakeDirectory});
}

void Interposed::Removing(const char* path) {
  KeepErrno keep;
  Recorder* recorder = active.load();
  std::string name;
  struct stat status;
  if (recorder == nullptr || !recorder->IsInside(path, name) || stat(path, &status) != 0) return;
  std::lock_guard lock(recorder->mutex_);
  recorder->files_.erase({status.st_dev, status.st_ino});  // the inode may be reused
  recorder->Add(Event{.kind = Event::Kind::kRemove, .name = name});
}

void Interposed::Renamed(const char* from, const char* to) {
  KeepErrno keep;
  Recorder* recorder = active.load();
  std::string name, new_name;
  if (recorder == nullptr || !recorder->IsInside(from, name) || !recorder->IsInside(to, new_name)) return;
  std::lock_guard lock(recorder->mutex_);
  recorder->Add(Event{.kind = Event::Kind::kRename, .name = name, .new_name = new_name});
}

}  // namespace ringraft::crash

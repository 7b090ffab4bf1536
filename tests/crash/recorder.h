// Records what the storage does on the disk: every write, size change, flush and directory operation on the files of
// one data directory, in order (interpose.cc intercepts the calls), and with each the progress of the storage's
// commits. So for every moment it is known what must be on the disk, and what may be.
//
// At most one recorder is active in a process. It sees the calls of all threads, and never changes their effect.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ringraft::crash {

struct Event {
  enum class Kind {
    kMakeDirectory,   // the data directory itself
    kFlushParent,     // its entry becomes durable
    kCreate,          // `file` gets the entry `name`
    kRemove,          // of the entry `name`
    kRename,          // of the entry `name` to `new_name`
    kFlushDirectory,  // the entries of the data directory are durable
    kWrite,           // `bytes` at `offset` of `file`
    kSize,            // `file` gets the size `offset`
    kFlush,           // `file` is durable
  };
  Kind kind{};
  int file = -1;
  uint64_t offset = 0;
  std::string bytes;
  bool is_durable = false;  // kWrite: the descriptor has O_DSYNC, so the write was durable when the call returned
  std::string name;
  std::string new_name;
  // When the call returned: the last commit that had begun, and the last one that was acknowledged.
  int begun = 0;
  int acknowledged = 0;
};

// For messages: "the write of 4096 bytes at 8192".
std::string Describe(const Event& event);

class Recorder {
 public:
  // Records all changes of `directory` and in it from now on. Files that already exist are added when they are opened.
  explicit Recorder(std::string directory);
  ~Recorder();
  Recorder(const Recorder&) = delete;

  // Commits are numbered from 1.
  void Begin(int commit);
  void Acknowledge(int commit);
  int acknowledged() const;

  // Precondition: no call is running.
  const std::vector<Event>& events() const { return events_; }
  // Files that already existed when they were first opened for writing, with their numbers.
  const std::map<std::string, int>& adopted() const { return adopted_; }

 private:
  friend class Interposed;

  bool IsInside(std::string_view path, std::string& name) const;
  void Add(Event event);

  std::string directory_;  // without a trailing slash
  std::string parent_;
  mutable std::mutex mutex_;
  std::vector<Event> events_;
  std::map<std::string, int> adopted_;
  std::map<std::pair<uint64_t, uint64_t>, int> files_;  // by device and inode
  int next_file_ = 0;
  int begun_ = 0;
  int acknowledged_ = 0;
};

// Called by interpose.cc after a call has succeeded; each does nothing if no recorder is active. They preserve errno.
class Interposed {
 public:
  static bool IsActive();
  static void Opened(int fd, const char* path, bool has_existed, bool truncated);
  static void Wrote(int fd, uint64_t offset, std::string bytes);
  static void Resized(int fd, uint64_t size);
  static void Flushed(int fd);
  static void MadeDirectory(const char* path);
  static void Removing(const char* path);  // called before the file is removed
  static void Renamed(const char* from, const char* to);

 private:
  static int FileOf(Recorder& recorder, int fd);
};

}  // namespace ringraft::crash

// The other processes of a local cluster: each runs `ringraft-bench node` in a directory of its own. Owns the processes
// and the directory; both are gone with it.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "counters.h"
#include "options.h"

namespace ringraft::bench {

// A fresh directory in `parent`, removed by the destructor unless it is to be kept.
class ScratchDirectory {
 public:
  static Result<std::unique_ptr<ScratchDirectory>> Make(const std::string& parent, bool keep);
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  ScratchDirectory(std::string path, bool keep) : path_(std::move(path)), keep_(keep) {}
  std::string path_;
  bool keep_;
};

// Node 1 is the caller's own process.
class Cluster {
 public:
  // Chooses free ports for all, and starts nodes 2 to `options.nodes`. Call it before the process has other threads.
  static Result<std::unique_ptr<Cluster>> Start(const LocalOptions& options, const std::string& directory,
                                                const SharedCounters& counters);
  ~Cluster();  // ends the processes
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  const std::vector<Peer>& peers() const { return peers_; }
  std::string DirectoryOf(NodeId id) const;
  pid_t PidOf(NodeId id) const;  // 0 for node 1
  // An error if a process has ended; it quotes the last line that the process wrote.
  Result<void> Check();

 private:
  explicit Cluster(std::string directory) : directory_(std::move(directory)) {}
  Result<void> Spawn(NodeId id, const LocalOptions& options, const SharedCounters& counters);
  std::string LogOf(NodeId id) const { return DirectoryOf(id) + ".log"; }

  std::string directory_;
  std::vector<Peer> peers_;
  std::vector<pid_t> pids_;  // of nodes 2, 3, ...; 0 once it has been waited for
};

}  // namespace ringraft::bench

// One member of the cluster in this process: its reactor on a thread of its own, its storage, its state machine, its
// node.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "counters.h"
#include "options.h"
#include "ringraft/raft.h"
#include "ringraft/reactor.h"

namespace ringraft::bench {

struct MemberOptions {
  NodeId id;
  std::vector<Peer> peers;  // all members, this one included
  std::string data_dir;
  StoreKind store = StoreKind::kLmdb;
  bool lead = false;  // election timeouts of 300-500 ms; 2-4 s otherwise, so that a chosen node leads
  Limits limits;
  LogLevel log_level = LogLevel::kInfo;
};

class Member {
 public:
  // `counters` must outlive it.
  static Result<std::unique_ptr<Member>> Start(const MemberOptions& options, NodeCounters& counters);
  ~Member();  // stops the node first; calls that wait end with an error
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  Raft& raft() { return *raft_; }
  Reactor& reactor() { return *reactor_; }
  // It leads, every other member answers, and every log is where this one is.
  bool IsReady() const;
  // Ends the node; everything that waits for it gets its answer.
  void Stop();

 private:
  Member() = default;
  std::unique_ptr<StateMachine> machine_;
  std::unique_ptr<Reactor> reactor_;
  std::unique_ptr<Raft> raft_;  // dies first
};

}  // namespace ringraft::bench

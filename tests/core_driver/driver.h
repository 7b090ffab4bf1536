// Several cores, driven as src/node drives its core, without coroutines: replies and vote requests wait for the disk,
// committed entries are applied, and an oracle watches. A driver decides when messages arrive, writes end and time
// passes.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core_driver/driven_core.h"
#include "core_driver/fixtures.h"
#include "core_driver/message_kind.h"
#include "core_driver/oracle.h"

namespace ringraft::core {

// A request that waits for its reply.
struct Call {
  MessageKind kind = MessageKind::kAppend;
  uint64_t from = 0;
  uint64_t life = 0;  // of the sender
  uint64_t to = 0;
  VoteTicket vote;
  PeerTicket append;
  TimePoint sent;
  bool has_ended = false;  // replied to or failed
};

struct Message {
  MessageKind kind = MessageKind::kAppend;
  uint64_t from = 0;
  uint64_t to = 0;
  std::shared_ptr<Call> call;
  RequestVoteArgs vote;
  RequestVoteResults vote_results;
  AppendEntriesArgs append;
  AppendEntriesResults append_results;
  std::string error;  // of an append that was refused as malformed
};

class Driver {
 public:
  Driver() = default;
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;
  virtual ~Driver() = default;

 protected:
  // Puts a message on its way. It may be lost.
  virtual void Send(Message message) = 0;

  // Each server is registered once, and outlives the driver's last call.
  void Add(uint64_t id, DrivenCore& server) { cores_[id] = &server; }
  DrivenCore& driven(uint64_t id) const { return *cores_.at(id); }

  // `what` names the requests in `gated`.
  void SendVoteRequests(uint64_t id, const VoteRound& round, const std::string& what);
  std::shared_ptr<Call> SendAppend(uint64_t id, const AppendRequest& request);

  // The receivers' parts. Replies are sent once their gates are durable.
  VoteReply ReceiveVoteRequest(const Message& message);
  Result<AppendTicket> ReceiveAppend(const Message& message);
  void ReceiveReply(const Message& message);

  // Applies all committed entries. If `apply` returns false, the rest of its group is taken anew. Entries that are not
  // in memory are read from the disk; `holds_read` may keep such a request, and return true, to end the call.
  using ApplyEntry = std::function<bool(const LogEntry&)>;
  void ApplyCommitted(uint64_t id, const ApplyEntry& apply,
                      const std::function<bool(const ReadRequest&)>& holds_read = nullptr);
  void ApplyBatches(uint64_t id, const std::vector<BatchRef>& batches, const ApplyEntry& apply);

  // Why the cluster of this leader is not at rest: all members have the leader's log, committed and applied, and
  // nothing is in flight (hazard B12). Empty if it is.
  std::string Unrest(uint64_t leader) const;

  DrivenCores cores_;
  Oracle oracle_;
  TimePoint now_{std::chrono::hours(1)};
  size_t apply_bytes_ = 1 << 20;
  bool durable_machine_ = false;  // applies only durable entries, and remembers the last one over crashes
};

}  // namespace ringraft::core

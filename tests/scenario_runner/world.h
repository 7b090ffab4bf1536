// The servers of a scenario, their disks, and the network between them. Nothing happens without a command; then a
// server acts as src/node does. Each step adds a line to the story: the event, the state before it, and the decision of
// the core.
//
// Messages (`wire`) can be held, delivered in any order, duplicated and lost; writes (`writing`), reads and applies of
// a server can be held.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core_driver/driver.h"
#include "scenario.h"
#include "story.h"

namespace ringraft::scenario {

using core::Call;
using core::Message;

class World : private core::Driver {
 public:
  World();

  // --- set-up and state ---
  core::CoreOptions options;
  void SetApplyBytes(size_t bytes) { apply_bytes_ = bytes; }
  void MakeMachinesDurable() { durable_machine_ = true; }
  void Bootstrap(const std::vector<uint64_t>& servers, const std::vector<uint64_t>& members);
  void GiveLog(uint64_t server, const std::vector<uint64_t>& terms, uint64_t term, uint64_t vote);
  bool has_begun() const { return has_begun_; }
  bool Exists(uint64_t server) const { return servers_.contains(server); }
  bool IsUp(uint64_t server) const { return servers_.at(server).IsUp(); }
  const core::Core& core(uint64_t server) const { return *servers_.at(server).core; }
  const core::Disk& disk(uint64_t server) const { return servers_.at(server).disk; }
  std::vector<uint64_t> Ids() const;
  const std::vector<Message>& wire() const { return wire_; }
  const core::Oracle& oracle() const { return oracle_; }
  bool HasCompleted(uint64_t server, const std::string& text) const;
  bool HasLost(uint64_t server, const std::string& text) const;  // its outcome is unknown

  // --- servers ---
  void Campaign(uint64_t server);
  void Heartbeat(uint64_t server, uint64_t to);  // 0: all
  void Propose(uint64_t server, const std::vector<std::string>& texts);
  void Transfer(uint64_t server, uint64_t to);  // within 200 ms
  void Change(uint64_t server, const std::vector<ChangeStep>& steps);
  void Abort(uint64_t server);
  void Tick(Duration duration);
  // Time advances with ticks and heartbeats, and all messages are delivered at once.
  void Run(Duration duration, const std::function<bool()>& until = nullptr);

  // --- network ---
  // Delivers all messages that are not held, and those that follow. Returns false if there is no end of them.
  bool DeliverAll();
  size_t Deliver(const Selection& selection);  // returns their number
  size_t Drop(const Selection& selection);
  size_t Duplicate(const Selection& selection);
  void Hold(const Link& link) {
    ForEach(link, [this](uint64_t from, uint64_t to) { held_.insert({from, to}); });
  }
  void Release(const Link& link) {
    ForEach(link, [this](uint64_t from, uint64_t to) { held_.erase({from, to}); });
  }
  void Cut(const Link& link);
  void Heal();
  size_t FailCalls(const Link& link);  // calls without a reply; returns their number

  // --- disks, machines, power ---
  void HoldDisk(uint64_t server) { servers_.at(server).holds_disk = true; }
  size_t Flush(uint64_t server, size_t count);  // 0: all pending ones; returns their number
  void ReleaseDisk(uint64_t server);
  void FailDisk(uint64_t server);
  void HoldReads(uint64_t server) { servers_.at(server).holds_reads = true; }
  size_t Read(uint64_t server);
  void ReleaseReads(uint64_t server);
  void HoldApply(uint64_t server) { servers_.at(server).holds_apply = true; }
  void Apply(uint64_t server);
  void ReleaseApply(uint64_t server);
  void Crash(uint64_t server, size_t keeping);
  void Restart(uint64_t server);
  void Wipe(uint64_t server);

  // --- the end ---
  // All links, disks and servers work again.
  void Repair();
  // Why the cluster is not at rest: one leader, equal logs, all committed and applied, nothing in flight (hazard B12).
  // Empty if it is.
  std::string Unrest() const;
  void CheckAll();

  // --- the story ---
  std::vector<std::string> TakeStory() { return std::exchange(story_, {}); }
  void SetMuted(bool muted) { is_muted_ = muted; }
  bool is_muted() const { return is_muted_; }
  void Tell(uint64_t server, const std::string& text) { TellLine(std::to_string(server) + ": " + text); }
  View Look(uint64_t server) const;
  std::string Describe(const Message& message) const;

 private:
  struct Proposal {
    Index index;
    Term term;
    std::string text;
  };
  // A read that has been done; its result is delivered later, whatever happens to the log meanwhile.
  struct HeldRead {
    uint64_t peer = 0;  // 0: for the machine
    Index from;
    std::vector<BatchRef> batches;
  };
  struct Server : core::DrivenCore {
    HardState hard_state;            // as decided; the disk has the durable one
    std::optional<TimePoint> heard;  // from the leader of its term
    std::vector<HeldRead> reads;
    std::vector<Proposal> proposals;
    std::vector<core::ConfigTicket> changes;
    std::set<std::string> completed;
    std::set<std::string> lost;
    TimePoint next_heartbeat;
    bool holds_disk = false;
    bool holds_reads = false;
    bool holds_apply = false;
    bool disk_fails = false;
  };
  // A line of the story in the making.
  struct Line {
    std::string fact;
    std::string answer;                // the reply to the request
    std::vector<std::string> changes;  // other effects
  };

  // --- world.cc ---
  void TellLine(const std::string& line);
  void TellEvent(uint64_t server, const Line& line);
  // One call into the core of a server, and the work after it. `act` returns the answer.
  void Event(uint64_t server, const std::string& fact, const std::function<std::string(core::Core&)>& act);
  void Settle(uint64_t server, const View& before, Line& line);
  void Start(uint64_t server);
  void Stop(uint64_t server, size_t written = 0);

  // --- node.cc: the parts of Settle ---
  void TakeWrites(uint64_t server, Line& line);
  void TakeVoteRound(uint64_t server, Line& line);
  void SendAppends(uint64_t server, Line& line);
  void ApplyOrHold(uint64_t server, std::vector<std::string>& applied);
  ApplyEntry Collect(std::vector<std::string>& applied) const;
  void TellCommitAndApply(const View& before, const View& after, const std::vector<std::string>& applied,
                          const std::vector<std::string>& completed, Line& line);
  std::vector<std::string> CompleteProposals(uint64_t server);
  void LoseProposals(uint64_t server, Line& line);
  void CheckChanges(uint64_t server, Line& line);
  std::string Wait(uint64_t server, core::WriteNumber gate) const;
  void FlushOne(uint64_t server);

  // --- network.cc ---
  void ForEach(const Link& link, const std::function<void(uint64_t, uint64_t)>& visit);
  std::vector<size_t> Select(const Selection& selection) const;
  bool IsCut(uint64_t from, uint64_t to) const { return cut_.contains({from, to}); }
  void Send(Message message) override;
  void Receive(const Message& message);
  void TellVoteRequest(const Message& message);
  void TellAppend(const Message& message);
  void TellReply(const Message& message);
  bool IsLost(const std::shared_ptr<Call>& call) const;
  void FailCall(const std::shared_ptr<Call>& call, const std::string& why);
  void FailLostCalls();
  void FailOldCalls();
  void TickDue();
  void HeartbeatsDue();
  TimePoint NextDue() const;

  std::map<uint64_t, Server> servers_;
  std::vector<uint64_t> members_;  // of the first configuration
  std::vector<Message> wire_;
  std::vector<std::shared_ptr<Call>> calls_;
  std::set<std::pair<uint64_t, uint64_t>> cut_;
  std::set<std::pair<uint64_t, uint64_t>> held_;
  std::vector<std::string> story_;
  bool is_muted_ = false;
  bool only_changes_ = false;  // omits events without effect
  bool has_begun_ = false;
};

}  // namespace ringraft::scenario

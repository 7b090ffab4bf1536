// The clients of one run: each calls one node at a time, tries another one after a failure, and records its calls.
#pragma once

#include <coroutine>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sim/cluster.h"
#include "sim/world.h"

namespace ringraft::sim {

struct ClientHabits {
  Nanos least_pause = 50 * kMilli;  // between an answer and the next call
  Nanos most_pause = 800 * kMilli;
  Nanos least_patience = 200 * kMilli;
  Nanos most_patience = 5 * kSecond;
  double forward = 0.5;  // fraction of calls that the node forwards to the leader
  double retry = 0.5;    // fraction of calls with an unknown outcome that are repeated
  double cancel = 0;     // fraction of calls that are cancelled some time later
  double abandon = 0;    // fraction of calls that lose their caller some time later
  double endless = 0.2;  // fraction of calls without forwarding that have no deadline; they must end all the same
  double in_turn = 0.3;  // fraction of calls from the node's own thread
};

class Clients final {
 public:
  Clients(World& world, Cluster& cluster, Service& service, uint64_t count, uint64_t max_operations);
  ~Clients();
  Clients(const Clients&) = delete;

  void SetHabits(const ClientHabits& habits) { habits_ = habits; }
  void Begin();
  void Stop() { is_stopping_ = true; }
  // Resets the number of successes in a row of each client.
  void ResetStreaks();
  bool AllHaveStreak(uint64_t length) const;
  // A state machine has applied the command of this call.
  void OnApplied(uint64_t call);

  // Returns a call that should have ended, since its deadline is long past; empty if there is none.
  std::string Overdue() const;
  bool IsIdle() const { return calls_.empty(); }

  uint64_t begun() const { return next_call_ - 1; }
  uint64_t succeeded() const { return succeeded_; }
  uint64_t unknown() const { return unknown_; }
  std::vector<Operation> TakeHistory() { return std::move(history_); }

 private:
  struct Client {
    uint64_t number = 0;
    size_t target = 0;
    std::string again;  // the command to be repeated
    uint64_t streak = 0;
  };
  struct Pending {
    Client* client = nullptr;
    Operation operation;
    std::coroutine_handle<> caller;
    std::stop_source stop;
    Nanos due = 0;  // when it must have ended; kNever: no deadline
    uint64_t life = 0;
    Slot* slot = nullptr;
  };

  void Plan(Client& client, Nanos delay);
  void Call(Client& client);
  void Make(uint64_t call, Slot& slot, bool forward, Nanos patience);
  void OnAnswer(uint64_t call, Result<Bytes> result);
  void EndUnknown(uint64_t call);
  Slot* Choose(Client& client);

  World& world_;
  Cluster& cluster_;
  Service& service_;
  const uint64_t max_operations_;
  ClientHabits habits_;
  Random random_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::map<uint64_t, Pending> calls_;
  std::set<uint64_t> refused_;  // calls that certainly had no effect
  std::set<uint64_t> applied_;  // calls with a command that a state machine has applied
  std::vector<Operation> history_;
  uint64_t next_call_ = 1;
  uint64_t succeeded_ = 0;
  uint64_t unknown_ = 0;
  bool is_stopping_ = false;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace ringraft::sim

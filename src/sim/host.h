// The host that a simulated node runs on: its clock, scheduler, mailbox and workers. A turn of the loop is an event of
// the World; between turns the node costs nothing.
//
//   kernel events (bytes, completions)  -> inbox -> the beginning of a turn
//   other threads                       -> mailbox -> Wake -> a turn
//   timers                              -> a turn when they are due on the node's own clock
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "reactor/host.h"
#include "sim/world.h"

namespace ringraft::sim {

class SimHost;

// Gives a host its network.
class NetworkFactory {
 public:
  virtual ~NetworkFactory() = default;
  virtual std::unique_ptr<reactor::Network> MakeNetwork(SimHost& host) = 0;
};

// A clock that may run faster or slower than virtual time, with a wall clock that may be off.
class DriftingTime final : public coro::TimeSource {
 public:
  explicit DriftingTime(const World& world) : world_(world) {}
  TimePoint Now() const override { return TimePoint(Duration(Local(world_.now()))); }
  std::chrono::system_clock::time_point WallNow() const override;

  // Sets by how many parts per million it runs too fast from now on. It never goes backwards.
  void SetDrift(int64_t ppm);
  void Jump(Nanos forward);  // the steady clock, as after a machine was suspended
  void SetWallOffset(Nanos offset) { wall_offset_ = offset; }
  // The virtual time at which this clock shows at least `when`.
  Nanos WorldTime(TimePoint when) const;

 private:
  Nanos Local(Nanos world) const;

  const World& world_;
  Nanos world_base_ = 0;
  Nanos local_base_ = 3600 * kSecond;  // like real clocks, it does not begin at 0
  int64_t ppm_ = 0;
  Nanos wall_offset_ = 0;
};

// Faults of the scheduler of a host.
struct ScheduleFaults {
  // hazards: B24, H9
  double shuffle = 0;                  // fraction of passes in which ready coroutines run in random order
  double postpone = 0;                 // fraction of resumptions that wait for a later turn
  Nanos most_turn_time = 30 * kMicro;  // between two turns
  int least_passes = 64;               // of a turn; 1 divides the work into as many turns as possible
};

class SimHost final : public reactor::Host, private coro::ReadyOrder {
 public:
  SimHost(World& world, NetworkFactory& net, std::string address, uint64_t node, Logger& logger);
  ~SimHost() override;

  // --- Host ---
  coro::Loop& loop() override { return loop_; }
  reactor::Network& network() override { return *network_; }
  reactor::Mailbox& mailbox() override { return mailbox_; }
  Task<void> RunBlocking(std::function<void()> work) override;
  uint64_t RandomSeed() override { return world_.random().Next() | 1; }
  Logger& logger() override { return logger_; }
  // Only after `Crash`, to destroy a node: runs a turn and advances the clock of this host only.
  void Turn(Duration max_wait) override;
  void Interrupt() override {}

  // --- the simulator's side ---
  // Queues an event for the next turn, as a completion of the kernel. Dropped if the host has crashed.
  void Deliver(std::function<void()> event);
  // From here on nothing that the node does has an effect outside. It may be driven with `Turn` until it has ended.
  void Crash();
  bool is_crashed() const { return is_crashed_; }
  void PauseUntil(Nanos when);
  void Resume();
  bool is_paused() const { return world_.now() < paused_until_; }
  bool was_paused_since(Nanos when) const { return last_pause_ >= when; }
  void SetSlowness(Nanos more_turn_time) { slowness_ = more_turn_time; }
  void SetSchedule(const ScheduleFaults& faults);
  void ScheduleTurn();
  std::function<void()> on_turn;  // after each turn

  World& world() { return world_; }
  DriftingTime& time() { return time_; }
  uint64_t node() const { return node_; }
  const std::string& address() const { return address_; }

 private:
  class SimMailbox final : public reactor::Mailbox {
   public:
    explicit SimMailbox(SimHost& host) : host_(host) {}
    using Mailbox::BeginSleep;
    using Mailbox::EndSleep;
    using Mailbox::HasMail;

   private:
    void Wake() override { host_.ScheduleTurn(); }
    SimHost& host_;
  };
  struct Job;
  class JobAwaiter;

  void RunTurn();
  void PlanTurn(Nanos when);
  void OnTurnEvent(uint64_t plan);
  void PollKernel();
  // ReadyOrder
  size_t Choose(size_t ready) override;
  bool Postpone() override;

  World& world_;
  Logger& logger_;
  const std::string address_;
  const uint64_t node_;
  DriftingTime time_;
  coro::Loop loop_;
  SimMailbox mailbox_;
  std::unique_ptr<reactor::Network> network_;
  std::deque<std::function<void()>> inbox_;
  std::vector<std::shared_ptr<Job>> jobs_;
  ScheduleFaults schedule_;
  Nanos slowness_ = 0;
  Nanos busy_until_ = 0;  // no turn before
  Nanos paused_until_ = 0;
  Nanos last_pause_ = -1;   // its end
  Nanos planned_for_ = -1;  // the next turn; -1: none
  uint64_t plan_ = 0;       // number of that turn; events of earlier numbers do nothing
  bool is_crashed_ = false;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace ringraft::sim

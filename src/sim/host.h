// The place that a simulated node runs on: its clock, its scheduler, its mailbox, its workers. A turn of the loop is an
// event of the World; between turns the node costs nothing.
//
//   kernel events (bytes, completions)  -> inbox -> first thing of a turn
//   other threads                       -> mailbox -> Wake -> a turn
//   timers                              -> a turn when the node's own clock says so
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "reactor/host.h"
#include "sim/world.h"

namespace ringraft::sim {

class Net;

// A clock that runs faster or slower than the world's, and whose wall side may be set to another time.
class DriftingTime final : public coro::TimeSource {
 public:
  explicit DriftingTime(const World& world) : world_(world) {}
  TimePoint Now() const override { return TimePoint(Duration(Local(world_.now()))); }
  std::chrono::system_clock::time_point WallNow() const override;

  // Parts in a million by which it runs too fast, from now on; it never goes back.
  void SetDrift(int64_t ppm);
  void Jump(Nanos forward);  // the steady clock: a machine that slept
  void SetWallOffset(Nanos offset) { wall_offset_ = offset; }
  // When, in the world's time, this clock shows at least `when`.
  Nanos WorldTime(TimePoint when) const;

 private:
  Nanos Local(Nanos world) const;

  const World& world_;
  Nanos world_base_ = 0;
  Nanos local_base_ = 3600 * kSecond;  // no clock begins at 0
  int64_t ppm_ = 0;
  Nanos wall_offset_ = 0;
};

// How unkind the scheduler is.
struct ScheduleFaults {
  double shuffle = 0;                  // of passes in which the ready coroutines run in a drawn order
  double postpone = 0;                 // of resumptions that have to wait for a later turn
  Nanos most_turn_time = 30 * kMicro;  // between a turn and the next
  int least_passes = 64;               // of a turn; 1 tears it into as many as possible
};

class SimHost final : public reactor::Host, private coro::ReadyOrder {
 public:
  SimHost(World& world, Net& net, std::string address, uint64_t node, Logger& logger);
  ~SimHost() override;

  // --- Host ---
  coro::Loop& loop() override { return loop_; }
  reactor::Network& network() override { return *network_; }
  reactor::Mailbox& mailbox() override { return mailbox_; }
  Task<void> RunBlocking(std::function<void()> work) override;
  uint64_t RandomSeed() override { return world_.random().Next() | 1; }
  Logger& logger() override { return logger_; }
  // Only after `Crash`, and to take a stopped node apart: runs a turn on a clock of its own.
  void Turn(Duration max_wait) override;
  void Interrupt() override {}

  // --- the simulator's side ---
  // Something for the next turn: what a kernel would have completed. Dropped once the host has crashed.
  void Deliver(std::function<void()> event);
  // From here on the node is a ghost: nothing it does reaches anybody. It may be driven with Turn until it has ended.
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
  Nanos busy_until_ = 0;  // the processor has nothing for us before
  Nanos paused_until_ = 0;
  Nanos last_pause_ = -1;   // the end of it
  Nanos planned_for_ = -1;  // the next turn; -1: none
  uint64_t plan_ = 0;       // of that turn: earlier plans are void
  bool is_crashed_ = false;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace ringraft::sim

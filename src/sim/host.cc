#include "sim/host.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace ringraft::sim {
namespace {

constexpr int64_t kMillion = 1'000'000;
constexpr int kManyPasses = 64;
constexpr Nanos kMostWorkTime = 300 * kMicro;  // of blocking work: a read of the log

// floor(a * b / c) without overflow.
Nanos Scale(Nanos a, int64_t b, int64_t c) { return static_cast<Nanos>(static_cast<__int128>(a) * b / c); }

}  // namespace

// --- the clock ---

Nanos DriftingTime::Local(Nanos world) const {
  return local_base_ + Scale(world - world_base_, kMillion + ppm_, kMillion);
}

std::chrono::system_clock::time_point DriftingTime::WallNow() const {
  constexpr Nanos kStart = 1'700'000'000 * kSecond;
  return std::chrono::system_clock::time_point(std::chrono::duration_cast<std::chrono::system_clock::duration>(
      std::chrono::nanoseconds(kStart + Local(world_.now()) + wall_offset_)));
}

void DriftingTime::SetDrift(int64_t ppm) {
  local_base_ = Local(world_.now());
  world_base_ = world_.now();
  ppm_ = ppm;
}

void DriftingTime::Jump(Nanos forward) { local_base_ += forward; }

Nanos DriftingTime::WorldTime(TimePoint when) const {
  const Nanos local = std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()).count();
  Nanos world = world_base_ + Scale(std::max<Nanos>(0, local - local_base_), kMillion, kMillion + ppm_);
  while (Local(world) < local) ++world;  // rounding
  return world;
}

// --- blocking work ---

struct SimHost::Job {
  std::function<void()> work;
  coro::ReadyNode* waiter = nullptr;  // null once the waiter is destroyed
  bool is_done = false;
};

class SimHost::JobAwaiter {
 public:
  explicit JobAwaiter(std::shared_ptr<Job> job) : job_(std::move(job)) {}
  JobAwaiter(const JobAwaiter&) = delete;
  ~JobAwaiter() { job_->waiter = nullptr; }
  bool await_ready() const noexcept { return job_->is_done; }
  void await_suspend(std::coroutine_handle<> caller) {
    node_.handle = caller;
    job_->waiter = &node_;
  }
  void await_resume() const noexcept {}

 private:
  std::shared_ptr<Job> job_;
  coro::ReadyNode node_;
};

Task<void> SimHost::RunBlocking(std::function<void()> work) {
  auto job = std::make_shared<Job>();
  job->work = std::move(work);
  jobs_.push_back(job);
  if (!is_crashed_) {
    const Nanos time = static_cast<Nanos>(world_.random().Between(5 * kMicro, kMostWorkTime));
    world_.After(time, [this, alive = std::weak_ptr<bool>(is_alive_), job] {
      if (alive.expired() || is_crashed_ || job->is_done) return;
      job->is_done = true;
      job->work();
      job->work = nullptr;
      // It stays in the list until its waiter is resumed: a crash in between must not leave the waiter suspended
      // forever.
      Deliver([this, job] {
        std::erase(jobs_, job);
        if (job->waiter != nullptr) loop_.MakeReady(*job->waiter);
      });
    });
  }
  JobAwaiter done(job);
  co_await done;
}

// --- turns ---

SimHost::SimHost(World& world, NetworkFactory& net, std::string address, uint64_t node, Logger& logger)
    : world_(world),
      logger_(logger),
      address_(std::move(address)),
      node_(node),
      time_(world),
      loop_(time_),
      mailbox_(*this),
      network_(net.MakeNetwork(*this)) {
  RINGRAFT_ASSERT(mailbox_.BeginSleep());
}

SimHost::~SimHost() {
  is_alive_.reset();
  // Drops work that has not begun.
  jobs_.clear();
  inbox_.clear();
}

void SimHost::SetSchedule(const ScheduleFaults& faults) {
  schedule_ = faults;
  loop_.SetReadyOrder(faults.shuffle > 0 || faults.postpone > 0 ? this : nullptr);
}

size_t SimHost::Choose(size_t ready) {
  return world_.random().Chance(schedule_.shuffle) ? static_cast<size_t>(world_.random().Below(ready)) : 0;
}

bool SimHost::Postpone() { return !is_crashed_ && world_.random().Chance(schedule_.postpone); }

void SimHost::Deliver(std::function<void()> event) {
  if (is_crashed_) return;
  inbox_.push_back(std::move(event));
  ScheduleTurn();
}

void SimHost::ScheduleTurn() {
  if (!is_crashed_) PlanTurn(world_.now());
}

void SimHost::PlanTurn(Nanos when) {
  when = std::max({when, busy_until_, paused_until_, world_.now()});
  if (planned_for_ >= 0 && planned_for_ <= when) return;
  planned_for_ = when;
  const uint64_t plan = ++plan_;
  world_.At(when, [this, alive = std::weak_ptr<bool>(is_alive_), plan] {
    if (!alive.expired()) OnTurnEvent(plan);
  });
}

void SimHost::OnTurnEvent(uint64_t plan) {
  if (plan != plan_ || is_crashed_) return;
  planned_for_ = -1;
  if (world_.now() < paused_until_) return PlanTurn(paused_until_);
  RunTurn();
  if (on_turn) on_turn();
}

void SimHost::PollKernel() {
  // What arrives in the meantime waits for the next turn.
  for (size_t count = inbox_.size(); count > 0 && !inbox_.empty(); --count) {
    std::function<void()> event = std::move(inbox_.front());
    inbox_.pop_front();
    event();
  }
  mailbox_.Drain();
}

void SimHost::RunTurn() {
  mailbox_.EndSleep();
  int passes = kManyPasses;
  if (schedule_.least_passes < kManyPasses)
    passes = static_cast<int>(world_.random().Between(static_cast<uint64_t>(schedule_.least_passes), kManyPasses));
  loop_.Turn([this] { PollKernel(); }, passes);
  busy_until_ = world_.now() + slowness_ +
                static_cast<Nanos>(world_.random().Between(1, static_cast<uint64_t>(schedule_.most_turn_time)));
  if (!mailbox_.BeginSleep() || loop_.HasWork() || !inbox_.empty()) {
    PlanTurn(world_.now());
  } else if (auto timer = loop_.NextTimer()) {
    PlanTurn(time_.WorldTime(*timer));
  }
}

void SimHost::PauseUntil(Nanos when) {
  paused_until_ = std::max(paused_until_, when);
  last_pause_ = paused_until_;
}

void SimHost::Resume() {
  if (is_paused()) last_pause_ = world_.now();
  paused_until_ = 0;
  ScheduleTurn();
}

void SimHost::Crash() {
  is_crashed_ = true;
  ++plan_;
  inbox_.clear();
}

void SimHost::Turn(Duration max_wait) {
  RINGRAFT_ASSERT(is_crashed_);
  mailbox_.EndSleep();
  if (!loop_.HasWork() && !mailbox_.HasMail()) {
    Nanos wait = std::chrono::duration_cast<std::chrono::nanoseconds>(max_wait).count();
    if (auto timer = loop_.NextTimer()) {
      const Nanos until = std::chrono::duration_cast<std::chrono::nanoseconds>(*timer - time_.Now()).count();
      wait = std::clamp<Nanos>(until, 0, wait);
    }
    if (jobs_.empty()) time_.Jump(wait);
  }
  loop_.Turn([this] {
    mailbox_.Drain();
    std::vector<std::shared_ptr<Job>> jobs;
    jobs.swap(jobs_);
    for (auto& job : jobs) {
      job->is_done = true;
      if (job->work) std::exchange(job->work, nullptr)();
      if (job->waiter != nullptr) loop_.MakeReady(*job->waiter);
    }
  });
}

}  // namespace ringraft::sim

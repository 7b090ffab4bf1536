// A user's state machine in the simulator: a ticket office whose Apply is wrong whenever it gets more than one entry at
// once. Tests that send one command at a time never find this.
#include <cstdio>

#include "ringraft/sim.h"

namespace {

// "take 3" -> the number of the last ticket sold.
class TicketOffice : public ringraft::StateMachine {
 public:
  ringraft::Result<size_t> Apply(std::span<const ringraft::LogEntry> entries,
                                 ringraft::ApplyResults& results) override {
    uint64_t sold_now = 0;
    for (const ringraft::LogEntry& entry : entries) {
      const uint64_t tickets = std::stoull(std::string(entry.command.substr(5)));
      sold_now += tickets;
      results.Add(std::to_string(sold_ + tickets));  // the bug: this should be sold_ + sold_now
    }
    sold_ += sold_now;
    return entries.size();
  }
  uint64_t sold() const { return sold_; }

 private:
  uint64_t sold_ = 0;
};

// The correct answers, one call at a time.
class TicketModel : public ringraft::sim::Model {
 public:
  bool Step(std::string& state, std::string_view command, const std::string* result) const override {
    const uint64_t sold = state.empty() ? 0 : std::stoull(state);
    state = std::to_string(sold + std::stoull(std::string(command.substr(5))));
    return result == nullptr || *result == state;
  }
};

class TicketService : public ringraft::sim::Service {
 public:
  std::unique_ptr<ringraft::StateMachine> MakeMachine(ringraft::NodeId) override {
    return std::make_unique<TicketOffice>();
  }
  std::string Digest(ringraft::StateMachine& machine) override {
    return std::to_string(static_cast<TicketOffice&>(machine).sold());
  }
  std::string NextCommand(ringraft::sim::Random& random, uint64_t) override {
    return "take " + std::to_string(random.Between(1, 4));
  }
  const ringraft::sim::Model& model() const override { return model_; }

 private:
  TicketModel model_;
};

}  // namespace

int main() {
  TicketService service;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    ringraft::sim::SimOptions options;
    options.seed = seed;
    options.nodes = 3;
    options.duration = std::chrono::seconds(10);
    const ringraft::sim::Report report = ringraft::sim::Run(service, options);
    if (report.ok()) continue;
    std::puts(report.Text().c_str());
    std::printf("found with seed %lu\n", static_cast<unsigned long>(seed));
    return 0;
  }
  std::puts("not found");
  return 1;
}

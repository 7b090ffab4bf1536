#include "generated.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "checker/word_encoding.h"
#include "sim/workload_machine.h"

namespace ringraft::checker {

using sim::WorkloadMachine;
namespace {

class Generator {
 public:
  Generator(const HistoryPlan& plan, Dice& dice) : plan_(plan), dice_(dice) {}

  std::vector<Operation> Run() {
    std::vector<int64_t> free_at(plan_.clients, 0);
    for (size_t i = 0; i < plan_.operations; ++i) {
      const auto client = static_cast<uint64_t>(std::min_element(free_at.begin(), free_at.end()) - free_at.begin());
      Operation operation;
      operation.client = client;
      operation.invoked = free_at[client] + Up(plan_.longest_pause);
      operation.command = NextCommand();
      const int64_t end = operation.invoked + Up(plan_.longest_call);
      // When it takes effect.
      int64_t moment = operation.invoked + Up(end - operation.invoked);
      if (dice_.Chance(plan_.unknown_percent)) {
        if (dice_.Chance(30)) moment += Up(10 * plan_.longest_call);
        if (dice_.Chance(40)) moment = Operation::kNever;
      } else {
        operation.returned = end;
      }
      free_at[client] = end;
      moments_.emplace_back(moment, i);
      history_.push_back(operation);
    }
    std::sort(moments_.begin(), moments_.end());
    WorkloadMachine machine(plan_.workload);
    for (const auto& [moment, i] : moments_) {
      if (moment == Operation::kNever) continue;
      std::string answer = machine.Execute(history_[i].command);
      if (history_[i].returned != Operation::kNever) history_[i].result = std::move(answer);
    }
    return history_;
  }

 private:
  int64_t Up(int64_t longest) { return static_cast<int64_t>(dice_.Below(static_cast<uint64_t>(longest) + 1)); }
  std::string Value() { return std::to_string(plan_.values == 0 ? ++last_value_ : dice_.Below(plan_.values)); }

  std::string NextCommand() {
    const std::string key = fmt::format("k{}", dice_.Below(plan_.keys));
    const bool reads = dice_.Chance(plan_.read_percent);
    switch (plan_.workload) {
      case Workload::kRegisters:
        if (reads) return ReadRegister(key);
        if (dice_.Chance(30)) return CompareAndSet(key, std::to_string(dice_.Below(plan_.values + 3)), Value());
        return WriteRegister(key, Value());
      case Workload::kCounters: return AddToCounter(key, reads ? 0 : 1 + dice_.Below(3));
      case Workload::kLists: return reads ? ReadList(key) : AppendToList(key, Value());
      case Workload::kKeyValue: break;
    }
    if (reads) return JoinWords({"GET", key});
    switch (dice_.Below(10)) {
      case 0: return JoinWords({"DEL", key});
      case 1: return JoinWords({"INCR", key});
      case 2: return JoinWords({"APPEND", key, Value()});
      case 3: return JoinWords({"SET", key, Value(), "NX"});
      case 4: return JoinWords({"SET", key, Value(), "GET"});
      case 5: return JoinWords({"SET", key, Value(), "IFEQ", Value()});
      case 6: return JoinWords({"GETDEL", key});
      case 7: return JoinWords({"EXISTS", key});
      default: return JoinWords({"SET", key, Value()});
    }
  }

  const HistoryPlan& plan_;
  Dice& dice_;
  uint64_t last_value_ = 0;
  std::vector<Operation> history_;
  std::vector<std::pair<int64_t, size_t>> moments_;
};

class BruteForce {
 public:
  BruteForce(const Model& model, const std::vector<Operation>& history)
      : model_(model), history_(history), is_done_(history.size(), false) {}

  bool Search(const std::string& state) {
    bool is_complete = true;
    for (size_t i = 0; i < history_.size(); ++i) {
      if (!is_done_[i] && history_[i].returned != Operation::kNever) is_complete = false;
    }
    if (is_complete) return true;
    for (size_t i = 0; i < history_.size(); ++i) {
      if (is_done_[i] || !IsNext(i)) continue;
      std::string next = state;
      if (!model_.Step(next, history_[i].command, history_[i].result ? &*history_[i].result : nullptr)) continue;
      is_done_[i] = true;
      if (Search(next)) return true;
      is_done_[i] = false;
    }
    return false;
  }

 private:
  bool IsNext(size_t i) const {
    for (size_t j = 0; j < history_.size(); ++j) {
      if (j != i && !is_done_[j] && Precedes(j, i)) return false;
    }
    return true;
  }
  bool Precedes(size_t a, size_t b) const {
    const Operation& x = history_[a];
    const Operation& y = history_[b];
    if (x.returned < y.invoked) return true;
    return x.client == y.client && x.returned == y.invoked && a < b;
  }

  const Model& model_;
  const std::vector<Operation>& history_;
  std::vector<bool> is_done_;
};

}  // namespace

std::vector<Operation> Generate(const HistoryPlan& plan, Dice& dice) { return Generator(plan, dice).Run(); }

void Mutate(std::vector<Operation>& history, Dice& dice) {
  Operation& operation = history[dice.Below(history.size())];
  const Operation& other = history[dice.Below(history.size())];
  switch (dice.Below(5)) {
    case 0:
      if (operation.result && other.result) operation.result = other.result;
      break;
    case 1: operation.command = other.command; break;
    case 2:  // an early acknowledgment
      if (operation.returned != Operation::kNever) operation.returned = operation.invoked;
      break;
    case 3:  // an invocation too late
      if (operation.returned != Operation::kNever) operation.invoked = operation.returned;
      break;
    default:  // a stale answer
      if (operation.returned != Operation::kNever && other.returned != Operation::kNever) {
        operation.invoked = other.invoked;
        operation.returned = other.returned;
      }
  }
}

bool IsLinearizableByBruteForce(const Model& model, const std::vector<Operation>& history) {
  if (history.empty()) return true;
  return BruteForce(model, history).Search(model.Initial(model.Partition(history[0].command)));
}

}  // namespace ringraft::checker

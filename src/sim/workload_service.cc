#include "sim/workload_service.h"

#include <fmt/format.h>

#include "checker/word_encoding.h"
#include "sim/workload_machine.h"

namespace ringraft::sim {

using checker::AddToCounter;
using checker::AppendToList;
using checker::CompareAndSet;
using checker::JoinWords;
using checker::ReadList;
using checker::ReadRegister;
using checker::WriteRegister;

WorkloadService::WorkloadService(Workload workload, uint64_t keys)
    : workload_(workload), keys_(keys), model_(checker::MakeModel(workload)) {}

std::unique_ptr<StateMachine> WorkloadService::MakeMachine(NodeId) {
  return std::make_unique<WorkloadMachine>(workload_);
}

std::string WorkloadService::Digest(StateMachine& machine) { return static_cast<WorkloadMachine&>(machine).Digest(); }

// Most values are written once, so that a read identifies its write; a few small ones make compare-and-set succeed.
std::string WorkloadService::NextCommand(Random& random, uint64_t client) {
  const std::string key = fmt::format("k{}", random.Below(keys_));
  const std::string value = fmt::format("{}", next_value_++);
  const uint64_t kind = random.Below(10);
  switch (workload_) {
    case Workload::kRegisters: {
      if (kind < 4) return ReadRegister(key);
      if (kind < 7) return WriteRegister(key, random.Chance(0.3) ? fmt::format("{}", random.Below(3)) : value);
      const std::string expected = fmt::format("{}", random.Below(3));
      return CompareAndSet(key, expected, fmt::format("{}", random.Below(3)));
    }
    case Workload::kCounters:
      return AddToCounter(key, kind < 4 ? 0 : random.Between(1, 100));
    case Workload::kLists:
      return kind < 4 ? ReadList(key) : AppendToList(key, value);
    case Workload::kKeyValue:
      return NextKeyValue(random, key, value);
  }
  return ReadRegister(key);
}

std::string WorkloadService::NextKeyValue(Random& random, const std::string& key, const std::string& value) const {
  const uint64_t kind = random.Below(20);
  const std::string few = fmt::format("{}", random.Below(3));  // INCR leaves these too, so that IFEQ succeeds
  switch (kind) {
    case 0:
    case 1:
      return JoinWords({"SET", key, value});
    case 2:
      return JoinWords({"SET", key, few});
    case 3:
      return JoinWords({"SET", key, value, "NX"});
    case 4:
      return JoinWords({"SET", key, value, "XX", "GET"});
    case 5:
      return JoinWords({"SET", key, value, "IFEQ", few});
    case 6:
      return JoinWords({"SETNX", key, value});
    case 7:
    case 8:
      return JoinWords({"DEL", key});
    case 9:
      return JoinWords({"GETDEL", key});
    case 10:
    case 11:
      return JoinWords({"INCR", key});
    case 12:
      return JoinWords({"DECR", key});
    case 13:
      return JoinWords({random.Chance(0.5) ? "INCRBY" : "DECRBY", key, value});
    case 14:
      return JoinWords({"APPEND", key, value});
    case 15:
      return JoinWords({random.Chance(0.5) ? "EXISTS" : "STRLEN", key});
    default:
      return JoinWords({"GET", key});
  }
}

}  // namespace ringraft::sim

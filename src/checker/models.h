// The built-in workloads: how their commands and answers are written, and what a linearizable service answers. The
// services themselves (sim/workload_machine.h) are written independently, so that one mistake does not hide in both.
//
//   registers  "read k"        -> "nil" if it was never written, otherwise "=v"
//              "write k v"     -> "ok"
//              "cas k old new" -> "ok", or "no" if the register is not `old` (one never written equals nothing)
//   counters   "add k n"       -> the sum; n is at least 0. "add k 0" reads. "overflow" if above 2^63 - 1
//   lists      "append k v"    -> the new length
//              "read k"        -> "[a b c]"
//   kv         "GET k", "SET k v [NX|XX|IFEQ old] [GET]", "SETNX k v", "DEL k", "GETDEL k", "EXISTS k", "STRLEN k",
//              "INCR k", "INCRBY k n", "DECR k", "DECRBY k n", "APPEND k v"
//              -> the bytes of ringraft-kv's reply in the Redis protocol, version 2 or 3
//
// Words are encoded as in word_encoding.h; k is the partition. Names of kv commands and options are upper case here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "checker/search_hints.h"
#include "ringraft/sim.h"

namespace ringraft::checker {

using sim::Model;

enum class Workload { kRegisters, kCounters, kLists, kKeyValue };

// "registers", "counters", "lists", "kv".
const char* WorkloadName(Workload workload);
std::optional<Workload> WorkloadFromName(std::string_view name);

std::string ReadRegister(std::string_view key);
std::string WriteRegister(std::string_view key, std::string_view value);
std::string CompareAndSet(std::string_view key, std::string_view expected, std::string_view desired);
std::string AddToCounter(std::string_view key, uint64_t amount);
std::string AppendToList(std::string_view key, std::string_view value);
std::string ReadList(std::string_view key);

class WorkloadModel : public Model, public SearchHints {
 public:
  // Whether it is a command of this workload. Check a history with this first: for any other command the model calls
  // every answer impossible.
  virtual bool IsCommand(std::string_view command) const = 0;
  // Returns the second word.
  std::string Partition(std::string_view command) const override;
};

std::unique_ptr<WorkloadModel> MakeModel(Workload workload);

}  // namespace ringraft::checker

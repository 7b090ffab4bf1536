// The terms of the Raft paper as types: terms, indexes, node IDs, peers, log entries.
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ringraft/visibility.h"

namespace RINGRAFT_PUBLIC ringraft {

// A 64-bit number that does not convert to or from other kinds of numbers. 0 means "none".
template <class Tag>
class StrongNumber {
 public:
  constexpr StrongNumber() = default;
  explicit constexpr StrongNumber(uint64_t value) : value_(value) {}

  constexpr uint64_t value() const { return value_; }
  explicit constexpr operator bool() const { return value_ != 0; }
  constexpr auto operator<=>(const StrongNumber&) const = default;

  constexpr StrongNumber operator+(uint64_t n) const { return StrongNumber(value_ + n); }
  constexpr StrongNumber operator-(uint64_t n) const { return StrongNumber(value_ - n); }
  // The distance between two numbers. Precondition: `other` <= *this.
  constexpr uint64_t operator-(StrongNumber other) const { return value_ - other.value_; }
  constexpr StrongNumber& operator++() {
    ++value_;
    return *this;
  }

 private:
  uint64_t value_ = 0;
};

using Term = StrongNumber<struct TermTag>;      // 0 before the first election
using Index = StrongNumber<struct IndexTag>;    // the first log entry has index 1
using NodeId = StrongNumber<struct NodeIdTag>;  // at least 1, unique in a cluster
using GroupId = StrongNumber<struct GroupIdTag>;

// Deadlines and timeouts are measured on the steady clock.
using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Duration = Clock::duration;

// "host:port" or "[v6]:port". Holds any text; `Options::Validate` and `Rpc` refuse malformed addresses.
class Addr {
 public:
  Addr() = default;
  explicit Addr(std::string_view host_and_port) : text_(host_and_port) {}

  const std::string& text() const { return text_; }
  bool empty() const { return text_.empty(); }
  auto operator<=>(const Addr&) const = default;

 private:
  std::string text_;
};

// A member of the cluster: its ID and the address at which the others reach it.
struct Peer {
  Peer() = default;
  Peer(NodeId peer_id, Addr peer_addr) : id(peer_id), addr(std::move(peer_addr)) {}
  auto operator<=>(const Peer&) const = default;

  NodeId id;
  Addr addr;
};

// The numbers are part of the stored format.
enum class LogEntryType : uint8_t {
  kCommand = 1,        // applied to the state machine
  kNoop = 2,           // a leader's first entry of its term (dissertation §6.4, paper §8)
  kConfiguration = 3,  // the members from this entry on (paper §6)
};

// One log entry as its readers see it. It does not own the bytes of `command`: the function that passes the entry says
// how long they live.
struct LogEntry {
  LogEntry() = default;
  LogEntry(Index at, Term of_term, LogEntryType kind, std::string_view bytes,
           std::chrono::system_clock::time_point appended = {})
      : index(at), term(of_term), type(kind), command(bytes), append_time(appended) {}
  bool operator==(const LogEntry&) const = default;

  Index index;
  Term term;
  LogEntryType type = LogEntryType::kCommand;
  std::string_view command;
  std::chrono::system_clock::time_point append_time;  // the leader's wall clock; for display only
};

}  // namespace ringraft

template <class Tag>
struct std::hash<ringraft::StrongNumber<Tag>> {
  size_t operator()(ringraft::StrongNumber<Tag> number) const noexcept {
    return std::hash<uint64_t>()(number.value());
  }
};

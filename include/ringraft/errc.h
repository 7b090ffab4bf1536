// Everything that can go wrong, as one std::error_code category, and `Result<T>` over it.
#pragma once

#include <boost/outcome/result.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "ringraft/types.h"

namespace ringraft {

// The three answers to a proposal: success is "committed"; `kUnknown` is "unknown" (it may or may not be
// applied, now or later); every other error is "dropped" (it is certainly not in the log).
enum class Errc {
  kOk = 0,
  kRanRepeatedly,       // Run was called twice
  kStopped,             // the node has stopped, or never ran
  kNotLeader,           // Error::leader() names the leader if it is known
  kNoLeader,            // forwarding waited for a leader up to the deadline, and there was none
  kUnknown,             // in flight when leadership, the deadline or the caller was lost
  kBusy,                // a queue is at its limit: try again later
  kTooLarge,            // over a limit that waiting does not change
  kInvalidArgument,     // an option or argument is malformed: the message names it
  kConfigInProgress,    // an earlier configuration change is not finished
  kAlreadyMember,       // the peer to add is a member already
  kNotMember,           // the id to remove is no member
  kEmptyConfig,         // the change would leave no member
  kApply,               // the state machine failed or made no progress
  kIo,                  // a system call failed
  kCorrupt,             // stored or received bytes fail their checksum or make no sense
  kFull,                // disk or database map full
  kLocked,              // another process, or another node of this one, holds the data directory
  kWrongNode,           // the data directory or the peer is another node's
  kWrongCluster,        // the data directory or the peer belongs to another cluster
  kWrongVersion,        // a stored format or protocol version that this build does not speak
  kUnsupported,         // the kernel or container refuses something needed, io_uring for instance
  kUnreachable,         // no connection to the peer
  kTimedOut,            // no answer in time
  kProtocol,            // the peer sent something that no peer may send
  kTransferInProgress,  // the leader is handing its leadership over: try again, or ask the new leader
  kTransferFailed,      // the leadership was not handed over in time, or another node than the named one has it now
  kTooSlowToCatchUp,    // a new voter did not get the log in time; nothing has changed
  kConfigChanged,       // the configuration is not the one that the change was based on; nothing has changed
  kChangeAborted,       // the change was aborted while its new voters caught up; nothing has changed
  kDuplicateNode,       // another process has started from the same data directory, or from a copy of it
  // One of two nodes is of before a recovery of the cluster from a lost quorum, or they are of two recoveries or of two
  // foundings under one identity.
  kOldGeneration,
  kNoQuorum,            // a majority of the voters that a change would leave does not answer; nothing has changed
};

const std::error_category& ErrorCategory() noexcept;
std::error_code make_error_code(Errc code) noexcept;

// An `Errc` with what a person or a caller needs beside it. Cheap to copy: the details are shared and immutable.
class [[nodiscard]] Error {
 public:
  Error() = default;
  Error(Errc code) : code_(code) {}  // NOLINT(google-explicit-constructor): `return Errc::kBusy;`
  // `message` is one line that names the value, the limit and the remedy.
  Error(Errc code, std::string_view message);
  // kNotLeader with the leader, if known.
  static Error NotLeader(std::optional<Peer> leader);

  Errc code() const { return code_; }
  // The specific message if there is one, otherwise the category's.
  std::string message() const;
  // The leader as far as this node knew, for kNotLeader.
  std::optional<Peer> leader() const;

  bool operator==(Errc code) const { return code_ == code; }

 private:
  struct Details {
    std::string message;
    std::optional<Peer> leader;
  };

  Errc code_ = Errc::kOk;
  std::shared_ptr<const Details> details_;
};

inline std::error_code make_error_code(const Error& error) noexcept { return make_error_code(error.code()); }
// Boost.Outcome calls this when `value()` is asked of a failed result.
[[noreturn]] void outcome_throw_as_system_error_with_payload(const Error& error);

template <class T>
using Result = BOOST_OUTCOME_V2_NAMESPACE::basic_result<
    T, Error, BOOST_OUTCOME_V2_NAMESPACE::policy::default_policy<T, Error, void>>;

inline auto Success() { return BOOST_OUTCOME_V2_NAMESPACE::success(); }

}  // namespace ringraft

template <>
struct std::is_error_code_enum<ringraft::Errc> : std::true_type {};

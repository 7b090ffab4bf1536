// All errors of the library, as one std::error_code category, and `Result<T>` over them.
#pragma once

#include <boost/outcome/std_result.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "ringraft/types.h"
#include "ringraft/visibility.h"

namespace RINGRAFT_PUBLIC ringraft {

// A proposal has one of three outcomes: success means committed; `kUnknown` means unknown (it may be applied, now or
// later, or never); every other error means dropped (it is certainly not in the log). The numbers are part of the
// protocols (schemas/peer.capnp): new codes are added at the end.
enum class Errc {
  kOk = 0,
  kRanRepeatedly,       // `Run` was called twice
  kStopped,             // the node has stopped or is stopping, or never ran
  kNotLeader,           // Error::leader() names the leader if it is known
  kNoLeader,            // the call waited for a leader until its deadline, and none was known
  kUnknown,             // in flight when the leadership, the deadline or the caller was lost
  kBusy,                // a queue is at its limit; retry later
  kTooLarge,            // over a limit; retrying does not help
  kInvalidArgument,     // an option or argument is malformed; the message names it
  kConfigInProgress,    // an earlier configuration change is not finished
  kAlreadyMember,       // the change is already in effect: the peer is a member of this kind, or is admitted
  kNotMember,           // the change names a peer that is not a member
  kEmptyConfig,         // the change would leave no voter
  kApply,               // the state machine failed or made no progress
  kIo,                  // a system call failed
  kCorrupt,             // stored or received bytes fail their checksum or are malformed
  kFull,                // the disk or the database is full
  kLocked,              // another process, or another node of this process, uses the data directory
  kWrongNode,           // the data directory or the peer is another node's
  kWrongCluster,        // the data directory or the peer belongs to another cluster
  kWrongVersion,        // a stored format or protocol version that this build does not support
  kUnsupported,         // the kernel or container refuses something that is needed, io_uring for instance
  kUnreachable,         // no connection to the peer
  kTimedOut,            // no reply in time
  kProtocol,            // the peer has sent something that the protocol does not allow
  kTransferInProgress,  // the leader is transferring its leadership: retry, or use the new leader
  kTransferFailed,      // the leadership was not transferred in time, or another node than the named one took it
  kTooSlowToCatchUp,    // a new voter did not receive the log in time; nothing has changed
  kConfigChanged,       // the newest configuration is not the one that the change is based on; nothing has changed
  kChangeAborted,       // the change was aborted while its new voters caught up; nothing has changed
  kDuplicateNode,       // another process has started from the same data directory, or from a copy of it
  kOldGeneration,       // the two nodes are of different generations of the cluster; see Generation in rpc.h
  kNoQuorum,            // a majority of the voters that the change would leave does not reply; nothing has changed
};

const std::error_category& ErrorCategory() noexcept;
std::error_code make_error_code(Errc code) noexcept;

// An `Errc` with a message for people and, for kNotLeader, the leader. Cheap to copy: the details are shared and
// immutable. Any thread.
class [[nodiscard]] Error {
 public:
  Error() = default;
  Error(Errc code) : code_(code) {}  // NOLINT(google-explicit-constructor): `return Errc::kBusy;`
  // `message` is one line: what is wrong with which value, what is accepted, what to do.
  Error(Errc code, std::string_view message);
  // kNotLeader, with the leader if it is known.
  static Error NotLeader(std::optional<Peer> leader);

  Errc code() const { return code_; }
  // The specific message if there is one, otherwise that of the code.
  std::string message() const;
  // For kNotLeader: the leader, if the node knew it.
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
// Called by Boost.Outcome when `value()` is called on a failed result: throws std::system_error.
[[noreturn]] void outcome_throw_as_system_error_with_payload(const Error& error);

template <class T>
using Result = BOOST_OUTCOME_V2_NAMESPACE::basic_result<
    T, Error, BOOST_OUTCOME_V2_NAMESPACE::policy::default_policy<T, Error, void>>;

inline auto Success() { return BOOST_OUTCOME_V2_NAMESPACE::success(); }

}  // namespace ringraft

template <>
struct std::is_error_code_enum<ringraft::Errc> : std::true_type {};

#include "ringraft/errc.h"

#include "base/format.h"

namespace ringraft {
namespace {

class Category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "ringraft"; }
  std::string message(int value) const override {
    switch (static_cast<Errc>(value)) {
      case Errc::kOk:
        return "success";
      case Errc::kRanRepeatedly:
        return "it has been run already; create a new one";
      case Errc::kStopped:
        return "the node has stopped";
      case Errc::kNotLeader:
        return "this node is not the leader";
      case Errc::kNoLeader:
        return "no leader was known before the deadline";
      case Errc::kUnknown:
        return "the outcome is unknown: the request may take effect now, later or never";
      case Errc::kBusy:
        return "a queue is full; retry later";
      case Errc::kTooLarge:
        return "over a size limit";
      case Errc::kInvalidArgument:
        return "invalid argument";
      case Errc::kConfigInProgress:
        return "an earlier configuration change is not finished; retry later";
      case Errc::kAlreadyMember:
        return "the peer is a member already";
      case Errc::kNotMember:
        return "the peer is not a member";
      case Errc::kEmptyConfig:
        return "the change would leave no voter";
      case Errc::kApply:
        return "the state machine failed to apply an entry";
      case Errc::kIo:
        return "a system call failed";
      case Errc::kCorrupt:
        return "corrupt data";
      case Errc::kFull:
        return "no space left";
      case Errc::kLocked:
        return "the data directory is in use";
      case Errc::kWrongNode:
        return "belongs to another node";
      case Errc::kWrongCluster:
        return "belongs to another cluster";
      case Errc::kWrongVersion:
        return "a format or protocol version that this build does not support";
      case Errc::kUnsupported:
        return "not supported here";
      case Errc::kUnreachable:
        return "the peer cannot be reached";
      case Errc::kTimedOut:
        return "no reply in time";
      case Errc::kProtocol:
        return "the peer violated the protocol";
      case Errc::kTransferInProgress:
        return "leadership is being transferred; retry, or use the new leader";
      case Errc::kTransferFailed:
        return "leadership was not transferred";
      case Errc::kTooSlowToCatchUp:
        return "a new voter did not catch up in time";
      case Errc::kConfigChanged:
        return "the configuration has changed since; read the new one and decide again";
      case Errc::kChangeAborted:
        return "the configuration change was aborted";
      case Errc::kDuplicateNode:
        return "another process has started from this node's data directory, or from a copy of it";
      case Errc::kOldGeneration:
        return "another generation of the cluster; empty the data directory of the node that must go, and add it again";
      case Errc::kNoQuorum:
        return "a majority of the voters that the change would leave does not reply";
    }
    return "unknown ringraft error " + std::to_string(value);
  }
};

}  // namespace

const std::error_category& ErrorCategory() noexcept {
  static const Category category;
  return category;
}

std::error_code make_error_code(Errc code) noexcept { return std::error_code(static_cast<int>(code), ErrorCategory()); }

Error::Error(Errc code, std::string_view message)
    : code_(code), details_(std::make_shared<const Details>(Details{std::string(message), std::nullopt})) {}

Error Error::NotLeader(std::optional<Peer> leader) {
  Error error(Errc::kNotLeader);
  if (!leader) return error;
  std::string message =
      fmt::format("this node is not the leader; the leader is node {} at {}", leader->id, leader->addr);
  error.details_ = std::make_shared<const Details>(Details{std::move(message), std::move(leader)});
  return error;
}

std::string Error::message() const {
  if (details_ != nullptr && !details_->message.empty()) return details_->message;
  return ErrorCategory().message(static_cast<int>(code_));
}

std::optional<Peer> Error::leader() const { return details_ != nullptr ? details_->leader : std::nullopt; }

void outcome_throw_as_system_error_with_payload(const Error& error) {
  throw std::system_error(make_error_code(error.code()), error.message());
}

}  // namespace ringraft

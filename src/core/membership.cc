// Configuration changes by joint consensus: §4.3; paper, section 6.
#include <string>
#include <utility>

#include "base/assert.h"
#include "core/state.h"

namespace ringraft::core {

// A server uses the newest configuration in its log at once, committed or not (§4.1, C2).
void Core::State::AppendConfigurations(const BatchRef& batch) {
  for (const LogEntry& entry : batch) {
    if (entry.type != LogEntryType::kConfiguration) continue;
    auto configuration = Configuration::Decode(entry.command);
    RINGRAFT_ASSERT(configuration.has_value());  // checked before it got here
    configurations.Append(entry.index, std::move(configuration.value()));
  }
  UpdatePeers();
}

Error Core::State::WhyNoChange() const {
  const Leadership* leading = leadership();
  if (leading == nullptr) {
    const Peer* known = LeaderPeer();
    return Error::NotLeader(known != nullptr ? std::optional<Peer>(*known) : std::nullopt);
  }
  if (configuration().is_joint() || configurations.newest_index() > commit_index) {
    return Error(Errc::kConfigInProgress, "the configuration at index " +
                                              std::to_string(configurations.newest_index().value()) +
                                              " is not complete and committed yet: try again when it is");
  }
  if (leading->transfer)
    return Error(Errc::kTransferInProgress, "the leadership is being handed over to node " +
                                                std::to_string(leading->transfer->to.value()) +
                                                ": try again with the new leader");
  // Ongaro 2015 (C1): before an entry of its own term is committed, a leader does not know which configuration is.
  if (commit_index < leading->first_index) {
    return Error(Errc::kConfigInProgress, "the leader has not committed an entry of term " +
                                              std::to_string(term.value()) + " yet: try again when it has");
  }
  return Error();
}

Result<ConfigTicket> Core::ProposeConfig(std::span<const Peer> added, std::span<const NodeId> removed,
                                         int64_t append_time_ns) {
  State& s = *state_;
  Error obstacle = s.WhyNoChange();
  if (obstacle.code() != Errc::kOk) return obstacle;
  auto joint = s.configuration().Joint(added, removed);
  if (!joint) return joint.error();
  return s.AppendConfiguration(joint.value(), append_time_ns);
}

ConfigTicket Core::State::AppendConfiguration(const Configuration& configuration, int64_t append_time_ns) {
  BatchBuilder builder;
  builder.Add(LogEntryType::kConfiguration, configuration.Encode());
  BatchRef batch = AppendOwn(builder, append_time_ns);
  return ConfigTicket{term, batch.first()};
}

void Core::State::OnCommittedAsLeader() {
  // Once an entry of this term is committed, so is everything before it: also a joint configuration that was inherited.
  if (commit_index < leadership()->first_index || configurations.newest_index() > commit_index) return;
  if (configuration().is_joint()) {
    // §4.3: with C(old,new) committed it is safe to go on to C(new).
    Configuration target;
    target.voters = configuration().voters;
    AppendConfiguration(target, AppendTimeNow());
  } else if (!configuration().Contains(options.self)) {
    // §4.2.2, C6: a removed leader leads until C(new) is committed, without counting itself, and then steps down.
    BecomeFollower(term, NodeId(0));
  }
}

ConfigProgress Core::CheckConfig(const ConfigTicket& ticket) const {
  const State& s = *state_;
  if (s.history.TermAt(ticket.joint_index) != ticket.term) return ConfigProgress::kLost;  // overwritten
  // The change is done when the configuration behind the joint one is committed, whoever appended it.
  const ConfigurationHistory::Entry* target = s.configurations.FirstAfter(ticket.joint_index);
  if (target != nullptr && target->index <= s.commit_index) return ConfigProgress::kDone;
  const bool still_leads = s.leadership() != nullptr && s.term == ticket.term;
  return still_leads ? ConfigProgress::kPending : ConfigProgress::kLost;
}

}  // namespace ringraft::core

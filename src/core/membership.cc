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

void Core::Bootstrap(const Configuration& members) {
  State& s = *state_;
  RINGRAFT_ASSERT(s.last_index() == Index(0));
  RINGRAFT_ASSERT(!members.empty());
  if (s.term == Term(0)) s.BecomeFollower(Term(1), NodeId(0));
  s.AppendToLog(BootstrapBatch(members, s.options.group));
  s.ResetElectionTimer();
}

WriteNumber Core::NextWriteNumber() {
  state_->PersistHardState();
  return state_->persistence.HardStateGate();
}

Error Core::State::NotLeader() const {
  const Peer* known = LeaderPeer();
  return Error::NotLeader(known != nullptr ? std::optional<Peer>(*known) : std::nullopt);
}

Error Core::State::WhyNoChange() const {
  const Leadership* leading = leadership();
  if (leading == nullptr) return NotLeader();
  if (leading->catch_up) {
    return Error(Errc::kConfigInProgress, "the new voters of another change catch up, in round " +
                                              std::to_string(leading->catch_up->round) +
                                              ": try again later, or abort that change");
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

// A member that is there with the data directory that counts needs none.
Error Core::State::WhyNoReadmission(const ConfigChange& change, const Configuration& next) const {
  for (const ConfigChange::Step& step : change.steps()) {
    if (step.kind != ConfigChange::StepKind::kReadmit) continue;
    const NodeId id = step.peer.id;
    if (id != options.self && next.Find(id)->addr != configuration().Find(id)->addr) continue;  // it is elsewhere now
    const uint64_t answers = id == options.self ? options.incarnation : leadership()->peers.at(id).incarnation;
    const bool is_there = id == options.self || (answers != 0 && configuration().IsOf(id, answers));
    if (is_there) {
      return Error(Errc::kAlreadyMember, "peer " + std::to_string(id.value()) +
                                             " runs with the data directory that is a member: nothing to readmit");
    }
  }
  return Error();
}

// C(old,new) counts when it is appended: where no majority of C(new) answers, it would depose its leader and let nobody
// be elected, though the majority of C(old) is well.
Error Core::State::WhyNoMajority(const Configuration& next) const {
  if (!next.is_joint()) return Error();
  size_t answering = 0;
  std::string silent;
  for (const Member& voter : next.voters) {
    const auto known = leadership()->peers.find(voter.id);
    // Who begins to count only then is waited for first, unless the options say not to.
    const Member* member = configuration().Find(voter.id);
    const bool is_new = known == leadership()->peers.end() || !configuration().IsVoter(voter.id) ||
                        member->incarnation != voter.incarnation;
    // In the first moments of a leadership nobody has said yet from which directory.
    const bool answers =
        voter.id == options.self || is_new ||
        (now - known->second.contact < options.election_timeout_max &&
         (known->second.incarnation == 0 || voter.IsOf(known->second.incarnation)));
    if (answers) {
      ++answering;
    } else {
      silent += (silent.empty() ? "" : ", ") + std::to_string(voter.id.value());
    }
  }
  if (answering > next.voters.size() / 2) return Error();
  return Error(Errc::kNoQuorum, "only " + std::to_string(answering) + " of the " + std::to_string(next.voters.size()) +
                                    " voters that the change would leave answer with the data directory that is the "
                                    "member, and a majority is needed; silent: " + silent +
                                    ": bring them back, or replace them in the same change");
}

// Whose disks the new members have, as far as they have answered.
void Core::State::FillDirectories(Configuration& next) const {
  for (std::vector<Member>* members : {&next.voters, &next.learners}) {
    for (Member& member : *members) {
      if (member.incarnation != 0) continue;
      auto known = leadership()->peers.find(member.id);
      if (member.id == options.self) {
        member.incarnation = options.incarnation;
      } else if (known != leadership()->peers.end()) {
        member.incarnation = known->second.incarnation;
      }
    }
  }
}

Result<ConfigTicket> Core::ProposeConfig(const ConfigChange& change) {
  State& s = *state_;
  if (Error obstacle = s.WhyNoChange(); obstacle.code() != Errc::kOk) return obstacle;
  const Index newest = s.configurations.newest_index();
  if (change.based_on().value_or(newest) != newest) {
    return Error(Errc::kConfigChanged, "the change is based on the configuration at index " +
                                           std::to_string(change.based_on()->value()) +
                                           ", but the newest one is at index " + std::to_string(newest.value()) +
                                           ": look at that one, and decide anew");
  }
  auto next = s.configuration().Changed(change);
  if (!next) return next.error();
  if (Error reason = s.WhyNoReadmission(change, next.value()); reason.code() != Errc::kOk) return reason;
  auto state = std::make_shared<ConfigChangeState>();
  state->term = s.term;
  std::vector<Peer> new_voters;
  for (const Member& voter : next.value().voters) {
    const Member* known = s.configuration().Find(voter.id);
    const bool comes_back = known != nullptr && known->incarnation != voter.incarnation;
    if (!s.configuration().IsNewVoter(voter.id) || comes_back) new_voters.push_back(voter);
  }
  if (Error reason = s.WhyNoMajority(next.value()); reason.code() != Errc::kOk) return reason;
  if (new_voters.empty() || s.options.catch_up_rounds == 0) {
    s.FillDirectories(next.value());
    s.AppendConfiguration(next.value(), *state);
  } else {
    s.leadership()->catch_up = CatchUp{std::move(next.value()), std::move(new_voters), state, 1, s.last_index(), s.now};
    s.UpdatePeers();
    s.FollowCatchUp();
  }
  return ConfigTicket(std::move(state));
}

void Core::State::AppendConfiguration(const Configuration& configuration, ConfigChangeState& state) {
  BatchBuilder builder;
  builder.Add(LogEntryType::kConfiguration, configuration.Encode());
  state.is_joint = configuration.is_joint();
  state.index = AppendOwn(builder, AppendTimeNow()).first();
}

void Core::State::OnCommittedAsLeader() {
  // Once an entry of this term is committed, so is everything before it: also a joint configuration that was inherited.
  if (commit_index < leadership()->first_index || configurations.newest_index() > commit_index) return;
  if (configuration().is_joint()) {
    // §4.3: with C(old,new) committed it is safe to go on to C(new).
    ConfigChangeState target;
    AppendConfiguration(configuration().Target(), target);
  } else if (IsToLeave()) {
    Leave();
  }
}

bool Core::State::IsToLeave() const {
  return !configuration().is_joint() && configurations.newest_index() <= commit_index &&
         !configuration().IsNewVoter(options.self);
}

// §4.2.2, C6: a leader that is removed, or made a learner, leads until C(new) is committed, without counting itself.
// Then it hands the leadership over, so that this costs no election time-out, and steps down.
void Core::State::Leave() {
  Leadership* leading = leadership();
  if (leading->transfer) return;  // it ends with that, or with its deadline
  const NodeId to = FindSuccessor();
  if (!to) return BecomeFollower(term, NodeId(0));
  BeginTransfer(to, now + options.election_timeout_max);
}

ConfigProgress Core::CheckConfig(const ConfigTicket& ticket) const {
  const State& s = *state_;
  if (ticket->refusal.code() != Errc::kOk) return ConfigProgress::kRefused;
  if (ticket->index == Index(0)) return ConfigProgress::kCatchingUp;
  if (s.history.TermAt(ticket->index) != ticket->term) return ConfigProgress::kLost;  // overwritten
  // The change is done when the configuration behind the joint one is committed, whoever appended it.
  const ConfigurationHistory::Entry* target =
      s.configurations.FirstAfter(ticket->is_joint ? ticket->index : ticket->index - 1);
  if (target != nullptr && target->index <= s.commit_index) return ConfigProgress::kDone;
  const bool still_leads = s.leadership() != nullptr && s.term == ticket->term;
  return still_leads ? ConfigProgress::kPending : ConfigProgress::kLost;
}

}  // namespace ringraft::core

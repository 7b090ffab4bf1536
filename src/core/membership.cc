// Configuration changes by joint consensus: §4.3; paper, section 6.
#include <string>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/try.h"
#include "core/state.h"

namespace ringraft::core {

// A server uses the newest configuration in its log at once, committed or not (§4.1; hazard C2 in tests/CATALOGUE.md:
// quorum size and peers updated at different moments).
void Core::State::AppendConfigurations(const BatchRef& batch) {
  for (const LogEntry& entry : batch) {
    if (entry.type != LogEntryType::kConfiguration) continue;
    auto configuration = Configuration::Decode(entry.command);
    RINGRAFT_ASSERT(configuration.has_value());  // checked before it was appended
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
    return Error(Errc::kConfigInProgress,
                 fmt::format("the new voters of another change are catching up, in round {}: retry later, or abort "
                             "that change",
                             leading->catch_up->round));
  }
  if (configuration().is_joint() || configurations.newest_index() > commit_index) {
    return Error(Errc::kConfigInProgress,
                 fmt::format("the configuration at index {} is not complete and committed yet: retry when it is",
                             configurations.newest_index()));
  }
  if (leading->transfer)
    return Error(Errc::kTransferInProgress,
                 fmt::format("leadership is being transferred to node {}: retry with the new leader",
                             leading->transfer->to));
  // Ongaro 2015 (hazard C1): until an entry of its own term is committed, a leader does not know which configuration
  // is.
  if (commit_index < leading->first_index) {
    return Error(Errc::kConfigInProgress,
                 fmt::format("the leader has not committed an entry of term {} yet: retry when it has", term));
  }
  return Error();
}

// A member that runs with its data directory needs no readmission.
Error Core::State::WhyNoReadmission(const ConfigChange& change, const Configuration& next) const {
  for (const ConfigChange::Step& step : change.steps()) {
    if (step.kind != ConfigChange::StepKind::kReadmit) continue;
    const NodeId id = step.peer.id;
    if (id != options.self && next.Find(id)->addr != configuration().Find(id)->addr) continue;  // it moves
    const uint64_t answers = id == options.self ? options.incarnation : leadership()->peers.at(id).incarnation;
    const bool is_there = id == options.self || (answers != 0 && configuration().IsOf(id, answers));
    if (is_there)
      return Error(Errc::kAlreadyMember,
                   fmt::format("peer {} runs with the member's data directory: nothing to readmit", id));
  }
  return Error();
}

// C(old,new) is in effect when it is appended: if no majority of C(new) is reachable, its leader steps down and no
// other can be elected, although a majority of C(old) is reachable.
Error Core::State::WhyNoMajority(const Configuration& next) const {
  if (!next.is_joint()) return Error();
  size_t answering = 0;
  std::string silent;
  for (const Member& voter : next.voters) {
    const auto known = leadership()->peers.find(voter.id);
    // Voters that are new in C(new) catch up first, unless the options disable that.
    const Member* member = configuration().Find(voter.id);
    const bool is_new = known == leadership()->peers.end() || !configuration().IsVoter(voter.id) ||
                        member->incarnation != voter.incarnation;
    // At the start of a leadership the directories of the peers are not known yet.
    const bool answers =
        voter.id == options.self || is_new ||
        (now - known->second.contact < options.election_timeout_max &&
         (known->second.incarnation == 0 || voter.IsOf(known->second.incarnation)));
    if (answers) {
      ++answering;
    } else {
      silent += fmt::format("{}{}", silent.empty() ? "" : ", ", voter.id);
    }
  }
  if (answering > next.voters.size() / 2) return Error();
  return Error(Errc::kNoQuorum,
               fmt::format("a majority of the voters that the change would leave must reply with the member's data "
                           "directory: {} of {} do (silent: {}); start the silent ones, or replace them in the same "
                           "change",
                           answering, next.voters.size(), silent));
}

// Sets the data directories of new members that have replied.
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
    return Error(Errc::kConfigChanged,
                 fmt::format("the change is based on the configuration at index {}, and the newest one is at index {}: "
                             "read that one and decide again",
                             *change.based_on(), newest));
  }
  RINGRAFT_TRY(next, s.configuration().Changed(change));
  if (Error reason = s.WhyNoReadmission(change, next); reason.code() != Errc::kOk) return reason;
  auto state = std::make_shared<ConfigChangeState>();
  state->term = s.term;
  std::vector<Peer> new_voters;
  for (const Member& voter : next.voters) {
    const Member* known = s.configuration().Find(voter.id);
    const bool comes_back = known != nullptr && known->incarnation != voter.incarnation;
    if (!s.configuration().IsNewVoter(voter.id) || comes_back) new_voters.push_back(voter);
  }
  if (Error reason = s.WhyNoMajority(next); reason.code() != Errc::kOk) return reason;
  if (new_voters.empty() || s.options.catch_up_rounds == 0) {
    s.FillDirectories(next);
    s.AppendConfiguration(next, *state);
  } else {
    s.leadership()->catch_up = CatchUp{std::move(next), std::move(new_voters), state, 1, s.last_index(), s.now};
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
  // With an entry of this term everything before it is committed, an inherited joint configuration included.
  if (commit_index < leadership()->first_index || configurations.newest_index() > commit_index) return;
  if (configuration().is_joint()) {
    // §4.3: once C(old,new) is committed, C(new) is safe.
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

// §4.2.2, C6: a leader that is removed, or made a learner, remains leader until C(new) is committed, without counting
// itself. Then it transfers leadership, so that this costs no election timeout, and steps down.
void Core::State::Leave() {
  Leadership* leading = leadership();
  if (leading->transfer) return;  // it leaves when that ends
  const NodeId to = FindSuccessor();
  if (!to) return BecomeFollower(term, NodeId(0));
  BeginTransfer(to, now + options.election_timeout_max);
}

ConfigProgress Core::CheckConfig(const ConfigTicket& ticket) const {
  const State& s = *state_;
  if (ticket->refusal.code() != Errc::kOk) return ConfigProgress::kRefused;
  if (ticket->index == Index(0)) return ConfigProgress::kCatchingUp;
  if (s.history.TermAt(ticket->index) != ticket->term) return ConfigProgress::kLost;  // overwritten
  // The change is done when the configuration after the joint one is committed, whichever leader appended it.
  const ConfigurationHistory::Entry* target =
      s.configurations.FirstAfter(ticket->is_joint ? ticket->index : ticket->index - 1);
  if (target != nullptr && target->index <= s.commit_index) return ConfigProgress::kDone;
  const bool still_leads = s.leadership() != nullptr && s.term == ticket->term;
  return still_leads ? ConfigProgress::kPending : ConfigProgress::kLost;
}

}  // namespace ringraft::core

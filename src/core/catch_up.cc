// New voters receive the log before they count, so that commits do not wait for them: §4.2.1.
#include <algorithm>
#include <string>

#include "base/assert.h"
#include "base/duration.h"
#include "base/format.h"
#include "core/state.h"

namespace ringraft::core {
namespace {

// "peer 4 at 10.0.0.4:7101 WHY": a refusal of a change because of one of its new voters.
Error Refusal(Errc code, const Peer& peer, std::string_view why) {
  return Error(code, fmt::format("peer {} at {} {}", peer.id, peer.addr, why));
}

}  // namespace

// A round ends when all new voters have the log up to its last index at the start of the round. After a short round so
// little is left that commits can wait for it.
void Core::State::FollowCatchUp() {
  Leadership* leading = leadership();
  if (leading == nullptr || !leading->catch_up || leading->transfer) return;
  CatchUp& catch_up = *leading->catch_up;
  auto has_target = [&](const Peer& peer) { return leading->peers.at(peer.id).match >= catch_up.target; };
  if (Error unfit = WhyUnfit(catch_up); unfit.code() != Errc::kOk) return EndCatchUp(std::move(unfit));
  while (std::all_of(catch_up.voters.begin(), catch_up.voters.end(), has_target)) {
    if (now - catch_up.began < options.election_timeout_min) return BeginChange();
    if (catch_up.round == options.catch_up_rounds) return RefuseSlowVoters();
    ++catch_up.round;
    catch_up.target = last_index();
    catch_up.began = now;
  }
}

// A new voter may run with a data directory that the change is not about.
Error Core::State::WhyUnfit(const CatchUp& catch_up) const {
  for (const Peer& peer : catch_up.voters) {
    const Progress& progress = leadership()->peers.at(peer.id);
    if (progress.incarnation == 0) continue;  // it has not replied
    const bool is_to_be_witness = catch_up.next.IsWitness(peer.id);
    if (is_to_be_witness != progress.is_witness_directory) {
      return Refusal(Errc::kInvalidArgument, peer,
                     is_to_be_witness
                         ? "runs with a data directory for commands: start it as a witness, on an empty one"
                         : "runs with the data directory of a witness: start it as a full member, on an empty one");
    }
    if (!catch_up.next.Find(peer.id)->IsOf(progress.incarnation))
      return Refusal(Errc::kInvalidArgument, peer,
                     "runs with another data directory than the member's: readmit it first");
    const Member* known = configuration().Find(peer.id);
    if (configuration().IsNewVoter(peer.id) && known->IsOf(progress.incarnation))
      return Refusal(Errc::kAlreadyMember, peer, "runs with the member's data directory: nothing to readmit");
  }
  return Error();
}

void Core::State::BeginChange() {
  // Voters that were reachable when the change was requested may be silent by now.
  if (Error reason = WhyNoMajority(leadership()->catch_up->next); reason.code() != Errc::kOk)
    return EndCatchUp(std::move(reason));
  CatchUp done = std::move(*leadership()->catch_up);
  FillDirectories(done.next);
  leadership()->catch_up.reset();
  AppendConfiguration(done.next, *done.state);
}

void Core::State::EndCatchUp(Error why) {
  Leadership* leading = leadership();
  RINGRAFT_ASSERT(leading != nullptr && leading->catch_up);
  leading->catch_up->state->refusal = std::move(why);
  leading->catch_up.reset();
  UpdatePeers();
}

bool Core::State::CatchesUp(NodeId id) const {
  if (leadership() == nullptr || !leadership()->catch_up) return false;
  const std::vector<Peer>& voters = leadership()->catch_up->voters;
  return std::any_of(voters.begin(), voters.end(), [id](const Peer& peer) { return peer.id == id; });
}

std::vector<Peer> Core::State::MembersAndJoining() const {
  std::vector<Peer> peers = configuration().Members();
  if (leadership() == nullptr || !leadership()->catch_up) return peers;
  for (const Peer& peer : leadership()->catch_up->voters) {
    // A member that moves with the change is contacted at its new address already.
    std::erase_if(peers, [&](const Peer& member) { return member.id == peer.id; });
    peers.push_back(peer);
  }
  std::sort(peers.begin(), peers.end(), [](const Peer& a, const Peer& b) { return a.id < b.id; });
  return peers;
}

TimePoint Core::State::SilenceDeadline() const {
  const Leadership* leading = leadership();
  if (leading == nullptr || !leading->catch_up) return TimePoint::max();
  TimePoint first = TimePoint::max();
  for (const Peer& peer : leading->catch_up->voters) first = std::min(first, leading->peers.at(peer.id).contact);
  return first + options.election_timeout_max * options.catch_up_rounds;
}

void Core::State::RefuseSlowVoters() {
  const std::map<NodeId, Progress>& peers = leadership()->peers;
  const std::vector<Peer>& voters = leadership()->catch_up->voters;
  const Peer& slowest = *std::min_element(voters.begin(), voters.end(), [&](const Peer& a, const Peer& b) {
    return peers.at(a.id).match < peers.at(b.id).match;
  });
  EndCatchUp(Refusal(Errc::kTooSlowToCatchUp, slowest,
                     fmt::format("does not catch up: round {} still took longer than an election timeout; check its "
                                 "disk and its network, or write less",
                                 leadership()->catch_up->round)));
}

void Core::State::RefuseSilentVoters() {
  const std::map<NodeId, Progress>& peers = leadership()->peers;
  const std::vector<Peer>& voters = leadership()->catch_up->voters;
  const Peer& silent = *std::min_element(voters.begin(), voters.end(), [&](const Peer& a, const Peer& b) {
    return peers.at(a.id).contact < peers.at(b.id).contact;
  });
  const auto ms = Milliseconds(now - peers.at(silent.id).contact);
  EndCatchUp(Refusal(Errc::kTooSlowToCatchUp, silent,
                     fmt::format("has not replied for {} ms: start it, and check that this address reaches it", ms)));
}

Result<void> Core::AbortConfig(Error why) {
  State& s = *state_;
  if (s.leadership() == nullptr) return s.NotLeader();
  if (s.leadership()->catch_up) {
    s.EndCatchUp(std::move(why));
    return Success();
  }
  if (!s.configuration().is_joint() && s.configurations.newest_index() <= s.commit_index) return Success();
  return Error(Errc::kConfigInProgress,
               fmt::format("the change at index {} is in the log and cannot be aborted: wait until it is done, then "
                           "revert it with another change",
                           s.configurations.newest_index()));
}

}  // namespace ringraft::core

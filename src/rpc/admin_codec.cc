#include "rpc/admin_codec.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/format.h"
#include "base/try.h"
#include "rpc/wire.h"

namespace ringraft::rpc {
namespace {

using StepKind = ConfigChange::StepKind;

constexpr const char* kMalformed = "a message has invalid pointers; upgrade the older of node and tool";
static_assert(static_cast<int>(schema::MemberKind::VOTER) == static_cast<int>(MemberKind::kVoter) &&
              static_cast<int>(schema::MemberKind::LEARNER) == static_cast<int>(MemberKind::kLearner) &&
              static_cast<int>(schema::MemberKind::WITNESS) == static_cast<int>(MemberKind::kWitness));
static_assert(static_cast<int>(schema::Role::FOLLOWER) == static_cast<int>(Role::kFollower) &&
              static_cast<int>(schema::Role::PRE_CANDIDATE) == static_cast<int>(Role::kPreCandidate) &&
              static_cast<int>(schema::Role::CANDIDATE) == static_cast<int>(Role::kCandidate) &&
              static_cast<int>(schema::Role::LEADER) == static_cast<int>(Role::kLeader));

constexpr uint64_t kStepWords = 6, kMemberWords = 16, kStatusWords = 37;

// `what` is the unit and the thing: "bytes of an address".
Result<void> CheckSize(const char* what, size_t size, size_t limit) {
  if (size <= limit) return Success();
  return Error(Errc::kInvalidArgument,
               fmt::format("{} {} exceed the limit of {}; use fewer, or upgrade the older of node and tool", size, what,
                           limit));
}

// Kinds of a later version keep their numbers, up to 255.
template <class To, class From>
To ToKind(From from) {
  return static_cast<To>(std::min<uint16_t>(static_cast<uint16_t>(from), UINT8_MAX));
}

uint64_t ToNanoseconds(Duration duration) {
  return duration > Duration::zero() ? static_cast<uint64_t>(std::chrono::nanoseconds(duration).count()) : 0;
}
Duration FromNanoseconds(uint64_t count) {
  return std::chrono::nanoseconds(static_cast<int64_t>(std::min<uint64_t>(count, INT64_MAX)));
}

schema::StepKind ToWire(StepKind kind) {
  switch (kind) {
    case StepKind::kAddVoter:
      return schema::StepKind::ADD_VOTER;
    case StepKind::kAddLearner:
      return schema::StepKind::ADD_LEARNER;
    case StepKind::kRemove:
      return schema::StepKind::REMOVE;
    case StepKind::kPromote:
      return schema::StepKind::PROMOTE;
    case StepKind::kDemote:
      return schema::StepKind::DEMOTE;
    case StepKind::kSetAddr:
      return schema::StepKind::SET_ADDR;
    case StepKind::kSetData:
      return schema::StepKind::SET_DATA;
    case StepKind::kAddWitness:
      return schema::StepKind::ADD_WITNESS;
    case StepKind::kReadmit:
      return schema::StepKind::READMIT;
  }
  return schema::StepKind::REMOVE;
}

Result<void> AddStep(schema::Step::Reader from, size_t position, ConfigChange& to) {
  const NodeId id(from.getId());
  const auto addr = from.getAddr();
  const auto data = from.getData();
  RINGRAFT_TRYV(CheckSize("bytes of an address", addr.size(), kMaxAdminAddrBytes));
  RINGRAFT_TRYV(CheckSize("bytes of a member's data", data.size(), kMaxAdminDataBytes));
  switch (from.getKind()) {
    case schema::StepKind::ADD_VOTER:
      to.AddVoter(Peer(id, Addr(ToView(addr))));
      return Success();
    case schema::StepKind::ADD_LEARNER:
      to.AddLearner(Peer(id, Addr(ToView(addr))));
      return Success();
    case schema::StepKind::REMOVE:
      to.Remove(id);
      return Success();
    case schema::StepKind::PROMOTE:
      to.Promote(id);
      return Success();
    case schema::StepKind::DEMOTE:
      to.Demote(id);
      return Success();
    case schema::StepKind::SET_ADDR:
      to.SetAddr(id, Addr(ToView(addr)));
      return Success();
    case schema::StepKind::SET_DATA:
      to.SetData(id, std::string(ToView(data)));
      return Success();
    case schema::StepKind::ADD_WITNESS:
      to.AddWitness(Peer(id, Addr(ToView(addr))));
      return Success();
    case schema::StepKind::READMIT:
      to.Readmit(id);
      return Success();
  }
  return Error(Errc::kUnsupported,
               fmt::format("step {} of the change, about node {}, has the unknown kind {}; upgrade this node, or use a "
                           "tool of its version",
                           position, id, static_cast<uint16_t>(from.getKind())));
}

void EncodeMember(const PeerStatus& member, schema::MemberStatus::Builder to) {
  to.setId(member.peer.id.value());
  to.setAddr(ToText(member.peer.addr.text()));
  to.setKind(static_cast<schema::MemberKind>(member.kind));
  to.setIsSelf(member.is_self);
  to.setIsCatchingUp(member.is_catching_up);
  to.setIsReachable(member.is_reachable);
  to.setIncarnation(member.incarnation);
  to.setNeedsReadmission(member.needs_readmission);
  to.setData(ToData(member.data));
  to.setMatchIndex(member.match_index.value());
  to.setLagEntries(member.lag_entries);
  to.setLagBytes(member.lag_bytes);
  to.setLagNanoseconds(ToNanoseconds(member.lag_time));
  to.setContactNanoseconds(ToNanoseconds(member.last_contact));
  to.setInflightBytes(member.inflight_bytes);
}

Result<PeerStatus> DecodeMember(schema::MemberStatus::Reader from) {
  PeerStatus member;
  const auto addr = from.getAddr();
  const auto data = from.getData();
  RINGRAFT_TRYV(CheckSize("bytes of an address", addr.size(), kMaxAdminAddrBytes));
  RINGRAFT_TRYV(CheckSize("bytes of a member's data", data.size(), kMaxAdminDataBytes));
  member.peer = Peer(NodeId(from.getId()), Addr(ToView(addr)));
  member.kind = ToKind<MemberKind>(from.getKind());
  member.is_self = from.getIsSelf();
  member.is_catching_up = from.getIsCatchingUp();
  member.is_reachable = from.getIsReachable();
  member.incarnation = from.getIncarnation();
  member.needs_readmission = from.getNeedsReadmission();
  member.data = ToView(data);
  member.match_index = Index(from.getMatchIndex());
  member.lag_entries = from.getLagEntries();
  member.lag_bytes = from.getLagBytes();
  member.lag_time = FromNanoseconds(from.getLagNanoseconds());
  member.last_contact = FromNanoseconds(from.getContactNanoseconds());
  member.inflight_bytes = from.getInflightBytes();
  return member;
}

}  // namespace

void Encode(const AdminHello& hello, schema::AdminHello::Builder to) {
  to.setVersion(hello.version);
  if (hello.group) to.getGroup().setId(hello.group->value());
}

Result<AdminHello> Decode(schema::AdminHello::Reader from) {
  return Guard<AdminHello>(kMalformed, [&]() -> Result<AdminHello> {
    AdminHello hello;
    hello.version = from.getVersion();
    if (from.getGroup().isId()) hello.group = GroupId(from.getGroup().getId());
    return hello;
  });
}

// --- outcomes ---

void Encode(const Error& outcome, schema::Outcome::Builder to) {
  if (outcome == Errc::kOk) return;
  std::string message = outcome.message();
  message.resize(std::min(message.size(), kMaxAdminTextBytes));
  to.setMessage(ToText(message));
  EncodeErrorWithLeader(outcome, to);
}

Result<void> Decode(schema::Outcome::Reader from) {
  return Guard<void>(kMalformed, [&]() -> Result<void> {
    const uint16_t code = from.getErrc();
    if (code == 0) return Success();
    const auto message = from.getMessage();
    const auto leader = from.getLeaderAddr();
    if (message.size() > kMaxAdminTextBytes || leader.size() > kMaxAdminAddrBytes)
      return Error(Errc::kProtocol, "a text of the node's reply is over its limit; upgrade the older of node and tool");
    if (code == static_cast<uint16_t>(Errc::kNotLeader) && from.getLeaderId() != 0)
      return Error::NotLeader(Peer(NodeId(from.getLeaderId()), Addr(ToView(leader))));
    if (code > kLastErrc)
      return Error(Errc::kProtocol, fmt::format("{} (error code {}, unknown to this tool)", ToView(message), code));
    if (message.size() == 0) return Error(static_cast<Errc>(code));
    return Error(static_cast<Errc>(code), ToView(message));
  });
}

Duration DecodeTimeout(int64_t nanoseconds) { return DecodeTimeout(nanoseconds, kMaxAdminTimeout); }

// --- status ---

void Encode(const AdminStatus& status, schema::Status::Builder to) {
  const RaftStatus& raft = status.raft;
  to.setClusterHigh(status.identity.cluster.high);
  to.setClusterLow(status.identity.cluster.low);
  to.setGroup(status.group.value());
  to.setId(raft.id.value());
  to.setIncarnation(status.identity.incarnation);
  to.setStartCount(status.identity.start_count);
  to.setGeneration(status.identity.generation.counter);
  to.setRole(static_cast<schema::Role>(raft.role));
  to.setTerm(raft.term.value());
  if (raft.leader) {
    to.setLeaderId(raft.leader->id.value());
    to.setLeaderAddr(ToText(raft.leader->addr.text()));
  }
  to.setLastIndex(raft.last_index.value());
  to.setDurableIndex(raft.durable_index.value());
  to.setCommitIndex(raft.commit_index.value());
  to.setAppliedIndex(raft.applied_index.value());
  to.setConfigurationIndex(raft.configuration_index.value());
  to.setIsJoint(raft.is_joint);
  to.setWaitingCalls(raft.waiting_calls);
  to.setWaitingBytes(raft.waiting_bytes);
  to.setIsDiskStalled(raft.is_disk_stalled);
  to.setDiskLatencyNanoseconds(ToNanoseconds(raft.disk_latency));
  auto members = to.initMembers(static_cast<unsigned>(raft.peers.size()));
  for (unsigned i = 0; i < members.size(); ++i) EncodeMember(raft.peers[i], members[i]);
}

Result<AdminStatus> Decode(schema::Status::Reader from) {
  return Guard<AdminStatus>(kMalformed, [&]() -> Result<AdminStatus> {
    AdminStatus status;
    status.identity.cluster.high = from.getClusterHigh();
    status.identity.cluster.low = from.getClusterLow();
    status.identity.node = NodeId(from.getId());
    status.identity.incarnation = from.getIncarnation();
    status.identity.start_count = from.getStartCount();
    status.identity.generation.counter = from.getGeneration();
    status.group = GroupId(from.getGroup());
    RaftStatus& raft = status.raft;
    raft.id = NodeId(from.getId());
    raft.role = ToKind<Role>(from.getRole());
    raft.term = Term(from.getTerm());
    if (from.getLeaderId() != 0) {
      RINGRAFT_TRYV(CheckSize("bytes of an address", from.getLeaderAddr().size(), kMaxAdminAddrBytes));
      raft.leader = Peer(NodeId(from.getLeaderId()), Addr(ToView(from.getLeaderAddr())));
    }
    raft.last_index = Index(from.getLastIndex());
    raft.durable_index = Index(from.getDurableIndex());
    raft.commit_index = Index(from.getCommitIndex());
    raft.applied_index = Index(from.getAppliedIndex());
    raft.configuration_index = Index(from.getConfigurationIndex());
    raft.is_joint = from.getIsJoint();
    raft.waiting_calls = from.getWaitingCalls();
    raft.waiting_bytes = from.getWaitingBytes();
    raft.is_disk_stalled = from.getIsDiskStalled();
    raft.disk_latency = FromNanoseconds(from.getDiskLatencyNanoseconds());
    auto members = from.getMembers();
    RINGRAFT_TRYV(CheckSize("members", members.size(), kMaxAdminMembers));
    raft.peers.reserve(members.size());
    for (auto member : members) {
      RINGRAFT_TRY(decoded, DecodeMember(member));
      raft.peers.push_back(std::move(decoded));
    }
    return status;
  });
}

// --- changes ---

void Encode(const ConfigChange& change, schema::ConfigChange::Builder to) {
  to.setBasedOn(change.based_on().value_or(Index(0)).value());
  auto steps = to.initSteps(static_cast<unsigned>(change.steps().size()));
  for (unsigned i = 0; i < steps.size(); ++i) {
    const ConfigChange::Step& step = change.steps()[i];
    steps[i].setKind(ToWire(step.kind));
    steps[i].setId(step.peer.id.value());
    if (!step.peer.addr.empty()) steps[i].setAddr(ToText(step.peer.addr.text()));
    if (!step.data.empty()) steps[i].setData(ToData(step.data));
  }
}

Result<ConfigChange> Decode(schema::ConfigChange::Reader from) {
  return Guard<ConfigChange>(kMalformed, [&]() -> Result<ConfigChange> {
    ConfigChange change;
    if (from.getBasedOn() != 0) change.BasedOn(Index(from.getBasedOn()));
    auto steps = from.getSteps();
    RINGRAFT_TRYV(CheckSize("steps", steps.size(), kMaxAdminSteps));
    for (unsigned i = 0; i < steps.size(); ++i) RINGRAFT_TRYV(AddStep(steps[i], i + 1, change));
    return change;
  });
}

// --- sizes ---

capnp::MessageSize SizeHint(const Error& outcome) {
  if (outcome == Errc::kOk) return capnp::MessageSize{kEnvelopeWords, 1};
  const std::optional<Peer> leader = outcome.leader();
  return capnp::MessageSize{
      kEnvelopeWords + TextWords(outcome.message()) + (leader ? TextWords(leader->addr.text()) : 0), 1};
}

capnp::MessageSize SizeHint(const AdminStatus& status) {
  uint64_t words = kEnvelopeWords + kStatusWords;
  if (status.raft.leader) words += TextWords(status.raft.leader->addr.text());
  for (const PeerStatus& member : status.raft.peers)
    words += kMemberWords + TextWords(member.peer.addr.text()) + DataWords(member.data.size());
  return capnp::MessageSize{words, 0};
}

capnp::MessageSize SizeHint(const ConfigChange& change) {
  uint64_t words = kEnvelopeWords;
  for (const ConfigChange::Step& step : change.steps())
    words += kStepWords + TextWords(step.peer.addr.text()) + DataWords(step.data.size());
  return capnp::MessageSize{words, 0};
}

}  // namespace ringraft::rpc

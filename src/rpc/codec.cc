#include "rpc/codec.h"

#include <fmt/format.h>

#include "base/try.h"
#include "rpc/wire.h"

namespace ringraft::rpc {
namespace {

constexpr const char* kMalformed = "a message from a peer has invalid pointers";

void Encode(const Identity& identity, schema::Identity::Builder to) {
  auto cluster = to.initCluster();
  cluster.setHigh(identity.cluster.high);
  cluster.setLow(identity.cluster.low);
  to.setNode(identity.node.value());
  to.setIncarnation(identity.incarnation);
  to.setStartCount(identity.start_count);
  to.setProcess(identity.process);
  to.setGeneration(identity.generation.counter);
  to.setOrigin(identity.generation.origin);
  auto earlier = to.initEarlier(static_cast<unsigned>(identity.earlier.size()));
  for (unsigned i = 0; i < earlier.size(); ++i) earlier.set(i, identity.earlier[i]);
}

Identity DecodeIdentity(schema::Identity::Reader from) {
  Identity identity;
  auto cluster = from.getCluster();
  identity.cluster.high = cluster.getHigh();
  identity.cluster.low = cluster.getLow();
  identity.node = NodeId(from.getNode());
  identity.incarnation = from.getIncarnation();
  identity.start_count = from.getStartCount();
  identity.process = from.getProcess();
  identity.generation.counter = from.getGeneration();
  identity.generation.origin = from.getOrigin();
  auto earlier = from.getEarlier();
  for (unsigned i = 0; i < earlier.size() && i < identity.earlier.size(); ++i) identity.earlier[i] = earlier[i];
  return identity;
}

Error DecodeError(uint16_t code) {
  if (code <= kLastErrc) return Error(static_cast<Errc>(code));
  return Error(Errc::kProtocol,
               fmt::format("the peer replied with the unknown error code {}; upgrade this node", code));
}

template <class Reader>
Error DecodeErrorWithLeader(Reader from) {
  if (from.getErrc() != static_cast<uint16_t>(Errc::kNotLeader)) return DecodeError(from.getErrc());
  if (from.getLeaderId() == 0) return Error::NotLeader(std::nullopt);
  return Error::NotLeader(Peer(NodeId(from.getLeaderId()), Addr(ToView(from.getLeaderAddr()))));
}

template <class List>
void EncodeBytes(const std::vector<Bytes>& from, List to) {
  for (size_t i = 0; i < from.size(); ++i) to.set(static_cast<unsigned>(i), ToData(from[i].view()));
}

template <class List>
std::vector<Bytes> DecodeBytes(List from) {
  std::vector<Bytes> bytes;
  bytes.reserve(from.size());
  for (auto data : from) bytes.emplace_back(ToView(data));
  return bytes;
}

bool IsReferenced(const BatchRef& batch, size_t referenced) {
  return batch.size() >= kReferenceFrom && referenced < kMaxReferences;
}

}  // namespace

const char* ToString(Lane lane) {
  switch (lane) {
    case Lane::kControl:
      return "control";
    case Lane::kData:
      return "data";
    case Lane::kForward:
      return "forward";
  }
  return "unknown";
}

// --- handshake ---

void Encode(const Hello& hello, schema::Hello::Builder to) {
  to.setVersion(hello.version);
  Encode(hello.from, to.initFrom());
  to.setTo(hello.to.value());
  to.setLane(static_cast<schema::Lane>(hello.lane));
}

Result<Hello> Decode(schema::Hello::Reader from) {
  return Guard<Hello>(kMalformed, [&]() -> Result<Hello> {
    Hello hello;
    hello.version = from.getVersion();
    hello.from = DecodeIdentity(from.getFrom());
    hello.to = NodeId(from.getTo());
    if (static_cast<size_t>(from.getLane()) < kLanes) hello.lane = static_cast<Lane>(from.getLane());
    return hello;
  });
}

void Encode(const Welcome& welcome, schema::Welcome::Builder to) {
  to.setErrc(static_cast<uint16_t>(welcome.errc));
  to.setVersion(welcome.version);
  Encode(welcome.from, to.initFrom());
}

Result<Welcome> Decode(schema::Welcome::Reader from) {
  return Guard<Welcome>(kMalformed, [&]() -> Result<Welcome> {
    Welcome welcome;
    welcome.errc = DecodeError(from.getErrc()).code();
    welcome.version = from.getVersion();
    welcome.from = DecodeIdentity(from.getFrom());
    return welcome;
  });
}

// --- AppendEntries ---

void Encode(const AppendEntriesArgs& args, schema::AppendEntriesArgs::Builder to, std::vector<BatchRef>& referenced) {
  to.setGroup(args.group.value());
  to.setTo(args.to.value());
  to.setTerm(args.term.value());
  to.setLeaderId(args.leader_id.value());
  to.setPrevIndex(args.prev_index.value());
  to.setPrevTerm(args.prev_term.value());
  to.setLeaderCommit(args.leader_commit.value());
  to.setTimeoutNow(args.timeout_now);
  to.setGeneration(args.generation.counter);
  to.setOrigin(args.generation.origin);
  if (args.entries.empty()) return;
  auto entries = to.initEntries(static_cast<unsigned>(args.entries.size()));
  auto orphanage = capnp::Orphanage::getForMessageContaining(to);
  for (unsigned i = 0; i < entries.size(); ++i) {
    const BatchRef& batch = args.entries[i];
    if (IsReferenced(batch, referenced.size())) {
      entries.adopt(i, orphanage.referenceExternalData(ToData(batch.bytes())));
      referenced.push_back(batch);
    } else {
      entries.set(i, ToData(batch.bytes()));
    }
  }
}

Result<AppendEntriesArgs> Decode(schema::AppendEntriesArgs::Reader from) {
  return Guard<AppendEntriesArgs>(kMalformed, [&]() -> Result<AppendEntriesArgs> {
    AppendEntriesArgs args;
    args.group = GroupId(from.getGroup());
    args.to = NodeId(from.getTo());
    args.term = Term(from.getTerm());
    args.leader_id = NodeId(from.getLeaderId());
    args.prev_index = Index(from.getPrevIndex());
    args.prev_term = Term(from.getPrevTerm());
    args.leader_commit = Index(from.getLeaderCommit());
    args.timeout_now = from.getTimeoutNow();
    args.generation.counter = from.getGeneration();
    args.generation.origin = from.getOrigin();
    auto entries = from.getEntries();
    args.entries.reserve(entries.size());
    for (auto bytes : entries) {
      RINGRAFT_TRY(batch, BatchRef::Decode(ToView(bytes)));
      args.entries.push_back(std::move(batch));
    }
    return args;
  });
}

void Encode(const Result<AppendEntriesResults>& result, schema::AppendEntriesResults::Builder to) {
  if (!result) {
    to.setErrc(static_cast<uint16_t>(result.error().code()));
    return;
  }
  const AppendEntriesResults& results = result.value();
  to.setTerm(results.term.value());
  to.setSuccess(results.success);
  to.setDurableMatch(results.durable_match.value());
  to.setConflictIndex(results.conflict.index.value());
  to.setConflictTerm(results.conflict.term.value());
  to.setIncarnation(results.incarnation);
  to.setIsWitness(results.is_witness);
  to.setPriority(results.priority);
  to.setIsDiskStalled(results.is_disk_stalled);
}

Result<AppendEntriesResults> Decode(schema::AppendEntriesResults::Reader from) {
  return Guard<AppendEntriesResults>(kMalformed, [&]() -> Result<AppendEntriesResults> {
    if (from.getErrc() != 0) return DecodeError(from.getErrc());
    AppendEntriesResults results;
    results.term = Term(from.getTerm());
    results.success = from.getSuccess();
    results.durable_match = Index(from.getDurableMatch());
    results.conflict.index = Index(from.getConflictIndex());
    results.conflict.term = Term(from.getConflictTerm());
    results.incarnation = from.getIncarnation();
    results.is_witness = from.getIsWitness();
    results.priority = from.getPriority();
    results.is_disk_stalled = from.getIsDiskStalled();
    return results;
  });
}

// --- RequestVote ---

void Encode(const RequestVoteArgs& args, schema::RequestVoteArgs::Builder to) {
  to.setGroup(args.group.value());
  to.setTo(args.to.value());
  to.setTerm(args.term.value());
  to.setCandidateId(args.candidate_id.value());
  to.setLastIndex(args.last_index.value());
  to.setLastTerm(args.last_term.value());
  to.setPreVote(args.pre_vote);
  to.setIsTransfer(args.is_transfer);
}

Result<RequestVoteArgs> Decode(schema::RequestVoteArgs::Reader from) {
  return Guard<RequestVoteArgs>(kMalformed, [&]() -> Result<RequestVoteArgs> {
    RequestVoteArgs args;
    args.group = GroupId(from.getGroup());
    args.to = NodeId(from.getTo());
    args.term = Term(from.getTerm());
    args.candidate_id = NodeId(from.getCandidateId());
    args.last_index = Index(from.getLastIndex());
    args.last_term = Term(from.getLastTerm());
    args.pre_vote = from.getPreVote();
    args.is_transfer = from.getIsTransfer();
    return args;
  });
}

void Encode(const Result<RequestVoteResults>& result, schema::RequestVoteResults::Builder to) {
  if (!result) {
    to.setErrc(static_cast<uint16_t>(result.error().code()));
    return;
  }
  to.setTerm(result.value().term.value());
  to.setVoteGranted(result.value().vote_granted);
  to.setIncarnation(result.value().incarnation);
}

Result<RequestVoteResults> Decode(schema::RequestVoteResults::Reader from) {
  return Guard<RequestVoteResults>(kMalformed, [&]() -> Result<RequestVoteResults> {
    if (from.getErrc() != 0) return DecodeError(from.getErrc());
    RequestVoteResults results;
    results.term = Term(from.getTerm());
    results.vote_granted = from.getVoteGranted();
    results.incarnation = from.getIncarnation();
    return results;
  });
}

// --- Forward ---

void Encode(const ForwardArgs& args, schema::ForwardArgs::Builder to) {
  to.setGroup(args.group.value());
  to.setTo(args.to.value());
  to.setTimeoutNs(std::chrono::duration_cast<std::chrono::nanoseconds>(args.timeout).count());
  auto calls = to.initCalls(static_cast<unsigned>(args.calls.size()));
  for (unsigned i = 0; i < calls.size(); ++i)
    EncodeBytes(args.calls[i].commands, calls[i].initCommands(static_cast<unsigned>(args.calls[i].commands.size())));
}

Result<ForwardArgs> Decode(schema::ForwardArgs::Reader from) {
  return Guard<ForwardArgs>(kMalformed, [&]() -> Result<ForwardArgs> {
    ForwardArgs args;
    args.group = GroupId(from.getGroup());
    args.to = NodeId(from.getTo());
    args.timeout = DecodeTimeout(from.getTimeoutNs(), kMaxForwardTimeout);
    auto calls = from.getCalls();
    args.calls.reserve(calls.size());
    for (auto call : calls) {
      args.calls.emplace_back();
      args.calls.back().commands = DecodeBytes(call.getCommands());
    }
    return args;
  });
}

void Encode(const Result<ForwardResults>& result, schema::ForwardResults::Builder to) {
  if (!result) {
    EncodeErrorWithLeader(result.error(), to);
    return;
  }
  const std::vector<ForwardOutcome>& from = result.value().outcomes;
  auto outcomes = to.initOutcomes(static_cast<unsigned>(from.size()));
  for (unsigned i = 0; i < outcomes.size(); ++i) {
    EncodeErrorWithLeader(from[i].error, outcomes[i]);
    EncodeBytes(from[i].results, outcomes[i].initResults(static_cast<unsigned>(from[i].results.size())));
  }
}

Result<ForwardResults> Decode(schema::ForwardResults::Reader from) {
  return Guard<ForwardResults>(kMalformed, [&]() -> Result<ForwardResults> {
    if (from.getErrc() != 0) return DecodeErrorWithLeader(from);
    ForwardResults results;
    auto outcomes = from.getOutcomes();
    results.outcomes.reserve(outcomes.size());
    for (auto outcome : outcomes) {
      results.outcomes.emplace_back();
      results.outcomes.back().error = DecodeErrorWithLeader(outcome);
      results.outcomes.back().results = DecodeBytes(outcome.getResults());
    }
    return results;
  });
}

// --- Bootstrap ---

void Encode(const BootstrapArgs& args, schema::BootstrapArgs::Builder to) {
  to.setGroup(args.group.value());
  to.setTo(args.to.value());
}

Result<BootstrapArgs> Decode(schema::BootstrapArgs::Reader from) {
  BootstrapArgs args;
  args.group = GroupId(from.getGroup());
  args.to = NodeId(from.getTo());
  return args;
}

void Encode(const Result<BootstrapResults>& result, schema::BootstrapResults::Builder to) {
  if (!result) {
    to.setErrc(static_cast<uint16_t>(result.error().code()));
    return;
  }
  to.setIncarnation(result.value().incarnation);
  to.setIsBootstrapped(result.value().is_bootstrapped);
  to.setMembers(ToData(result.value().members));
}

Result<BootstrapResults> Decode(schema::BootstrapResults::Reader from) {
  return Guard<BootstrapResults>(kMalformed, [&]() -> Result<BootstrapResults> {
    if (from.getErrc() != 0) return DecodeError(from.getErrc());
    BootstrapResults results;
    results.incarnation = from.getIncarnation();
    results.is_bootstrapped = from.getIsBootstrapped();
    results.members = ToView(from.getMembers());
    return results;
  });
}

// --- sizes ---

capnp::MessageSize SizeHint(const AppendEntriesArgs& args) {
  uint64_t words = kEnvelopeWords;
  size_t referenced = 0;
  for (const BatchRef& batch : args.entries) {
    words += 1;
    if (IsReferenced(batch, referenced)) {
      words += 2;  // the landing pad of a far pointer to an external segment
      ++referenced;
    } else {
      words += DataWords(batch.size());
    }
  }
  return capnp::MessageSize{words, 0};
}

capnp::MessageSize SizeHint(const BootstrapArgs&) { return capnp::MessageSize{kEnvelopeWords, 0}; }
capnp::MessageSize SizeHint(const RequestVoteArgs&) { return capnp::MessageSize{kEnvelopeWords, 0}; }

capnp::MessageSize SizeHint(const ForwardArgs& args) {
  uint64_t words = kEnvelopeWords;
  for (const ForwardCall& call : args.calls) {
    words += 2;
    for (const Bytes& command : call.commands) words += 1 + DataWords(command.size());
  }
  return capnp::MessageSize{words, 0};
}

capnp::MessageSize SizeHint(const Result<BootstrapResults>& result) {
  return capnp::MessageSize{kEnvelopeWords + (result ? DataWords(result.value().members.size()) : 0), 0};
}

capnp::MessageSize SizeHint(const Result<ForwardResults>& result) {
  uint64_t words = kEnvelopeWords;
  if (!result) return capnp::MessageSize{words, 0};
  for (const ForwardOutcome& outcome : result.value().outcomes) {
    words += 8;
    if (std::optional<Peer> leader = outcome.error.leader()) words += TextWords(leader->addr.text());
    for (const Bytes& bytes : outcome.results) words += 1 + DataWords(bytes.size());
  }
  return capnp::MessageSize{words, 0};
}

size_t MessageBytes(const AppendEntriesArgs& args) {
  size_t bytes = SizeHint(args).wordCount * sizeof(capnp::word);
  size_t referenced = 0;
  for (const BatchRef& batch : args.entries) {
    if (!IsReferenced(batch, referenced)) continue;
    ++referenced;
    bytes += batch.size() + sizeof(capnp::word);
  }
  return bytes;
}

size_t MessageBytes(const BootstrapArgs& args) { return SizeHint(args).wordCount * sizeof(capnp::word); }

size_t MessageBytes(const RequestVoteArgs& args) { return SizeHint(args).wordCount * sizeof(capnp::word); }

size_t MessageBytes(const ForwardArgs& args) { return SizeHint(args).wordCount * sizeof(capnp::word); }

}  // namespace ringraft::rpc

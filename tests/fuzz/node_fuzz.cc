// Peers that send any well-formed message, under valid identities, to a whole node with its core and its disk, in the
// simulator. The bytes of the input are a sequence of orders: which call a peer makes, which reply it will send, how
// long to wait. No message may stop the node or change committed entries.
#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "core/configuration.h"
#include "fuzz.h"
#include "node/identity.h"
#include "node/node.h"
#include "place.h"
#include "ringraft/batch.h"
#include "ringraft/raft.h"
#include "sim/disk.h"

namespace {

using namespace ringraft;
using namespace ringraft::sim;

constexpr uint64_t kSelf = 2;
constexpr GroupId kGroup(1);

std::string AddressOf(uint64_t node) { return "10.0.0." + std::to_string(node) + ":7000"; }
uint64_t DirectoryOf(uint64_t node) { return 11 * node; }

core::Configuration Members() {
  core::Configuration members;
  for (uint64_t node = 1; node <= 3; ++node) {
    core::Member member(NodeId(node), Addr(AddressOf(node)));
    member.incarnation = DirectoryOf(node);
    members.voters.push_back(member);
  }
  return members;
}

Options OptionsOfNode() {
  Options options;
  options.id = NodeId(kSelf);
  options.addr = Addr(AddressOf(kSelf));
  options.group = kGroup;
  options.cluster_name = "fuzzed";
  for (const core::Member& member : Members().voters) options.initial_members.push_back(member);
  options.logger = &SilentLogger();
  options.seed = 7;
  return options;
}

Identity IdentityOf(uint64_t node) {
  Identity identity;
  identity.cluster = node::NamedCluster(OptionsOfNode());
  identity.node = NodeId(node);
  identity.incarnation = DirectoryOf(node);
  identity.start_count = 1;
  identity.process = 100 + node;
  identity.generation = node::FirstGeneration(Members().Encode());
  return identity;
}

// --- the node ---

// Terms never decrease, and each has one vote.
class PromiseKeeper final : public DiskObserver {
 public:
  void OnSubmitted(uint64_t, const storage::WriteRequest& request) override {
    if (!request.hard_state) return;
    const HardState& next = *request.hard_state;
    RINGRAFT_ASSERT(next.term >= last_.term);
    if (next.term == last_.term && last_.vote) RINGRAFT_ASSERT(next.vote == last_.vote);
    last_ = next;
  }
  void OnFlushed(uint64_t, const storage::WriteRequest&) override {}

 private:
  HardState last_;
};

// Entries are applied in order, each once.
class Machine final : public StateMachine {
 public:
  Result<size_t> Apply(std::span<const LogEntry> entries, ApplyResults& results) override {
    for (const LogEntry& entry : entries) {
      RINGRAFT_ASSERT(entry.index > last);
      last = entry.index;
      results.Add("");
    }
    return entries.size();
  }
  Index last;
};

class FuzzedNode {
 public:
  FuzzedNode(World& world, Net& net) : disk_(std::make_shared<SimDisk>(world, kSelf, observer_)) {
    Options options = OptionsOfNode();
    const BatchRef bootstrap = core::BootstrapBatch(Members(), kGroup);
    RINGRAFT_ASSERT(disk_->Store().Set(node::kIdentityKey, node::EncodeIdentity(IdentityOf(kSelf), options)));
    RINGRAFT_ASSERT(disk_->Commit(HardState{Term(1), NodeId(0)}, std::nullopt, {&bootstrap, 1}));
    options.storage = disk_;
    auto host = std::make_unique<SimHost>(world, net, AddressOf(kSelf), kSelf, SilentLogger());
    host_ = host.get();
    disk_->Attach(*host_);
    reactor_ = std::make_unique<Reactor>(std::move(host));
    host_->on_turn = [this] { Look(); };
    raft_ = std::move(Raft::Create(std::move(options), machine_).value());
    RINGRAFT_ASSERT(raft_->Run(*reactor_).has_value());
  }
  ~FuzzedNode() {
    host_->Crash();
    disk_->Crash();
    raft_.reset();
    reactor_.reset();
  }
  FuzzedNode(const FuzzedNode&) = delete;

  const core::Core* core() const { return raft_->node().has_started() ? &raft_->node().core() : nullptr; }

 private:
  // After each turn: the node is running, and committed entries are unchanged.
  void Look() {
    if (raft_ == nullptr || host_->is_crashed()) return;
    RINGRAFT_ASSERT(raft_->node().IsRunning());
    const core::Core* core = this->core();
    if (core == nullptr) return;
    RINGRAFT_ASSERT(core->commit_index().value() >= committed_.size());
    if (!committed_.empty()) RINGRAFT_ASSERT(core->TermAt(Index(committed_.size())) == committed_.back());
    for (Index index(committed_.size() + 1); index <= core->commit_index(); ++index)
      committed_.push_back(core->TermAt(index));
  }

  PromiseKeeper observer_;
  std::shared_ptr<SimDisk> disk_;
  Machine machine_;
  SimHost* host_ = nullptr;
  std::unique_ptr<Reactor> reactor_;
  std::unique_ptr<Raft> raft_;
  std::vector<Term> committed_;  // Invariant: committed_[i] is the term of entry i + 1.
};

// --- the peers' messages ---

// The bytes of the input as numbers, most of them close to the node's own.
class Orders {
 public:
  Orders(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}
  bool AtEnd() const { return rest_.empty(); }
  uint8_t Byte() {
    if (rest_.empty()) return 0;
    const uint8_t byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }
  bool Flag() { return Byte() % 2 != 0; }
  uint64_t Below(uint64_t n) { return Byte() % n; }

  // `core` may be null: the node may not have started yet.
  uint64_t Number(const core::Core* core) {
    const uint8_t byte = Byte();
    const uint64_t small = byte % 16;
    switch (byte / 16) {
      case 0:
        return small;
      case 1:
        return core != nullptr ? core->term().value() + small : small;
      case 2:
        return core != nullptr ? core->last_index().value() + small : small;
      case 3:
        return core != nullptr ? core->commit_index().value() + small : small;
      case 4:
        return core != nullptr ? core->last_index().value() - std::min(small, core->last_index().value()) : small;
      case 5:
        return core != nullptr ? core->term().value() - std::min(small, core->term().value()) : small;
      case 6:
        return UINT64_MAX - small;
      case 7:
        return (uint64_t{1} << 62) + small - 8;
      case 8:
        return (uint64_t{1} << 63) + small - 8;
      case 9:
        return small << 32;
      default:
        return small % 4;
    }
  }

 private:
  std::string_view rest_;
};

class Liar final : public AnyPeer {
 public:
  Task<Result<AppendEntriesResults>> AppendEntries(AppendEntriesArgs args) override {
    AppendEntriesResults results;
    results.term = args.term;
    results.success = true;
    results.durable_match = args.entries.empty() ? args.prev_index : args.entries.back().last();
    results.incarnation = directory;
    if (!append_answers.empty()) {
      results = append_answers.front();
      append_answers.pop_front();
    }
    co_return results;
  }
  Task<Result<RequestVoteResults>> RequestVote(RequestVoteArgs args) override {
    RequestVoteResults results;
    results.term = args.pre_vote ? args.term - 1 : args.term;
    results.vote_granted = true;
    results.incarnation = directory;
    if (!vote_answers.empty()) {
      results = vote_answers.front();
      vote_answers.pop_front();
    }
    co_return results;
  }
  Task<Result<BootstrapResults>> Bootstrap(BootstrapArgs) override {
    BootstrapResults results;
    results.incarnation = directory;
    results.is_bootstrapped = true;
    co_return results;
  }

  uint64_t directory = 0;
  std::deque<AppendEntriesResults> append_answers;  // if empty, it replies as an honest peer
  std::deque<RequestVoteResults> vote_answers;
};

class Play {
 public:
  Play(const uint8_t* data, size_t size)
      : orders_(data, size), world_(7, 0), net_(world_), node_(std::make_unique<FuzzedNode>(world_, net_)) {
    for (uint64_t node : {1, 3}) {
      liars_[node].directory = DirectoryOf(node);
      places_[node] = std::make_unique<Place>(world_, net_, AddressOf(node).c_str(), IdentityOf(node), liars_[node]);
    }
  }
  ~Play() {
    node_.reset();
    places_.clear();
  }

  void Run() {
    RunFor(world_, 100 * kMilli);
    for (int count = 0; count < 200 && !orders_.AtEnd(); ++count) Order();
    RunFor(world_, 3 * kSecond);
  }

 private:
  void Order() {
    const uint8_t what = orders_.Byte();
    const uint64_t who = (what & 1) != 0 ? 1 : 3;
    switch (what / 2 % 9) {
      case 0:
        return Append(who);
      case 1:
        return AppendThatFits(who);
      case 2:
        return Vote(who);
      case 3:
        return AnswerAppend(who);
      case 4:
        return AnswerVote(who);
      case 5:
        return Forward(who);
      case 6:
        return Bootstrap(who);
      case 7:
        return VoteThatFits(who);
      default:
        return RunFor(world_, (1 + orders_.Below(60)) * 20 * kMilli);
    }
  }

  uint64_t Number() { return orders_.Number(node_->core()); }

  BatchRef DrawBatch(Index first, Term term, uint64_t leader) {
    BatchBuilder builder;
    for (uint64_t count = 1 + orders_.Below(3); count > 0; --count) {
      const uint64_t type = orders_.Below(8);
      if (type == 0) {
        builder.Add(LogEntryType::kNoop, "");
      } else if (type == 1) {
        builder.Add(LogEntryType::kConfiguration, DrawConfiguration());
      } else {
        builder.Add(LogEntryType::kCommand, std::string(orders_.Byte(), 'x'));
      }
    }
    return builder.Seal(first, term, NodeId(leader), kGroup, 0);
  }

  std::string DrawConfiguration() {
    core::Configuration members = Members();
    const uint64_t what = orders_.Below(8);
    if (what == 0) members.voters.erase(members.voters.begin() + 1);  // the node itself
    if (what == 1) members.old_voters = Members().voters;
    if (what == 2) members.voters.resize(1);
    if (what == 3) members.voters.back().incarnation = 5;
    if (what == 4) members.learners.push_back(core::Member(NodeId(4), Addr(AddressOf(4))));
    if (what == 5) members.voters.back().is_witness = true;
    std::string command = members.Encode();
    if (what == 6 && !command.empty()) command[orders_.Byte() % command.size()] = static_cast<char>(orders_.Byte());
    if (what == 7) command.resize(orders_.Byte() % (command.size() + 1));
    return command;
  }

  template <class Args, class Results>
  using Method = Task<Result<Results>> (Rpc::*)(Addr, Args);

  template <class Args, class Results>
  void Call(uint64_t who, Method<Args, Results> method, Args args) {
    auto shared = std::make_shared<Args>(std::move(args));
    places_[who]->Start([method, shared](Rpc& rpc) { return Await(rpc, method, std::move(*shared)); });
  }
  template <class Args, class Results>
  static Task<void> Await(Rpc& rpc, Method<Args, Results> method, Args args) {
    auto call = (rpc.*method)(Addr(AddressOf(kSelf)), std::move(args));
    [[maybe_unused]] auto unheard = co_await call;
  }

  void Append(uint64_t who) {
    AppendEntriesArgs args;
    args.group = orders_.Below(16) == 0 ? GroupId(9) : kGroup;
    args.to = NodeId(orders_.Below(16) == 0 ? Number() : kSelf);
    args.term = Term(Number());
    args.leader_id = NodeId(orders_.Below(16) == 0 ? Number() : who);
    args.prev_index = Index(Number());
    args.prev_term = Term(Number());
    args.leader_commit = Index(Number());
    args.timeout_now = orders_.Below(8) == 0;
    if (orders_.Flag()) args.generation = IdentityOf(who).generation;
    if (orders_.Below(16) == 0) args.generation.counter = Number();
    for (uint64_t count = orders_.Below(3); count > 0; --count)
      args.entries.push_back(DrawBatch(Index(Number()), Term(Number()), orders_.Below(8) == 0 ? Number() : who));
    Call(who, &Rpc::CallAppendEntries, std::move(args));
  }

  // An append that an honest leader could send, except for its commit index.
  void AppendThatFits(uint64_t who) {
    const core::Core* core = node_->core();
    if (core == nullptr) return;
    AppendEntriesArgs args;
    args.group = kGroup;
    args.to = NodeId(kSelf);
    args.leader_id = NodeId(who);
    args.term = core->term() + orders_.Below(3);
    if (args.term.value() >= uint64_t{1} << 62) return;
    const uint64_t back = std::min(orders_.Below(4), core->last_index().value());
    args.prev_index = core->last_index() - back;
    args.prev_term = core->TermAt(args.prev_index);
    args.leader_commit = Index(Number());
    args.generation = IdentityOf(who).generation;
    args.timeout_now = orders_.Below(8) == 0;
    Index next = args.prev_index + 1;
    for (uint64_t count = orders_.Below(3); count > 0; --count) {
      args.entries.push_back(DrawBatch(next, args.term, who));
      next = args.entries.back().last() + 1;
    }
    Call(who, &Rpc::CallAppendEntries, std::move(args));
  }

  void Vote(uint64_t who) {
    RequestVoteArgs args;
    args.group = orders_.Below(16) == 0 ? GroupId(9) : kGroup;
    args.to = NodeId(orders_.Below(16) == 0 ? Number() : kSelf);
    args.term = Term(Number());
    args.candidate_id = NodeId(orders_.Below(16) == 0 ? Number() : who);
    args.last_index = Index(Number());
    args.last_term = Term(Number());
    args.pre_vote = orders_.Flag();
    args.is_transfer = orders_.Flag();
    Call(who, &Rpc::CallRequestVote, args);
  }

  // The vote request of a candidate with the same log as the node.
  void VoteThatFits(uint64_t who) {
    const core::Core* core = node_->core();
    if (core == nullptr) return;
    RequestVoteArgs args;
    args.group = kGroup;
    args.to = NodeId(kSelf);
    args.term = core->term() + orders_.Below(2);
    args.candidate_id = NodeId(who);
    args.last_index = core->last_index();
    args.last_term = core->TermAt(args.last_index);
    args.is_transfer = orders_.Flag();
    Call(who, &Rpc::CallRequestVote, args);
  }

  void AnswerAppend(uint64_t who) {
    AppendEntriesResults results;
    results.term = Term(Number());
    results.success = orders_.Flag();
    results.durable_match = Index(Number());
    results.conflict = ConflictHint{Index(Number()), Term(Number())};
    results.incarnation = orders_.Below(8) == 0 ? Number() : DirectoryOf(who);
    results.is_witness = orders_.Below(8) == 0;
    results.priority = orders_.Byte();
    results.is_disk_stalled = orders_.Below(8) == 0;
    liars_[who].append_answers.push_back(results);
  }

  void AnswerVote(uint64_t who) {
    RequestVoteResults results;
    results.term = Term(Number());
    results.vote_granted = orders_.Flag();
    results.incarnation = orders_.Below(8) == 0 ? Number() : DirectoryOf(who);
    liars_[who].vote_answers.push_back(results);
  }

  void Forward(uint64_t who) {
    ForwardArgs args;
    args.group = orders_.Below(16) == 0 ? GroupId(9) : kGroup;
    args.to = NodeId(orders_.Below(16) == 0 ? Number() : kSelf);
    args.timeout = Duration(static_cast<int64_t>(Number()));
    args.calls.resize(orders_.Below(4));
    for (ForwardCall& call : args.calls) {
      for (uint64_t count = orders_.Below(4); count > 0; --count)
        call.commands.push_back(Bytes(std::string(orders_.Byte(), 'f')));
    }
    Call(who, &Rpc::CallForward, std::move(args));
  }

  void Bootstrap(uint64_t who) {
    BootstrapArgs args;
    args.group = orders_.Flag() ? kGroup : GroupId(9);
    args.to = NodeId(orders_.Flag() ? kSelf : Number());
    Call(who, &Rpc::CallBootstrap, args);
  }

  Orders orders_;
  World world_;
  Net net_;
  std::unique_ptr<FuzzedNode> node_;
  std::map<uint64_t, Liar> liars_;
  std::map<uint64_t, std::unique_ptr<Place>> places_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Play play(data, size);
  play.Run();
  return 0;
}

#include "member.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

namespace ringraft::bench {
namespace {

using std::chrono::milliseconds;

// Counts the commands; the result of each is its number, 8 bytes, so that a client can see that the machine moves on.
class CountingMachine final : public StateMachine {
 public:
  Result<size_t> Apply(std::span<const LogEntry> entries, ApplyResults& results) override {
    char number[sizeof applied_];
    for (size_t i = 0; i < entries.size(); ++i) {
      ++applied_;
      std::memcpy(number, &applied_, sizeof number);
      results.Add(std::string_view(number, sizeof number));
    }
    return entries.size();
  }

 private:
  uint64_t applied_ = 0;
};

Result<std::shared_ptr<Storage>> OpenStorage(const MemberOptions& options, NodeCounters& counters) {
  if (options.store == StoreKind::kMemory) return CountCommits(MakeMemoryStorage(), counters);
  Result<std::shared_ptr<Storage>> lmdb = OpenLmdbStorage(options.data_dir);
  if (!lmdb) return lmdb.error();
  return CountCommits(std::move(lmdb).assume_value(), counters);
}

}  // namespace

Result<std::unique_ptr<Member>> Member::Start(const MemberOptions& from, NodeCounters& counters) {
  const auto self =
      std::find_if(from.peers.begin(), from.peers.end(), [&](const Peer& peer) { return peer.id == from.id; });
  if (self == from.peers.end()) {
    return Error(Errc::kInvalidArgument,
                 "no --peer has the id " + std::to_string(from.id.value()) + "; list every node, this one included");
  }
  CountFlushesInto(counters);
  Result<std::shared_ptr<Storage>> storage = OpenStorage(from, counters);
  if (!storage) return storage.error();
  Options options;
  options.id = from.id;
  options.addr = self->addr;
  options.data_dir = from.data_dir;
  options.initial_members = from.peers;
  options.election_timeout_min = from.lead ? milliseconds(300) : milliseconds(2000);
  options.election_timeout_max = from.lead ? milliseconds(500) : milliseconds(4000);
  options.limits = from.limits;
  options.logger = &StderrLogger(from.log_level);
  options.storage = std::move(storage).assume_value();

  std::unique_ptr<Member> member(new Member());
  member->machine_ = std::make_unique<CountingMachine>();
  ReactorOptions reactor_options;
  reactor_options.logger = options.logger;
  Result<std::unique_ptr<Reactor>> reactor = Reactor::Create(reactor_options);
  if (!reactor) return reactor.error();
  member->reactor_ = std::move(reactor).assume_value();
  Result<std::unique_ptr<Raft>> raft = Raft::Create(std::move(options), *member->machine_);
  if (!raft) return raft.error();
  member->raft_ = std::move(raft).assume_value();
  Result<void> started = member->reactor_->Start();
  if (!started) return started.error();
  Result<void> running = member->raft_->Run(*member->reactor_);
  if (!running) return running.error();
  return member;
}

Member::~Member() {
  raft_.reset();
  if (reactor_ != nullptr) reactor_->Stop();
  reactor_.reset();
}

void Member::Stop() { raft_->Stop(); }

bool Member::IsReady() const {
  if (!raft_->IsLeader()) return false;
  const RaftStatus status = raft_->Status();
  if (status.applied_index != status.last_index) return false;
  return std::all_of(status.peers.begin(), status.peers.end(), [&](const PeerStatus& peer) {
    return peer.is_self || (peer.is_reachable && peer.match_index == status.last_index);
  });
}

}  // namespace ringraft::bench

// A leader that cannot read its own log for a peer that lags: the peer gets nothing that is not in that log.
#include "fake_peer.h"

using namespace ringraft;
using namespace ringraft::test;

namespace {

// A disk that returns, once its reads are replaced, something else than what is stored.
class UnreadableStorage final : public DecoratedStorage {
 public:
  enum class Answer { kTrue, kError, kNothing };
  Result<std::vector<BatchRef>> Read(Index from, size_t max_bytes) const override {
    reads.fetch_add(1);
    if (answer == Answer::kError) return Error(Errc::kIo, "the disk cannot be read");
    if (answer == Answer::kNothing) return std::vector<BatchRef>();
    return DecoratedStorage::Read(from, max_bytes);
  }
  std::atomic<Answer> answer{Answer::kTrue};
};

// The leader, with 40 entries that the second server lacks and that are no longer in memory.
struct LeaderOfOneBehind {
  std::shared_ptr<UnreadableStorage> storage = std::make_shared<UnreadableStorage>();
  RealLeader real{{}, storage};
  Index had = real.raft->Status().last_index;  // the last index of the second server

  LeaderOfOneBehind() {
    real.cluster.Until("both to have all", [&] {
      for (const PeerStatus& peer : real.raft->Status().peers)
        if (peer.match_index != had) return false;
      return true;
    });
    real.two.is_deaf = true;
    for (int i = 0; i < 40; ++i)
      REQUIRE(real.cluster.Handle(*real.raft, std::string(1000, static_cast<char>('a' + i % 26))).has_value());
    storage->reads = 0;
    real.two.requests.clear();
  }

  // Every append continues the leader's log: its previous position is right, and its entries follow.
  void CheckAsked() {
    const RecoveredLog log = storage->Recover().value();
    for (const AppendEntriesArgs& args : real.two.requests) {
      CHECK(args.prev_index >= had);
      CHECK(args.prev_index <= log.last_index);
      Term term;
      for (const TermRun& run : log.terms)
        if (run.first_index <= args.prev_index) term = run.term;
      CHECK(args.prev_term == term);
      Index before = args.prev_index;
      for (const BatchRef& batch : args.entries) {
        CHECK(batch.first() == before + 1);
        before = batch.last();
      }
    }
  }
};

}  // namespace

TEST_SUITE("node/read") {
  TEST_CASE("a peer that lags beyond what memory holds gets entries from the disk") {
    LeaderOfOneBehind leader;
    leader.real.two.is_deaf = false;
    leader.real.cluster.Until("it to catch up", [&] {
      return !leader.real.two.requests.empty() && !leader.real.two.requests.back().entries.empty() &&
             leader.real.two.requests.back().entries.back().last() == leader.real.raft->Status().last_index;
    });
    CHECK(leader.storage->reads > 0);
    leader.CheckAsked();
  }

  TEST_CASE("B20: a leader that cannot read its log stops and reports why, and sends nothing instead") {
    LeaderOfOneBehind leader;
    Errc reason = Errc::kOk;
    std::string what;
    SUBCASE("the read fails") {
      leader.storage->answer = UnreadableStorage::Answer::kError;
      reason = Errc::kIo;
      what = "the disk cannot be read";
    }
    SUBCASE("the read finds nothing") {
      leader.storage->answer = UnreadableStorage::Answer::kNothing;
      reason = Errc::kCorrupt;
      what = "the log has no entry at index " + std::to_string(leader.had.value() + 1) + ", ";
    }
    leader.real.two.is_deaf = false;
    leader.real.cluster.Until("its end",
                              [&] { return leader.real.raft->Status().is_stopped || leader.storage->reads > 100; });
    REQUIRE(leader.real.raft->Status().is_stopped);
    const int reads = leader.storage->reads;
    CHECK(reads == 1);
    CHECK(leader.real.raft->Status().stop_reason == reason);
    CHECK(leader.real.raft->Status().stop_reason.message().starts_with(what));
    CHECK(!leader.real.two.requests.empty());
    leader.CheckAsked();
    for (const AppendEntriesArgs& args : leader.real.two.requests) CHECK(args.entries.empty());
  }
}

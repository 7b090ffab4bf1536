// A leader that cannot read its own log for a peer behind it: the peer is sent nothing that is not in that log (B20).
#include "fake_peer.h"

using namespace ringraft;
using namespace ringraft::test;

namespace {

// A disk whose reads, from the moment it is told, say something else than what is there.
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

// The leader, with 40 entries that the second server has not heard of and that memory does not hold any more.
struct LeaderOfOneBehind {
  std::shared_ptr<UnreadableStorage> storage = std::make_shared<UnreadableStorage>();
  RealLeader real{{}, storage};
  Index had = real.raft->Status().last_index;  // what the second server has got

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
    real.two.asked.clear();
  }

  // Every append continues a log that is the leader's: the position before it is right, and what it brings follows.
  void CheckAsked() {
    const RecoveredLog log = storage->Recover().value();
    for (const AppendEntriesArgs& args : real.two.asked) {
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
  TEST_CASE("a peer behind what memory holds is sent what the disk has") {
    LeaderOfOneBehind leader;
    leader.real.two.is_deaf = false;
    leader.real.cluster.Until("it to catch up", [&] {
      return !leader.real.two.asked.empty() && !leader.real.two.asked.back().entries.empty() &&
             leader.real.two.asked.back().entries.back().last() == leader.real.raft->Status().last_index;
    });
    CHECK(leader.storage->reads > 0);
    leader.CheckAsked();
  }

  TEST_CASE("a leader that cannot read its log stops and says why, and sends nothing in its place (B20)") {
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
    CHECK(!leader.real.two.asked.empty());
    leader.CheckAsked();
    for (const AppendEntriesArgs& args : leader.real.two.asked) CHECK(args.entries.empty());
  }
}

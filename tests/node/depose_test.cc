// A leader is deposed after every turn of its calls: every call ends, with an outcome that is true of its own entry.
// hazards: B24, H9
#include <algorithm>

#include "fake_peer.h"

using namespace ringraft;
using namespace ringraft::test;
using namespace std::chrono_literals;

namespace {

// Sends an append after so many turn ends of the node (a turn of the reactor has several, as long as there is work).
class DeposeAfter final : public coro::TurnEndNode {
 public:
  DeposeAfter(RealLeader& real, int turns) : real_(real), turns_(turns) {}
  void Start(AppendEntriesArgs args) {
    args_ = std::move(args);
    OnTurnEnd();
  }
  void OnTurnEnd() override {
    if (turns_-- > 0) return real_.cluster.reactor->host().loop().AtTurnEnd(*this);
    AskAppend(real_.two, std::move(args_), reply);
  }
  Reply<AppendEntriesResults> reply;

 private:
  RealLeader& real_;
  int turns_;
  AppendEntriesArgs args_;
};

// One call of each kind: from outside, from a turn, several commands at once, and two that a follower forwards.
struct Calls {
  std::vector<Owned> callers;
  MaybeResult outside, one;
  MaybeResults span;
  Reply<ForwardResults> forwarded;

  void StartOutside(Raft& raft) { callers.push_back(CallOne(raft, "outside", HandleOptions(), outside)); }
  void StartInTurn(RealLeader& real) {
    callers.push_back(CallOne(*real.raft, "one", HandleOptions(), one));
    callers.push_back(CallSpan(*real.raft, {"s1", "s2"}, HandleOptions(), span));
    ForwardArgs args;
    args.group = GroupId(1);
    args.to = NodeId(1);
    args.timeout = 30s;
    for (const char* command : {"f1", "f2"}) args.calls.emplace_back().commands.emplace_back(command);
    AskForward(real.two, std::move(args), forwarded);
  }
  bool AreOver() const { return outside && one && span && forwarded; }

  // (command, how it ended, its result)
  struct End {
    std::string command;
    Errc code;
    std::string result;
  };
  std::vector<End> Ends() const {
    std::vector<End> ends;
    auto add = [&](const char* command, const auto& result) {
      ends.push_back(End{command, result ? Errc::kOk : result.error().code(),
                         result ? std::string(result.value().view()) : std::string()});
    };
    add("outside", *outside);
    add("one", *one);
    for (size_t i = 0; i < 2; ++i) {
      const char* in_span[] = {"s1", "s2"};
      ends.push_back(End{in_span[i], *span ? Errc::kOk : span->error().code(),
                         *span ? std::string(span->value()[i].view()) : std::string()});
      const char* passed_on[] = {"f1", "f2"};
      if (!*forwarded) {
        ends.push_back(End{passed_on[i], forwarded->error().code(), ""});
      } else {
        const ForwardOutcome& outcome = forwarded->value().outcomes.at(i);
        ends.push_back(End{passed_on[i], outcome.error.code(),
                           outcome.error == Errc::kOk ? std::string(outcome.results.front().view()) : std::string()});
      }
    }
    return ends;
  }
};

struct Seen {
  int values = 0, unknown = 0, refused = 0;
};

}  // namespace

TEST_SUITE("node/depose") {
  TEST_CASE(
      "a leader deposed after any turn, its entries overwritten: no call gets a result, and the new entries stay") {
    Seen seen;
    for (int turns = 0; turns <= 30; ++turns) {
      CAPTURE(turns);
      RealLeader real;
      real.two.acknowledges = real.three.acknowledges = false;
      const RaftStatus before = real.raft->Status();
      const std::vector<std::string> applied = real.cluster.nodes[0].machine->applied;
      AppendEntriesArgs args = real.From(2, before.term + 1, before.last_index, before.term);
      for (uint64_t i = 1; i <= 8; ++i)  // more than the calls have commands
        args.entries.push_back(BatchAt(before.last_index + i, before.term + 1, "theirs"));
      args.leader_commit = before.last_index + 8;
      Calls calls;
      DeposeAfter deposing(real, turns);
      calls.StartOutside(*real.raft);
      real.cluster.InTurn([&] {
        calls.StartInTurn(real);
        deposing.Start(std::move(args));
      });
      real.cluster.Until("the ends", [&] { return calls.AreOver() && deposing.reply; });
      REQUIRE(deposing.reply->has_value());
      CHECK(deposing.reply->value().success);
      for (const Calls::End& end : calls.Ends()) {
        CAPTURE(end.command);
        CAPTURE(end.result);
        CHECK((end.code == Errc::kUnknown || end.code == Errc::kNotLeader));
        ++(end.code == Errc::kUnknown ? seen.unknown : seen.refused);
      }
      const std::vector<std::string>& now = real.cluster.nodes[0].machine->applied;
      real.cluster.Until("the new leader's entries", [&] { return now.size() >= applied.size() + 8; });
      CHECK(std::count(now.begin(), now.end(), "theirs") == 8);
      CHECK(now.size() == applied.size() + 8);
      real.two.Acknowledge();
      real.three.Acknowledge();
    }
    CHECK(seen.unknown > 20);  // the sweep has seen both outcomes
    CHECK(seen.refused > 5);
  }

  TEST_CASE("a leader deposed after any turn, its entries kept: a result is the call's own, and a refusal is certain") {
    Seen seen;
    for (int turns = 0; turns <= 30; ++turns) {
      CAPTURE(turns);
      RealLeader real;
      const RaftStatus before = real.raft->Status();
      Calls calls;
      DeposeAfter deposing(real, turns);
      calls.StartOutside(*real.raft);
      real.cluster.InTurn([&] {
        calls.StartInTurn(real);
        deposing.Start(real.From(2, before.term + 1, before.last_index, before.term));
      });
      real.cluster.Until("the ends", [&] { return calls.AreOver() && deposing.reply; });
      // The others have all of its entries: the new leader commits them.
      const RaftStatus after = real.raft->Status();
      Reply<AppendEntriesResults> committed;
      AppendEntriesArgs args = real.From(2, std::max(after.term, before.term + 1), after.last_index, before.term);
      args.leader_commit = after.last_index;
      real.cluster.InTurn([&] { AskAppend(real.two, std::move(args), committed); });
      real.cluster.Until("them to be applied",
                         [&] { return committed && real.raft->Status().applied_index >= after.last_index; });
      const std::vector<std::string>& applied = real.cluster.nodes[0].machine->applied;
      for (const Calls::End& end : calls.Ends()) {
        CAPTURE(end.command);
        const auto count = std::count(applied.begin(), applied.end(), end.command);
        if (end.code == Errc::kOk) {
          ++seen.values;
          CHECK(count == 1);
          const auto at = std::find(applied.begin(), applied.end(), end.command) - applied.begin();
          CHECK(end.result == std::to_string(at + 1) + ":" + end.command);
        } else if (end.code == Errc::kNotLeader) {
          ++seen.refused;
          CHECK(count == 0);
        } else {
          ++seen.unknown;
          CHECK(end.code == Errc::kUnknown);
          CHECK(count <= 1);
        }
      }
    }
    CHECK(seen.values > 20);
    CHECK(seen.refused > 5);
    MESSAGE(seen.values << " results, " << seen.unknown << " unknown, " << seen.refused << " refused");
  }
}

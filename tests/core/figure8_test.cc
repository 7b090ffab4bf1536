// The paper's Figure 8: why a leader must not commit an entry of an older term by counting replicas (section 5.4.2).
#include <doctest/doctest.h>

#include "server.h"

namespace ringraft::core {
namespace {

const Configuration kFive = MakeConfiguration({1, 2, 3, 4, 5});

TEST_SUITE("figure 8: 5.4.2 committing entries from previous terms") {
  TEST_CASE("B1: (c) and (d): entry 2 of term 2 is on a majority, is not committed, and is overwritten") {
    // (a), (b): S1 has entry 2 of term 2; after its restart it is elected in term 4.
    Server s1({.configuration = kFive, .terms = {1, 2}, .term = 3});
    s1.Win({2, 3});
    REQUIRE(s1->term() == Term(4));
    s1.Persist();
    // (c): it replicates entry 2 to S3; S2 has it since term 2. Its entry of term 4 reaches no server.
    for (uint64_t peer : {2, 3}) {
      auto request = s1.NextAppend(peer);
      AppendEntriesResults only_two{Term(4), true, Index(2), {}};
      s1->OnAppendReply(s1.now, request->ticket, only_two);
      s1->CheckInvariants();
    }
    CHECK(s1->commit_index() == Index(0));
    // (d): S5 with entry 2 of term 3 is elected in term 5 and overwrites it on S3.
    Server s3({.self = 3, .configuration = kFive, .terms = {1, 2}, .term = 4});
    CHECK(s3.Vote(s3.VoteArgs(5, 5, 2, 3)).vote_granted);
    CHECK(s3.Append(s3.AppendArgs(5, 5, 1, 1, {Commands(2, 3, 1, 5), Commands(3, 5, 1, 5)}, 3)).success);
    CHECK(s3.Terms() == std::vector<uint64_t>{1, 3, 5});
    CHECK(s3->commit_index() == Index(3));
  }

  TEST_CASE("B1: (e): an entry of its own term on a majority commits all entries before it, and S5 cannot win") {
    Server s1({.configuration = kFive, .terms = {1, 2}, .term = 3});
    s1.Win({2, 3});
    s1.Persist();
    s1.Replicate(2);
    CHECK(s1->commit_index() == Index(0));
    s1.Replicate(3);
    CHECK(s1->commit_index() == Index(3));
    Server s3({.self = 3, .configuration = kFive, .terms = {1, 2, 4}});
    CHECK_FALSE(s3.Vote(s3.VoteArgs(5, 5, 2, 3)).vote_granted);
  }
}

}  // namespace
}  // namespace ringraft::core

// The start counts of data directories: what they accept and refuse, and how they are stored.
#include "node/start_counts.h"

#include "start_counts_support.h"

using namespace ringraft;
using namespace ringraft::test;

TEST_SUITE("node/start_counts") {
  TEST_CASE("an earlier start of a data directory is refused, and so is the same start in another process") {
    node::StartCounts counts;
    CHECK(Check(counts, Start(3, 30)) == Checked{Errc::kOk, true});
    CHECK(Check(counts, Start(3, 30)) == Checked{Errc::kOk, false});
    CHECK(Check(counts, Start(3, 31)) == Checked{Errc::kDuplicateNode, false});
    CHECK(Check(counts, Start(2, 20)) == Checked{Errc::kDuplicateNode, false});
    CHECK(Check(counts, Start(2, 30)) == Checked{Errc::kDuplicateNode, false});
    CHECK(Check(counts, Start(3, 0)) == Checked{Errc::kOk, false});  // its process is unknown
    CHECK(Check(counts, Start(5, 50)) == Checked{Errc::kOk, true});
    CHECK(Check(counts, Start(3, 30)) == Checked{Errc::kDuplicateNode, false});
    // Another directory, and another node, have counts of their own; a peer without a directory has none.
    CHECK(Check(counts, Start(1, 10, 6)) == Checked{Errc::kOk, true});
    Identity other = Start(1, 10);
    other.node = NodeId(2);
    CHECK(Check(counts, other) == Checked{Errc::kOk, true});
    CHECK(Check(counts, Start(1, 10, 0)) == Checked{Errc::kOk, false});
    bool is_news = false;
    const std::string said = counts.Check(Start(4, 40), is_news).error().message();
    CHECK(said.find("node 1 presents start 4 of its data directory, which does not follow the known start 5") !=
          std::string::npos);
    CHECK(said.find("copy or a restored backup") != std::string::npos);
  }

  TEST_CASE("a copy that was started more often than its original is refused: its starts were other processes") {
    node::StartCounts counts;
    CHECK(Check(counts, Start(5, 50)).is_news);
    Identity copy = Start(7, 71);
    copy.earlier = {61, 51, 40};
    CHECK(Check(counts, copy) == Checked{Errc::kDuplicateNode, false});
    Identity late = Start(7, 70);
    late.earlier = {60, 50, 40};
    CHECK(Check(counts, late) == Checked{Errc::kOk, true});
    CHECK(Check(counts, copy) == Checked{Errc::kDuplicateNode, false});
    Identity much_later = Start(7 + 33, 1);  // more starts ago than it presents
    much_later.earlier.fill(9);
    CHECK(Check(counts, much_later) == Checked{Errc::kOk, true});
  }

  TEST_CASE("a start presents the processes of those before it, also after one that was interrupted") {
    auto storage = MakeMemoryStorage();
    Options options = Cluster::MakeOptions(1);
    options.initial_members = {PeerAt(1)};
    std::vector<uint64_t> processes;
    auto claim = [&] {
      const Identity identity = node::ClaimStorage(options, *storage, RecoveredLog()).value().identity;
      for (size_t i = 0; i < std::min<size_t>(processes.size(), 31); ++i)
        CHECK(identity.earlier[i] == processes[processes.size() - 1 - i]);
      processes.push_back(identity.process);
      return identity;
    };
    for (int start = 1; start <= 40; ++start) claim();
    const std::string identity = storage->Store().Get(node::kIdentityKey).value();
    claim();
    REQUIRE(
        storage->Store().Set(node::kIdentityKey, identity).has_value());  // as if the start had been interrupted before
    processes.pop_back();
    CHECK(claim().start_count == 41);
    CHECK(claim().start_count == 42);
  }

  TEST_CASE("start counts are stored and read back whole, and a malformed value is refused") {
    CHECK(node::StartCounts().Encode().empty());
    node::StartCounts counts;
    CHECK(Check(counts, Start(3, 30)).is_news);
    CHECK(Check(counts, Start(7, 70, 6)).is_news);
    const std::string stored = counts.Encode();
    node::StartCounts again = node::StartCounts::Decode(stored).value();
    CHECK(again.Encode() == stored);
    CHECK(Check(again, Start(3, 30)) == Checked{Errc::kOk, false});
    CHECK(Check(again, Start(3, 31)) == Checked{Errc::kDuplicateNode, false});
    CHECK(Check(again, Start(6, 60, 6)) == Checked{Errc::kDuplicateNode, false});
    CHECK(Check(again, Start(8, 80, 6)) == Checked{Errc::kOk, true});

    CHECK(node::StartCounts::Decode("").has_value());
    for (size_t size : {size_t{1}, stored.size() - 1, stored.size() / 2 + 1, size_t{1} << 20}) {
      std::string cut = stored;
      cut.resize(size);
      const auto decoded = node::StartCounts::Decode(cut);
      REQUIRE_FALSE(decoded.has_value());
      CHECK(decoded.error() == Errc::kCorrupt);
      CHECK(decoded.error().message().find("readmit") != std::string::npos);
    }
  }
}

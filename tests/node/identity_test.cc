// Whose storage it is, and how a cluster's log begins.
#include "cluster.h"
#include "node/identity.h"
#include "support.h"

using namespace ringraft;
using namespace ringraft::test;

namespace {

Options On(std::shared_ptr<Storage> storage, uint64_t id) {
  Options options = Cluster::MakeOptions(id);
  options.storage = std::move(storage);
  return options;
}

// Creates a node and lets it go again.
Error TryCreate(Options options) {
  ListMachine machine;
  auto raft = Raft::Create(std::move(options), machine);
  return raft ? Error() : raft.error();
}

const std::vector<Peer> kMembers = {PeerAt(1), PeerAt(2), PeerAt(3)};

}  // namespace

TEST_SUITE("node/identity") {
  TEST_CASE("another node's storage is refused by name") {
    auto storage = MakeMemoryStorage();
    Options first = On(storage, 1);
    first.initial_members = kMembers;
    REQUIRE(TryCreate(first) == Errc::kOk);
    Options second = On(storage, 2);
    second.initial_members = kMembers;
    Error error = TryCreate(second);
    CHECK(error == Errc::kWrongNode);
    CHECK(error.message().find("belongs to node 1, and this is node 2") != std::string::npos);
    CHECK(TryCreate(first) == Errc::kOk);  // its own node still opens it
  }

  TEST_CASE("another cluster's storage is refused by name, also where only the member list tells") {
    auto storage = MakeMemoryStorage();
    Options named = On(storage, 1);
    named.cluster_name = "alpha";
    named.initial_members = kMembers;
    REQUIRE(TryCreate(named) == Errc::kOk);
    Options other_name = named;
    other_name.cluster_name = "beta";
    CHECK(TryCreate(other_name) == Errc::kWrongCluster);
    Options other_list = named;  // with a name the list says only how it began
    other_list.initial_members = {PeerAt(1), PeerAt(2)};
    CHECK(TryCreate(other_list) == Errc::kOk);

    auto listed = MakeMemoryStorage();
    Options by_list = On(listed, 1);
    by_list.initial_members = kMembers;
    REQUIRE(TryCreate(by_list) == Errc::kOk);
    by_list.initial_members = {PeerAt(3), PeerAt(2), PeerAt(1)};
    CHECK(TryCreate(by_list) == Errc::kOk);  // in any order
    by_list.initial_members = {PeerAt(1), PeerAt(2)};
    Error error = TryCreate(by_list);
    CHECK(error == Errc::kWrongCluster);
    CHECK(error.message().find("member list") != std::string::npos);
  }

  TEST_CASE("another group's storage and an unknown format are refused") {
    auto storage = MakeMemoryStorage();
    Options options = On(storage, 1);
    options.bootstrap_as_leader = true;
    REQUIRE(TryCreate(options) == Errc::kOk);
    options.group = GroupId(2);
    CHECK(TryCreate(options) == Errc::kWrongNode);
    options.group = GroupId(1);
    std::string stored = storage->Store().Get(node::kIdentityKey).value();
    std::string newer = stored;
    newer[0] = 9;
    REQUIRE(storage->Store().Set(node::kIdentityKey, newer).has_value());
    CHECK(TryCreate(options) == Errc::kWrongVersion);
    REQUIRE(storage->Store().Set(node::kIdentityKey, stored.substr(0, 20)).has_value());
    CHECK(TryCreate(options) == Errc::kCorrupt);
    REQUIRE(storage->Store().Set(node::kIdentityKey, stored).has_value());
    CHECK(TryCreate(options) == Errc::kOk);
  }

  TEST_CASE("a log without an identity is refused") {
    auto storage = MakeMemoryStorage();
    LogEntry entry(Index(1), Term(1), LogEntryType::kCommand, "x");
    REQUIRE(storage->Log().AppendEntry(entry).has_value());
    Options options = On(storage, 1);
    options.bootstrap_as_leader = true;
    CHECK(TryCreate(options) == Errc::kCorrupt);
  }

  TEST_CASE("every start raises the start count, and the incarnation stays") {
    auto storage = MakeMemoryStorage();
    Options options = On(storage, 1);
    options.initial_members = kMembers;
    uint64_t incarnation = 0;
    for (uint64_t start = 1; start <= 4; ++start) {
      RecoveredLog recovered = storage->Recover().value();
      Result<Identity> identity = node::ClaimStorage(options, *storage, recovered);
      REQUIRE(identity.has_value());
      CHECK(identity.value().start_count == start);
      CHECK(identity.value().incarnation != 0);
      if (start > 1) CHECK(identity.value().incarnation == incarnation);
      incarnation = identity.value().incarnation;
      CHECK(identity.value().cluster == node::NamedCluster(options));
    }
    auto other = MakeMemoryStorage();
    CHECK(node::ClaimStorage(options, *other, RecoveredLog()).value().incarnation != incarnation);
  }

  TEST_CASE("a first start that was cut short between identity and first log entry is completed") {
    auto storage = MakeMemoryStorage();
    Options options = On(storage, 1);
    options.bootstrap_as_leader = true;
    Result<Identity> claimed = node::ClaimStorage(options, *storage, RecoveredLog());
    REQUIRE(claimed.has_value());
    CHECK(!storage->Recover().value().last_index);
    CHECK(TryCreate(options) == Errc::kOk);
    RecoveredLog recovered = storage->Recover().value();
    CHECK(recovered.last_index == Index(1));
    REQUIRE(recovered.configurations.size() == 1);
    CHECK(TryCreate(options) == Errc::kOk);
    CHECK(storage->Recover().value().last_index == Index(1));  // once
    Result<Identity> again = node::ClaimStorage(options, *storage, recovered);
    REQUIRE(again.has_value());
    CHECK(again.value().cluster == claimed.value().cluster);
    CHECK(again.value().start_count == 4);
  }

  TEST_CASE("all nodes of a fixed list write the same first entry, and a vote that was given before stays") {
    std::vector<std::string> bytes;
    for (uint64_t id = 1; id <= 3; ++id) {
      auto storage = MakeMemoryStorage();
      Options options = On(storage, id);
      options.initial_members = {kMembers[id % 3], kMembers[(id + 1) % 3], kMembers[(id + 2) % 3]};
      HardState voted;
      voted.term = Term(7);
      voted.vote = NodeId(2);
      if (id == 3) REQUIRE(storage->Commit(voted, std::nullopt, {}).has_value());
      REQUIRE(TryCreate(options) == Errc::kOk);
      bytes.emplace_back(storage->Read(Index(1), 1 << 20).value().front().bytes());
      HardState stored = storage->Recover().value().hard_state;
      CHECK(stored.term == (id == 3 ? Term(7) : Term(1)));
      CHECK(stored.vote == (id == 3 ? NodeId(2) : NodeId(0)));
    }
    CHECK(bytes[0] == bytes[1]);
    CHECK(bytes[0] == bytes[2]);
  }

  TEST_CASE("bootstrap_as_leader on a log that is not empty changes nothing") {
    auto storage = MakeMemoryStorage();
    Options options = On(storage, 1);
    options.initial_members = kMembers;
    REQUIRE(TryCreate(options) == Errc::kOk);
    std::string command = storage->Recover().value().configurations.front().command;
    options.initial_members.clear();
    options.bootstrap_as_leader = true;
    CHECK(TryCreate(options) == Errc::kOk);
    RecoveredLog recovered = storage->Recover().value();
    REQUIRE(recovered.configurations.size() == 1);
    CHECK(recovered.configurations.front().command == command);
  }
}

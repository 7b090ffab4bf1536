// The identity of a storage: its checks at each start, its generation, and a bootstrap alone.
#include "node/identity.h"

#include <set>

#include "cluster.h"
#include "support.h"

using namespace ringraft;
using namespace ringraft::test;

namespace {

Options On(std::shared_ptr<Storage> storage, uint64_t id) {
  Options options = Cluster::MakeOptions(id);
  options.storage = std::move(storage);
  return options;
}

// Creates a node and destroys it.
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

  TEST_CASE("another cluster's storage is refused by name, also where only the member list names it") {
    auto storage = MakeMemoryStorage();
    Options named = On(storage, 1);
    named.cluster_name = "alpha";
    named.initial_members = kMembers;
    REQUIRE(TryCreate(named) == Errc::kOk);
    Options other_name = named;
    other_name.cluster_name = "beta";
    CHECK(TryCreate(other_name) == Errc::kWrongCluster);
    Options other_list = named;  // the name counts, not the list
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

  TEST_CASE("C20: once there is a log, a changed member list does not refuse the start, and a changed name does") {
    auto storage = MakeMemoryStorage();
    Options options = On(storage, 1);
    options.initial_members = kMembers;
    WriteFirstEntry(options, *storage);
    const std::string stored = storage->Store().Get(node::kIdentityKey).value();
    options.initial_members = {PeerAt(1), PeerAt(2), PeerAt(3), PeerAt(4)};
    CHECK(TryCreate(options) == Errc::kOk);
    const Identity after = node::DecodeIdentity(storage->Store().Get(node::kIdentityKey).value()).value();
    CHECK(after.cluster == node::DecodeIdentity(stored).value().cluster);
    options.cluster_name = "beta";
    CHECK(TryCreate(options) == Errc::kWrongCluster);
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

  TEST_CASE("a generation that an older build has stored is read, and a malformed one is refused") {
    auto storage = MakeMemoryStorage();
    Options options = On(storage, 1);
    options.initial_members = kMembers;
    WriteFirstEntry(options, *storage);
    const RecoveredLog recovered = storage->Recover().value();
    const Generation founded = node::FirstGeneration(recovered.configurations.front().command);
    CHECK(founded.counter == 1);
    CHECK(founded.origin != 0);
    const auto read = [&](const std::string& stored) {
      REQUIRE(storage->Store().Set(node::kGenerationKey, stored).has_value());
      return node::ReadGeneration(*storage, recovered);
    };
    CHECK(node::ReadGeneration(*storage, recovered).value() == founded);  // none is stored
    CHECK(read(std::string("\1\0\0\0\0\0\0\0", 8)).value() == founded);
    CHECK(read(std::string("\2\0\0\0\0\0\0\0", 8)).value() == Generation{2, 0});
    CHECK(read(node::EncodeGeneration(Generation{3, 33})).value() == Generation{3, 33});
    CHECK(node::ReadGeneration(*storage, RecoveredLog()).value() == Generation());
    for (size_t size : {1, 7, 9, 15, 17}) CHECK(read(std::string(size, '\1')).error() == Errc::kCorrupt);
  }

  TEST_CASE("a generation that was adopted without a log does not survive a bootstrap") {
    auto storage = MakeMemoryStorage();
    Options options = On(storage, 1);
    REQUIRE(TryCreate(options) == Errc::kOk);
    REQUIRE(storage->Store().Set(node::kGenerationKey, node::EncodeGeneration(Generation{2, 22})).has_value());
    options.bootstrap_as_leader = true;
    REQUIRE(TryCreate(options) == Errc::kOk);
    const RecoveredLog recovered = storage->Recover().value();
    CHECK(node::ReadGeneration(*storage, recovered).value() ==
          node::FirstGeneration(recovered.configurations.front().command));
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
    std::set<uint64_t> processes;
    for (uint64_t start = 1; start <= 4; ++start) {
      RecoveredLog recovered = storage->Recover().value();
      Result<node::Claim> claim = node::ClaimStorage(options, *storage, recovered);
      REQUIRE(claim.has_value());
      const Identity identity = claim.value().identity;
      CHECK(identity.start_count == start);
      CHECK(identity.incarnation != 0);
      if (start > 1) CHECK(identity.incarnation == incarnation);
      incarnation = identity.incarnation;
      CHECK(processes.insert(identity.process).second);
      CHECK(identity.cluster == node::NamedCluster(options));
    }
    auto other = MakeMemoryStorage();
    CHECK(node::ClaimStorage(options, *other, RecoveredLog()).value().identity.incarnation != incarnation);
  }

  TEST_CASE("a first start that was interrupted between identity and first log entry is completed") {
    auto storage = MakeMemoryStorage();
    Options options = On(storage, 1);
    options.bootstrap_as_leader = true;
    Result<node::Claim> claimed = node::ClaimStorage(options, *storage, RecoveredLog());
    REQUIRE(claimed.has_value());
    CHECK(claimed.value().identity.cluster);
    CHECK(!storage->Recover().value().last_index);
    CHECK(TryCreate(options) == Errc::kOk);
    const Identity begun = node::DecodeIdentity(storage->Store().Get(node::kIdentityKey).value()).value();
    RecoveredLog recovered = storage->Recover().value();
    CHECK(recovered.last_index == Index(1));
    REQUIRE(recovered.configurations.size() == 1);
    CHECK(TryCreate(options) == Errc::kOk);
    CHECK(storage->Recover().value().last_index == Index(1));  // once
    Result<node::Claim> again = node::ClaimStorage(options, *storage, recovered);
    REQUIRE(again.has_value());
    CHECK(again.value().identity.cluster == begun.cluster);
    CHECK(again.value().identity.start_count == 4);
  }

  TEST_CASE("a cluster that is bootstrapped on a directory that has waited to be added has an id, too") {
    auto storage = MakeMemoryStorage();
    Options options = On(storage, 1);
    REQUIRE(TryCreate(options) == Errc::kOk);
    options.bootstrap_as_leader = true;
    REQUIRE(TryCreate(options) == Errc::kOk);
    const Identity begun = node::DecodeIdentity(storage->Store().Get(node::kIdentityKey).value()).value();
    CHECK(begun.cluster);
    REQUIRE(TryCreate(options) == Errc::kOk);
    CHECK(node::DecodeIdentity(storage->Store().Get(node::kIdentityKey).value()).value().cluster == begun.cluster);
  }

  TEST_CASE("a node that has learned a cluster and bootstraps alone bootstraps another one") {
    auto storage = MakeMemoryStorage();
    Options options = On(storage, 1);
    Identity heard = node::ClaimStorage(options, *storage, RecoveredLog()).value().identity;
    heard.cluster = ClusterId{1, 2};
    REQUIRE(storage->Store().Set(node::kIdentityKey, node::EncodeIdentity(heard, options)).has_value());
    options.bootstrap_as_leader = true;
    REQUIRE(TryCreate(options) == Errc::kOk);
    const Identity begun = node::DecodeIdentity(storage->Store().Get(node::kIdentityKey).value()).value();
    CHECK(begun.cluster);
    CHECK(begun.cluster != heard.cluster);
  }

  TEST_CASE("bootstrap_as_leader on a log that is not empty changes nothing") {
    auto storage = MakeMemoryStorage();
    Options options = On(storage, 1);
    options.initial_members = kMembers;
    WriteFirstEntry(options, *storage);
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

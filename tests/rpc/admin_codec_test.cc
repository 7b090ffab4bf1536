// Operators' messages survive encoding, and malformed ones are refused by name.
#include "rpc/admin_codec.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <doctest/doctest.h>

#include <random>

#include "core/configuration.h"

namespace ringraft::rpc {
namespace {

TEST_SUITE_BEGIN("rpc admin codec");

constexpr uint64_t kMax = UINT64_MAX;
static_assert(kMaxAdminMembers == 2 * core::kMaxPeers && kMaxAdminAddrBytes == core::kMaxAddrBytes &&
              kMaxAdminDataBytes == core::kMaxMemberDataBytes);

template <class Message, class T>
auto RoundTrip(const T& value) {
  capnp::MallocMessageBuilder message;
  auto builder = message.initRoot<Message>();
  Encode(value, builder);
  return Decode(builder.asReader());
}

bool Names(const Error& error, std::string_view part) { return error.message().find(part) != std::string::npos; }

PeerStatus Member(uint64_t id, MemberKind kind) {
  PeerStatus member;
  member.peer = Peer(NodeId(id), Addr("host" + std::to_string(id) + ":7101"));
  member.kind = kind;
  member.data = std::string("a\0b\xff", 4);
  member.match_index = Index(kMax - id);
  member.lag_entries = kMax - id - 1;
  member.inflight_bytes = kMax - id - 2;
  member.lag_bytes = kMax - id - 3;
  member.lag_time = Duration::max() - Duration(id);
  member.last_contact = Duration(id);
  return member;
}

AdminStatus Status(uint64_t base) {
  AdminStatus status;
  status.identity = Identity{ClusterId{base, base + 1}, NodeId(base + 2), base + 3, base + 4};
  status.group = GroupId(base + 5);
  RaftStatus& raft = status.raft;
  raft.id = NodeId(base + 2);
  raft.role = Role::kCandidate;
  raft.term = Term(base + 6);
  raft.last_index = Index(base + 7);
  raft.durable_index = Index(base + 8);
  raft.commit_index = Index(base + 9);
  raft.applied_index = Index(base + 10);
  raft.configuration_index = Index(base + 11);
  raft.waiting_calls = base + 12;
  raft.waiting_bytes = base + 13;
  raft.is_disk_stalled = base != 0;
  raft.disk_latency = Duration(static_cast<int64_t>(base / 2));
  return status;
}

TEST_CASE("a status keeps every field, from the smallest to the largest numbers") {
  for (uint64_t base : {uint64_t{0}, kMax - 13}) {
    AdminStatus status = Status(base);
    status.raft.is_joint = base != 0;
    if (base != 0) status.raft.leader = Peer(NodeId(3), Addr("c:3"));
    status.raft.peers = {Member(1, MemberKind::kVoter), Member(2, MemberKind::kLearner)};
    status.raft.peers[0].is_self = status.raft.peers[1].is_catching_up = status.raft.peers[1].is_reachable = true;
    const auto back = RoundTrip<schema::Status>(status);
    REQUIRE(back);
    const RaftStatus& raft = back.value().raft;
    CHECK(back.value().identity.cluster == status.identity.cluster);
    CHECK(back.value().identity.node == status.identity.node);
    CHECK(back.value().identity.incarnation == status.identity.incarnation);
    CHECK(back.value().identity.start_count == status.identity.start_count);
    CHECK(back.value().group == status.group);
    CHECK(raft.id == status.raft.id);
    CHECK(raft.role == status.raft.role);
    CHECK(raft.term == status.raft.term);
    CHECK(raft.leader == status.raft.leader);
    CHECK(raft.last_index == status.raft.last_index);
    CHECK(raft.durable_index == status.raft.durable_index);
    CHECK(raft.commit_index == status.raft.commit_index);
    CHECK(raft.applied_index == status.raft.applied_index);
    CHECK(raft.configuration_index == status.raft.configuration_index);
    CHECK(raft.is_joint == status.raft.is_joint);
    CHECK(raft.waiting_calls == status.raft.waiting_calls);
    CHECK(raft.waiting_bytes == status.raft.waiting_bytes);
    CHECK(raft.is_disk_stalled == status.raft.is_disk_stalled);
    CHECK(raft.disk_latency == status.raft.disk_latency);
    REQUIRE(raft.peers.size() == 2);
    for (size_t i = 0; i < 2; ++i) {
      const PeerStatus &got = raft.peers[i], &sent = status.raft.peers[i];
      CHECK(got.peer == sent.peer);
      CHECK(got.kind == sent.kind);
      CHECK(got.is_self == sent.is_self);
      CHECK(got.is_catching_up == sent.is_catching_up);
      CHECK(got.is_reachable == sent.is_reachable);
      CHECK(got.data == sent.data);
      CHECK(got.match_index == sent.match_index);
      CHECK(got.lag_entries == sent.lag_entries);
      CHECK(got.inflight_bytes == sent.inflight_bytes);
      CHECK(got.lag_bytes == sent.lag_bytes);
      CHECK(got.lag_time == sent.lag_time);
      CHECK(got.last_contact == sent.last_contact);
    }
  }
}

TEST_CASE("a status of as many members as there may be is one segment, and one of more is refused") {
  AdminStatus status = Status(1);
  for (uint64_t id = 1; id <= kMaxAdminMembers; ++id) status.raft.peers.push_back(Member(id, MemberKind::kVoter));
  capnp::MallocMessageBuilder message(static_cast<unsigned>(SizeHint(status).wordCount),
                                      capnp::AllocationStrategy::FIXED_SIZE);
  auto builder = message.initRoot<schema::Status>();
  Encode(status, builder);
  CHECK(message.getSegmentsForOutput().size() == 1);
  CHECK(Decode(builder.asReader()));
  status.raft.peers.push_back(Member(9999, MemberKind::kVoter));
  const auto back = RoundTrip<schema::Status>(status);
  REQUIRE_FALSE(back);
  CHECK(Names(back.error(), "2049 members exceed the limit of 2048"));
}

TEST_CASE("member kinds and roles of a later version keep their numbers") {
  AdminStatus status = Status(1);
  status.raft.role = static_cast<Role>(17);
  status.raft.peers = {Member(1, static_cast<MemberKind>(99))};
  const auto back = RoundTrip<schema::Status>(status);
  REQUIRE(back);
  CHECK(static_cast<int>(back.value().raft.role) == 17);
  CHECK(static_cast<int>(back.value().raft.peers[0].kind) == 99);
}

TEST_CASE("a change keeps every step and its condition") {
  ConfigChange change;
  change.AddVoter(Peer(NodeId(kMax), Addr("a:1"))).AddLearner(Peer(NodeId(2), Addr("b:2"))).Remove(NodeId(3));
  change.Promote(NodeId(4)).Demote(NodeId(5)).SetAddr(NodeId(6), Addr("c:3"));
  change.SetData(NodeId(7), std::string("x\0y", 3)).SetData(NodeId(8), "").BasedOn(Index(kMax));
  const auto back = RoundTrip<schema::ConfigChange>(change);
  REQUIRE(back);
  CHECK(back.value().based_on() == Index(kMax));
  REQUIRE(back.value().steps().size() == change.steps().size());
  for (size_t i = 0; i < change.steps().size(); ++i) {
    CAPTURE(i);
    CHECK(back.value().steps()[i].kind == change.steps()[i].kind);
    CHECK(back.value().steps()[i].peer == change.steps()[i].peer);
    CHECK(back.value().steps()[i].data == change.steps()[i].data);
  }
  CHECK_FALSE(RoundTrip<schema::ConfigChange>(ConfigChange().Remove(NodeId(1))).value().based_on());
}

TEST_CASE("a step of a later version is refused, naming its position, member and kind") {
  capnp::MallocMessageBuilder message;
  auto steps = message.initRoot<schema::ConfigChange>().initSteps(2);
  steps[0].setKind(schema::StepKind::REMOVE);
  steps[1].setKind(static_cast<schema::StepKind>(77));
  steps[1].setId(5);
  const auto back = Decode(message.getRoot<schema::ConfigChange>().asReader());
  REQUIRE_FALSE(back);
  CHECK(back.error() == Errc::kUnsupported);
  CHECK(Names(back.error(), "step 2 of the change, about node 5, has the unknown kind 77"));
}

TEST_CASE("a change over a limit is refused, naming the limit") {
  ConfigChange many;
  for (size_t i = 0; i < kMaxAdminSteps; ++i) many.Remove(NodeId(i + 1));
  CHECK(RoundTrip<schema::ConfigChange>(many));
  many.Remove(NodeId(1));
  auto refused = RoundTrip<schema::ConfigChange>(many);
  REQUIRE_FALSE(refused);
  CHECK(Names(refused.error(), "6145 steps exceed the limit of 6144"));

  for (size_t more : {0, 1}) {
    const auto addr =
        RoundTrip<schema::ConfigChange>(ConfigChange().SetAddr(NodeId(1), Addr(std::string(1024 + more, 'a'))));
    CHECK(addr.has_value() == (more == 0));
    if (!addr) CHECK(Names(addr.error(), "1025 bytes of an address exceed the limit of 1024"));
    const auto data = RoundTrip<schema::ConfigChange>(ConfigChange().SetData(NodeId(1), std::string(4096 + more, 'd')));
    CHECK(data.has_value() == (more == 0));
    if (!data) CHECK(Names(data.error(), "4097 bytes of a member's data exceed the limit of 4096"));
  }
}

TEST_CASE("every error arrives with its text, and kNotLeader with the leader") {
  CHECK(RoundTrip<schema::Outcome>(Error()));
  for (int number = 1; number <= static_cast<int>(Errc::kNoQuorum); ++number) {
    const auto plain = RoundTrip<schema::Outcome>(Error(static_cast<Errc>(number)));
    REQUIRE_FALSE(plain);
    CHECK(plain.error() == static_cast<Errc>(number));
    CHECK(plain.error().message() == Error(static_cast<Errc>(number)).message());
  }
  const auto refused = RoundTrip<schema::Outcome>(Error(Errc::kConfigInProgress, "index 17 is not committed"));
  CHECK(refused.error() == Errc::kConfigInProgress);
  CHECK(refused.error().message() == "index 17 is not committed");
  const auto elsewhere = RoundTrip<schema::Outcome>(Error::NotLeader(Peer(NodeId(3), Addr("c:3"))));
  REQUIRE(elsewhere.error().leader());
  CHECK(*elsewhere.error().leader() == Peer(NodeId(3), Addr("c:3")));
  CHECK_FALSE(RoundTrip<schema::Outcome>(Error::NotLeader(std::nullopt)).error().leader());
}

TEST_CASE("a long error text is cut, and an error of a later version keeps its text and its number") {
  const auto cut = RoundTrip<schema::Outcome>(Error(Errc::kIo, std::string(10'000, 'x')));
  CHECK(cut.error() == Errc::kIo);
  CHECK(cut.error().message().size() == kMaxAdminTextBytes);
  capnp::MallocMessageBuilder message;
  auto outcome = message.initRoot<schema::Outcome>();
  outcome.setErrc(65535);
  outcome.setMessage("no such thing yet");
  const auto later = Decode(outcome.asReader());
  REQUIRE_FALSE(later);
  CHECK(Names(later.error(), "no such thing yet (error code 65535"));
  outcome.setMessage(std::string(kMaxAdminTextBytes + 1, 'x'));
  CHECK(Names(Decode(outcome.asReader()).error(), "over its limit"));
}

TEST_CASE("a hello keeps its version and its group, also group 0") {
  CHECK_FALSE(RoundTrip<schema::AdminHello>(AdminHello{7, std::nullopt}).value().group);
  const auto back = RoundTrip<schema::AdminHello>(AdminHello{7, GroupId(0)});
  CHECK(back.value().version == 7);
  CHECK(back.value().group == GroupId(0));
}

TEST_CASE("a timeout is clamped between zero and a day") {
  CHECK(DecodeTimeout(INT64_MIN) == Duration::zero());
  CHECK(DecodeTimeout(-1) == Duration::zero());
  CHECK(DecodeTimeout(1'500'000'000) == std::chrono::milliseconds(1500));
  CHECK(DecodeTimeout(INT64_MAX) == std::chrono::hours(24));
}

TEST_CASE("messages with flipped bits are read or refused, and nothing throws") {
  AdminStatus status = Status(5);
  status.raft.leader = Peer(NodeId(3), Addr("c:3"));
  status.raft.peers = {Member(1, MemberKind::kVoter), Member(2, MemberKind::kLearner)};
  const ConfigChange change = ConfigChange().AddVoter(Peer(NodeId(4), Addr("d:4"))).SetData(NodeId(4), "zone");
  std::mt19937_64 random(1);
  size_t refused = 0;
  constexpr size_t kHead = 16;  // the segment table and the root pointer are read before Decode is called
  const auto damage = [&](capnp::MessageBuilder& message, auto read) {
    const kj::Array<capnp::word> good = capnp::messageToFlatArray(message);
    for (int i = 0; i < 20'000; ++i) {
      auto words = kj::heapArray<capnp::word>(good.size());
      memcpy(words.begin(), good.begin(), good.size() * sizeof(capnp::word));
      for (uint64_t flips = 1 + random() % 4; flips > 0; --flips)
        words.asBytes()[kHead + random() % (words.asBytes().size() - kHead)] ^=
            static_cast<kj::byte>(1 << random() % 8);
      capnp::FlatArrayMessageReader reader(words);
      refused += !read(reader);
    }
  };
  capnp::MallocMessageBuilder statuses, changes;
  Encode(status, statuses.initRoot<schema::Status>());
  Encode(change, changes.initRoot<schema::ConfigChange>());
  damage(statuses, [](auto& reader) { return Decode(reader.template getRoot<schema::Status>()).has_value(); });
  damage(changes, [](auto& reader) { return Decode(reader.template getRoot<schema::ConfigChange>()).has_value(); });
  CHECK(refused > 1000);
}

TEST_SUITE_END();

}  // namespace
}  // namespace ringraft::rpc

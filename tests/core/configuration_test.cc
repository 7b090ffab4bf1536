// Configuration: encoding, malformed members, contradictory changes.
#include "core/configuration.h"

#include <doctest/doctest.h>

#include "server.h"

namespace ringraft::core {
namespace {

TEST_SUITE("configuration") {
  TEST_CASE("a configuration survives encoding") {
    for (const Configuration& configuration :
         {MakeConfiguration({1}), MakeConfiguration({1, 2, 3}), MakeConfiguration({2, 3, 9}, {1, 2, 3})}) {
      auto decoded = Configuration::Decode(configuration.Encode());
      REQUIRE(decoded.has_value());
      CHECK(decoded.value() == configuration);
    }
  }

  TEST_CASE("every truncation and every additional byte is refused") {
    std::string command = MakeConfiguration({1, 2, 3}, {1, 4}).Encode();
    for (size_t size = 0; size < command.size(); ++size) {
      CHECK(CodeOf(Configuration::Decode(command.substr(0, size))) == Errc::kCorrupt);
    }
    CHECK(CodeOf(Configuration::Decode(command + '\0')) == Errc::kCorrupt);
  }

  TEST_CASE("malformed members are refused") {
    Configuration configuration = MakeConfiguration({2, 1});
    CHECK(CodeOf(Configuration::Decode(configuration.Encode())) == Errc::kCorrupt);
    configuration = MakeConfiguration({1, 1});
    CHECK(CodeOf(Configuration::Decode(configuration.Encode())) == Errc::kCorrupt);
    configuration = MakeConfiguration({0, 1});
    CHECK(CodeOf(Configuration::Decode(configuration.Encode())) == Errc::kCorrupt);
    configuration = MakeConfiguration({1}, {3, 2});
    CHECK(CodeOf(Configuration::Decode(configuration.Encode())) == Errc::kCorrupt);
    configuration = Configuration();
    CHECK(CodeOf(Configuration::Decode(configuration.Encode())) == Errc::kCorrupt);
    configuration = MakeConfiguration({}, {1});
    CHECK(CodeOf(Configuration::Decode(configuration.Encode())) == Errc::kCorrupt);
    configuration = MakeConfiguration({1});
    configuration.voters[0].addr = Addr("");
    CHECK(CodeOf(Configuration::Decode(configuration.Encode())) == Errc::kCorrupt);
    std::string other_version = MakeConfiguration({1}).Encode();
    other_version[0] = 3;
    CHECK(CodeOf(Configuration::Decode(other_version)) == Errc::kCorrupt);
  }

  TEST_CASE("a change goes through a joint configuration of both sets of members (4.3)") {
    Configuration old = MakeConfiguration({1, 2, 3});
    auto joint = old.Changed(Change({MakePeer(5), MakePeer(4)}, {NodeId(1)}));
    REQUIRE(joint.has_value());
    CHECK(joint.value() == MakeConfiguration({2, 3, 4, 5}, {1, 2, 3}));
    CHECK(joint.value().is_joint());
    CHECK(joint.value().Members().size() == 5);
    CHECK(joint.value().Contains(NodeId(1)));
    CHECK_FALSE(joint.value().Contains(NodeId(6)));
  }

  TEST_CASE("C14: contradictory changes are refused with specific errors") {
    Configuration old = MakeConfiguration({1, 2});
    using Added = std::vector<Peer>;
    using Removed = std::vector<NodeId>;
    CHECK(CodeOf(old.Changed(Change(Added{}, Removed{NodeId(1), NodeId(2)}))) == Errc::kEmptyConfig);
    CHECK(CodeOf(old.Changed(Change(Added{}, Removed{NodeId(7)}))) == Errc::kNotMember);
    CHECK(CodeOf(old.Changed(Change(Added{MakePeer(2)}, Removed{}))) == Errc::kAlreadyMember);
    CHECK(CodeOf(old.Changed(Change(Added{MakePeer(2)}, Removed{NodeId(2)}))) == Errc::kInvalidArgument);
    CHECK(CodeOf(old.Changed(Change(Added{MakePeer(3), MakePeer(3)}, Removed{}))) == Errc::kInvalidArgument);
    CHECK(CodeOf(old.Changed(Change(Added{}, Removed{NodeId(2), NodeId(2)}))) == Errc::kInvalidArgument);
    CHECK(CodeOf(old.Changed(Change(Added{MakePeer(0)}, Removed{}))) == Errc::kInvalidArgument);
    CHECK(CodeOf(old.Changed(Change(Added{}, Removed{NodeId(0)}))) == Errc::kInvalidArgument);
    CHECK(CodeOf(old.Changed(Change(Added{}, Removed{}))) == Errc::kInvalidArgument);
    CHECK(CodeOf(old.Changed(Change(Added{Peer(NodeId(3), Addr("nowhere"))}, Removed{}))) == Errc::kInvalidArgument);
    CHECK(CodeOf(MakeConfiguration({1}, {2}).Changed(Change(Added{MakePeer(3)}, Removed{}))) ==
          Errc::kConfigInProgress);
    auto refused = old.Changed(Change(Added{}, Removed{NodeId(7)}));
    CHECK(refused.error().message().find("peer 7") != std::string::npos);
  }
}

}  // namespace
}  // namespace ringraft::core

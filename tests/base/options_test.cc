// An invalid option is reported with its value and the remedy.
#include "ringraft/options.h"

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

namespace ringraft {
namespace {

using std::chrono::milliseconds;

Options Good() {
  Options options;
  options.id = NodeId(1);
  options.addr = Addr("127.0.0.1:7101");
  options.data_dir = "/tmp/data";
  options.initial_members = {Peer(NodeId(1), Addr("127.0.0.1:7101")), Peer(NodeId(2), Addr("127.0.0.1:7102"))};
  return options;
}

// `spoil` makes valid options invalid; the error must contain all `words`.
void CheckRefused(const std::function<void(Options&)>& spoil, std::vector<std::string> words) {
  Options options = Good();
  spoil(options);
  auto valid = options.Validate();
  REQUIRE_MESSAGE(!valid, words[0]);
  CHECK(valid.error() == Errc::kInvalidArgument);
  std::string message = valid.error().message();
  CHECK(message.find('\n') == std::string::npos);
  for (const std::string& word : words)
    CHECK_MESSAGE(message.find(word) != std::string::npos, message << " should name " << word);
}

TEST_CASE("valid options are accepted") {
  CHECK(Good().Validate());
  Options joining = Good();
  joining.initial_members.clear();
  CHECK(joining.Validate());
  joining.bootstrap_as_leader = true;
  CHECK(joining.Validate());
}

TEST_CASE("an invalid ID, address, directory or group is reported") {
  CheckRefused([](Options& o) { o.id = NodeId(0); }, {"invalid id '0'"});
  CheckRefused([](Options& o) { o.addr = Addr("nowhere"); }, {"addr", "nowhere", "no port"});
  CheckRefused([](Options& o) { o.data_dir = ""; }, {"data_dir"});
  CheckRefused([](Options& o) { o.group = GroupId(0); }, {"invalid group '0'"});
}

TEST_CASE("C13: a node that bootstraps a cluster alone cannot name it") {
  const auto alone = [](Options& o) {
    o.initial_members.clear();
    o.bootstrap_as_leader = true;
    o.cluster_name = "orders";
  };
  CheckRefused(alone, {"cluster_name 'orders'", "bootstrap_as_leader", "random ID", "drop cluster_name"});
  Options named = Good();
  named.cluster_name = "orders";
  CHECK(named.Validate());
}

TEST_CASE("an invalid member list is reported") {
  CheckRefused([](Options& o) { o.bootstrap_as_leader = true; }, {"initial_members", "bootstrap_as_leader"});
  CheckRefused([](Options& o) { o.initial_members[1].id = NodeId(0); }, {"initial_members", "id 0"});
  CheckRefused([](Options& o) { o.initial_members[1].id = NodeId(1); }, {"initial_members", "id 1 twice"});
  CheckRefused([](Options& o) { o.initial_members[1].addr = o.addr; }, {"initial_members", "127.0.0.1:7101", "twice"});
  CheckRefused([](Options& o) { o.initial_members[1].addr = Addr("x:99999"); }, {"peer 2", "x:99999"});
  CheckRefused([](Options& o) { o.id = NodeId(5); }, {"initial_members", "id 5"});
  CheckRefused([](Options& o) { o.addr = Addr("127.0.0.1:9"); }, {"addr", "127.0.0.1:9", "127.0.0.1:7101"});
}

TEST_CASE("invalid durations are reported") {
  CheckRefused([](Options& o) { o.election_timeout_min = milliseconds(9); }, {"election_timeout_min", "9", "10"});
  CheckRefused([](Options& o) { o.election_timeout_min = milliseconds(60'001); }, {"election_timeout_min", "60001"});
  CheckRefused([](Options& o) { o.election_timeout_max = milliseconds(120'001); }, {"election_timeout_max", "120001"});
  CheckRefused([](Options& o) { o.election_timeout_max = o.election_timeout_min; },
               {"election_timeout_min", "300", "less than"});
  CheckRefused([](Options& o) { o.election_timeout_max = milliseconds(200); }, {"election_timeout_max", "200"});
  CheckRefused([](Options& o) { o.disk_stall_limit = milliseconds(9); }, {"disk_stall_limit", "9", "10", "120000"});
  CheckRefused([](Options& o) { o.disk_stall_limit = milliseconds(120'001); }, {"disk_stall_limit", "120001"});
  CheckRefused([](Options& o) { o.heartbeat_interval = milliseconds(151); }, {"heartbeat_interval", "151", "150"});
  CheckRefused([](Options& o) { o.heartbeat_interval = milliseconds(0); }, {"heartbeat_interval", "0"});
  CheckRefused([](Options& o) { o.heartbeat_interval = milliseconds(-1); }, {"heartbeat_interval"});
}

TEST_CASE("invalid limits are reported") {
  CheckRefused([](Options& o) { o.limits.max_command_bytes = 0; }, {"limits.max_command_bytes", "0"});
  CheckRefused([](Options& o) { o.limits.max_command_bytes = (size_t{64} << 20) + 1; },
               {"limits.max_command_bytes", "67108865"});
  CheckRefused([](Options& o) { o.limits.max_call_bytes = o.limits.max_command_bytes - 1; }, {"limits.max_call_bytes"});
  CheckRefused([](Options& o) { o.limits.max_call_bytes = (size_t{256} << 20) + 1; }, {"limits.max_call_bytes"});
  CheckRefused([](Options& o) { o.limits.max_call_commands = 0; }, {"limits.max_call_commands"});
  CheckRefused([](Options& o) { o.limits.max_batch_bytes = 100; }, {"limits.max_batch_bytes", "100"});
  CheckRefused([](Options& o) { o.limits.max_waiting_bytes = o.limits.max_call_bytes - 1; },
               {"limits.max_waiting_bytes"});
  CheckRefused([](Options& o) { o.limits.max_waiting_calls = 0; }, {"limits.max_waiting_calls"});
  CheckRefused([](Options& o) { o.limits.max_unapplied_bytes = 1; }, {"limits.max_unapplied_bytes"});
  CheckRefused([](Options& o) { o.limits.peer_window_bytes = 1; }, {"limits.peer_window_bytes"});
  CheckRefused([](Options& o) { o.limits.peer_window_calls = 0; }, {"limits.peer_window_calls"});
  CheckRefused([](Options& o) { o.limits.peer_window_calls = 1025; }, {"limits.peer_window_calls", "1025", "1024"});
  CheckRefused([](Options& o) { o.limits.cached_tail_bytes = 0; }, {"limits.cached_tail_bytes"});
}

TEST_CASE("addresses with a host and a port are accepted") {
  for (const char* text : {"127.0.0.1:1", "localhost:65535", "[::1]:7101", "[fe80::1]:80", "node-1.example.com:7101"}) {
    auto addr = ParseAddr(text);
    REQUIRE_MESSAGE(addr, text);
    CHECK(addr.value().text() == text);
  }
}

TEST_CASE("malformed addresses are refused with their text") {
  for (const char* text : {"",
                           ":",
                           "host",
                           "host:",
                           ":7101",
                           "host:0",
                           "host:65536",
                           "host:-1",
                           "host:+1",
                           "host:7x",
                           "host: 7",
                           "::1:7101",
                           "[]:7101",
                           "[::1]",
                           "[::1]7101",
                           "a b:1",
                           "host:99999999999999999999",
                           "a=b:1",
                           "a,b:1",
                           "host:1\n"}) {
    auto addr = ParseAddr(text);
    REQUIRE_MESSAGE(!addr, text);
    CHECK(addr.error() == Errc::kInvalidArgument);
    CHECK(addr.error().message().find("'" + std::string(text) + "'") != std::string::npos);
  }
}

TEST_CASE("a peer has an ID and an address") {
  auto peer = ParsePeer("18446744073709551615=[::1]:7101");
  REQUIRE(peer);
  CHECK(peer.value().id == NodeId(UINT64_MAX));
  CHECK(peer.value().addr.text() == "[::1]:7101");
  for (const char* text :
       {"", "1", "=a:1", "0=a:1", "x=a:1", "-1=a:1", "1 =a:1", "18446744073709551616=a:1", "1=a", "1=a:0", "1==a:1"}) {
    auto bad = ParsePeer(text);
    REQUIRE_MESSAGE(!bad, text);
    CHECK(bad.error() == Errc::kInvalidArgument);
  }
}

}  // namespace
}  // namespace ringraft

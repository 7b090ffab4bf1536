// Bytes at the peer port, from a client that may know the protocol well. The server runs in the simulator, without
// sockets and real time.
//
//   first byte 0: the rest, unchanged
//              1: a valid handshake, then the rest
//              2: a valid conversation, overwritten with the rest at an offset (the first two bytes)
#include <memory>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "fuzz.h"
#include "place.h"
#include "ringraft/batch.h"

namespace {

using namespace ringraft;
using namespace ringraft::sim;

constexpr const char* kServer = "10.0.0.2:7000";
constexpr const char* kClient = "10.0.0.1:7000";

class Answering final : public AnyPeer {
 public:
  Task<Result<AppendEntriesResults>> AppendEntries(AppendEntriesArgs args) override {
    ++calls;
    AppendEntriesResults results;
    results.term = args.term;
    co_return results;
  }
  Task<Result<RequestVoteResults>> RequestVote(RequestVoteArgs args) override {
    RequestVoteResults results;
    results.term = args.term;
    co_return results;
  }
  Task<Result<BootstrapResults>> Bootstrap(BootstrapArgs) override {
    BootstrapResults results;
    results.members = "anything";
    co_return results;
  }

  uint64_t calls = 0;
};

Identity IdentityOf(uint64_t node) {
  Identity identity;
  identity.cluster = ClusterId{1, 2};
  identity.node = NodeId(node);
  identity.incarnation = node;
  identity.start_count = 1;
  return identity;
}

Task<void> Talk(Rpc& rpc) {
  AppendEntriesArgs append;
  append.group = GroupId(1);
  append.to = NodeId(2);
  append.term = Term(3);
  append.leader_id = NodeId(1);
  LogEntry entry(Index(1), Term(3), LogEntryType::kCommand, "a command");
  append.entries.push_back(MakeBatch(std::span<const LogEntry>(&entry, 1), NodeId(1), GroupId(1)));
  auto appending = rpc.CallAppendEntries(Addr(kServer), append);
  [[maybe_unused]] auto unheard = co_await appending;
  auto again = rpc.CallAppendEntries(Addr(kServer), append);
  [[maybe_unused]] auto unheard_again = co_await again;
}

// The bytes of an honest peer, in the order of its messages.
std::vector<std::string> Record() {
  std::vector<std::string> said;
  World world(1, 0);
  Net net(world);
  net.on_bytes = [&](const std::string& from, const std::string&, std::string_view bytes) {
    if (from == kClient) said.emplace_back(bytes);
  };
  Answering at_server, at_client;
  Place server(world, net, kServer, IdentityOf(2), at_server);
  Place client(world, net, kClient, IdentityOf(1), at_client);
  client.Start(Talk);
  RunFor(world, kSecond);
  RINGRAFT_ASSERT(said.size() >= 3);
  return said;
}

std::string InputOf(const uint8_t* data, size_t size) {
  static const std::vector<std::string> said = Record();
  const std::string rest(reinterpret_cast<const char*>(data + 1), size - 1);
  if (data[0] % 3 == 0) return rest;
  if (data[0] % 3 == 1) return said.front() + rest;
  std::string all;
  for (const std::string& message : said) all += message;
  if (rest.size() < 2) return all;
  size_t at = (static_cast<size_t>(data[1]) * 256 + data[2]) % all.size();
  for (size_t i = 2; i < rest.size() && at < all.size(); ++i, ++at) all[at] = rest[i];
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  World world(7, 0);
  Net net(world);
  Answering service;
  Place server(world, net, kServer, IdentityOf(2), service);
  net.Send(kServer, InputOf(data, size));
  RunFor(world, 20 * kSecond);
  if (size == 1 && data[0] == 2) RINGRAFT_ASSERT(service.calls == 2);  // an honest peer is served
  RINGRAFT_ASSERT(net.connections() == 0);  // no connection stays open without a conversation
  return 0;
}

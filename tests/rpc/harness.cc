#include "harness.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <random>

#include "coro/kj_await.h"

namespace {
const char* watched = nullptr;
bool is_watched_freed = false;
constexpr std::ptrdiff_t kMostBefore = 512;  // at most this far from the start of its allocation to a batch's bytes
}  // namespace

// Of all memory with a special alignment the tests watch only batches.
void* operator new(std::size_t size, std::align_val_t alignment) {
  const size_t align = static_cast<size_t>(alignment);
  void* memory = std::aligned_alloc(align, (size + align - 1) / align * align);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory, std::align_val_t) noexcept {
  const char* begin = static_cast<const char*>(memory);
  if (watched != nullptr && begin <= watched && watched - begin < kMostBefore) is_watched_freed = true;
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t alignment) noexcept {
  operator delete(memory, alignment);
}

namespace ringraft::rpc_test {

void Watch(const BatchRef& batch) {
  watched = batch.bytes().data();
  is_watched_freed = false;
}
bool IsFreed() { return is_watched_freed; }

size_t CapturingLogger::Count(std::string_view part) const {
  return static_cast<size_t>(std::count_if(
      lines.begin(), lines.end(), [part](const std::string& line) { return line.find(part) != std::string::npos; }));
}

World::World() {
  auto made = Reactor::Create();
  REQUIRE(made);
  reactor_ = std::move(made).value();
  entered_.emplace(loop());
  scope_.emplace(loop());
}

World::~World() {
  scope_.reset();
  entered_.reset();
}

void World::RunUntil(const std::function<bool()>& condition) {
  const TimePoint give_up = Clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    reactor_->RunOnce(std::chrono::milliseconds(5));
    REQUIRE_MESSAGE(Clock::now() < give_up, "the condition did not become true");
  }
}

void World::RunFor(Duration duration) {
  const TimePoint until = Clock::now() + duration;
  RunUntil([until]() { return Clock::now() >= until; });
}

// Below the ephemeral range, so that no outgoing connection takes the port before its server does.
uint16_t FreePort() {
  std::random_device random;
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const auto port = static_cast<uint16_t>(12000 + random() % 20000);
    int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    const bool is_free = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    ::close(fd);
    if (is_free) return port;
  }
  FAIL("no port is free between 12000 and 32000");
  return 0;
}

Addr Loopback(uint16_t port) { return Addr(fmt::format("127.0.0.1:{}", port)); }

// --- FakeService ---

Task<Result<AppendEntriesResults>> FakeService::AppendEntries(AppendEntriesArgs args) {
  const bool waits = !args.entries.empty();
  appends.push_back(std::move(args));
  while (waits && is_held) {
    auto woken = changed.Wait();
    co_await woken;
  }
  ++finished;
  co_return append_answer;
}

Task<Result<RequestVoteResults>> FakeService::RequestVote(RequestVoteArgs args) {
  votes.push_back(args);
  while (is_held) {
    auto woken = changed.Wait();
    co_await woken;
  }
  ++finished;
  co_return vote_answer;
}

// The result of each command is the command itself.
Task<Result<ForwardResults>> FakeService::Forward(ForwardArgs args) {
  ForwardResults results;
  for (const ForwardCall& call : args.calls) {
    results.outcomes.emplace_back();
    for (const Bytes& command : call.commands) results.outcomes.back().results.emplace_back(command.view());
  }
  forwards.push_back(std::move(args));
  while (is_held) {
    auto woken = changed.Wait();
    co_await woken;
  }
  ++finished;
  if (forward_error) co_return *forward_error;
  co_return results;
}

Task<Result<BootstrapResults>> FakeService::Bootstrap(BootstrapArgs args) {
  BootstrapResults results;
  results.incarnation = 7;
  results.is_bootstrapped = args.group == GroupId(1);
  results.members = "those of node " + std::to_string(args.to.value());
  co_return results;
}

Result<void> FakeService::OnHandshake(const Identity& peer) {
  handshakes.push_back(peer);
  if (handshake_answer != Errc::kOk) return handshake_answer;
  return OnCall(peer);
}

Result<void> FakeService::OnCall(const Identity& peer) {
  if (peer.start_count >= least_start) return Success();
  return Error(Errc::kDuplicateNode, "an earlier start");
}

Result<AdminService*> FakeService::Admin(std::optional<GroupId> group) {
  if (admin == nullptr) return RpcService::Admin(group);
  if (group.value_or(GroupId(7)) != GroupId(7)) return Error(Errc::kInvalidArgument, "this is group 7");
  return admin;
}

void FakeService::LetGo() {
  is_held = false;
  changed.Notify();
}

// --- Node ---

Node::Node(World& world, uint64_t id, ClusterId cluster, RpcOptions options)
    : world(world), port(FreePort()), service(world) {
  identity.cluster = cluster;
  identity.node = NodeId(id);
  identity.incarnation = id * 1000;
  identity.start_count = 3;
  options.logger = &logger;
  rpc = MakeCapnpRpc(world.reactor(), options);
  rpc->Register(service, [this]() { return identity; });
  REQUIRE(rpc->Listen(addr()));
  REQUIRE(rpc->Serve());
}

Node::~Node() { rpc.reset(); }

// --- Proxy ---

struct Proxy::Ends {
  kj::Own<kj::AsyncIoStream> caller;
  kj::Own<kj::AsyncIoStream> target;
  ~Ends() noexcept {}
};

Proxy::Proxy(World& world, Addr target) : world_(world), target_(std::move(target)), port_(FreePort()) {
  auto listener = world.reactor().host().network().Listen(addr());
  REQUIRE(listener);
  listener_ = std::move(listener).value();
  accepting_ = std::make_unique<coro::Scope>(world.loop());
  accepting_->Start(AcceptLoop());
}

Proxy::~Proxy() {
  accepting_.reset();
  for (auto& connection : connections_) connection->pumps.reset();
}

void Proxy::Resume(size_t connection) {
  connections_[connection]->is_paused = false;
  connections_[connection]->changed.Notify();
}

Task<void> Proxy::AcceptLoop() {
  while (true) {
    auto accepting = listener_->Accept();
    Result<reactor::KjStream> accepted = co_await accepting;
    if (!accepted) co_return;
    connections_.push_back(std::make_unique<Connection>(world_.loop()));
    Connection& connection = *connections_.back();
    connection.pumps = std::make_unique<coro::Scope>(world_.loop());
    connection.pumps->Start(Forward(world_, std::move(accepted).value(), target_, connection));
  }
}

Task<void> Proxy::Forward(World& world, reactor::KjStream caller, Addr target, Connection& connection) {
  auto connecting = world.reactor().host().network().Connect(target, std::chrono::seconds(5));
  Result<reactor::KjStream> connected = co_await connecting;
  if (!connected) co_return;
  auto ends = std::make_shared<Ends>();
  ends->caller = caller.Take();
  ends->target = connected.value().Take();
  connection.pumps->Start(Pump(world, ends, true, connection));
  connection.pumps->Start(Pump(world, ends, false, connection));
}

Task<void> Proxy::Pump(World& world, std::shared_ptr<Ends> ends, bool from_caller, Connection& connection) {
  std::vector<kj::byte> buffer(64 << 10);
  kj::AsyncIoStream& from = from_caller ? *ends->caller : *ends->target;
  kj::AsyncIoStream& to = from_caller ? *ends->target : *ends->caller;
  while (true) {
    auto reading = coro::Await(world.loop(), from.tryRead(buffer.data(), 1, buffer.size()));
    auto read = co_await reading;
    size_t bytes = 0;
    KJ_IF_MAYBE (got, read.value) bytes = *got;
    if (bytes == 0) {
      to.shutdownWrite();
      co_return;
    }
    while (from_caller && connection.is_paused) {
      auto woken = connection.changed.Wait();
      co_await woken;
    }
    auto writing = coro::Await(world.loop(), to.write(buffer.data(), bytes));
    auto written = co_await writing;
    if (written.exception != nullptr) co_return;
  }
}

BatchRef MakeTestBatch(uint64_t index, uint64_t term, size_t command_bytes) {
  std::string command(command_bytes, 'x');
  for (size_t i = 0; i < command.size(); ++i) command[i] = static_cast<char>(i * 131 + index);
  BatchBuilder builder;
  builder.Add(LogEntryType::kCommand, command);
  return builder.Seal(Index(index), Term(term), NodeId(1), GroupId(7), 12345);
}

AppendEntriesArgs AppendTo(const Node& from, const Node& to, std::vector<BatchRef> entries) {
  AppendEntriesArgs args;
  args.group = GroupId(7);
  args.to = to.id();
  args.term = Term(5);
  args.leader_id = from.id();
  args.entries = std::move(entries);
  return args;
}

}  // namespace ringraft::rpc_test

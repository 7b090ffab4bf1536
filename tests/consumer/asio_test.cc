// `co_await AsAsio(raft.Handle(...))`: where the caller resumes, and what becomes of it when its io_context is
// destroyed.
#include "ringraft/asio.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <random>
#include <string>
#include <thread>

namespace ringraft {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

class Echo : public StateMachine {
 public:
  Result<size_t> Apply(std::span<const LogEntry> entries, ApplyResults& results) override {
    for (const LogEntry& entry : entries) results.Add(entry.command);
    return entries.size();
  }
};

// A port that is free now, below those that the kernel hands out by itself.
std::string FreeAddr() {
  std::random_device random;
  while (true) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(20000 + random() % 12000));
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const bool is_free = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    close(fd);
    if (is_free) return "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
}

// One node on a reactor with a thread of its own. It either leads, or waits forever for two others.
class OneNode {
 public:
  explicit OneNode(bool leads) {
    reactor_ = Reactor::Create().value();
    reactor_->Start().value();
    Options options;
    options.id = NodeId(1);
    options.addr = Addr(FreeAddr());
    options.logger = &SilentLogger();
    options.storage = MakeMemoryStorage();
    options.bootstrap_as_leader = leads;
    if (!leads) {
      options.initial_members = {Peer(NodeId(1), options.addr), Peer(NodeId(2), Addr(FreeAddr())),
                                 Peer(NodeId(3), Addr(FreeAddr()))};
    }
    raft = Raft::Create(options, echo_).value();
    raft->Run(*reactor_).value();
  }

 private:
  std::unique_ptr<Reactor> reactor_;
  Echo echo_;

 public:
  std::unique_ptr<Raft> raft;
};

struct Counts {
  std::atomic<int> good{0};
  std::atomic<int> failed{0};
  std::atomic<int> alive{0};  // frames of callers
};

struct Alive {
  explicit Alive(Counts& counts) : counts(counts) { ++counts.alive; }
  ~Alive() { --counts.alive; }
  Counts& counts;
};

asio::awaitable<void> KeepCalling(Raft& raft, Counts& counts, int calls) {
  Alive alive(counts);
  for (int i = 0; i < calls; ++i) {
    const std::string command = std::to_string(i);
    Result<Bytes> echoed = co_await AsAsio(raft.Handle(command, HandleOptions().Forward().Timeout(60s)));
    const bool is_right = echoed && echoed.value().view() == command;
    ++(is_right ? counts.good : counts.failed);
  }
}

asio::awaitable<void> CallFromHere(Raft& raft, std::thread::id& resumed_on) {
  Result<Bytes> echoed = co_await AsAsio(raft.Handle("x", HandleOptions().Forward().Timeout(60s)));
  CHECK(echoed.has_value());
  resumed_on = std::this_thread::get_id();
}

asio::awaitable<void> CallOnce(Raft& raft, Errc& code) {
  Result<Bytes> echoed = co_await AsAsio(raft.Handle("x"));
  code = echoed ? Errc::kOk : echoed.error().code();
}

// Named first, awaited later: the call has moved into the awaitable.
asio::awaitable<void> CallNamed(Raft& raft, std::string& answer) {
  const std::vector<Command> commands = {"a", "b"};
  auto named = AsAsio(raft.Handle(std::span<const Command>(commands), HandleOptions().Forward().Timeout(60s)));
  Result<std::vector<Bytes>> echoed = co_await std::move(named);
  answer = echoed ? echoed.value()[0].ToString() + echoed.value()[1].ToString() : echoed.error().message();
}

}  // namespace

TEST_SUITE("asio") {
  TEST_CASE("a caller resumes on its own io_context, which keeps running while it waits") {
    OneNode node(true);
    asio::io_context io(1);
    std::thread::id resumed_on;
    asio::co_spawn(io, CallFromHere(*node.raft, resumed_on), asio::detached);
    io.run();
    CHECK(resumed_on == std::this_thread::get_id());
  }

  TEST_CASE("eight callers on four threads each get their own results") {
    OneNode node(true);
    Counts counts;
    asio::thread_pool pool(4);
    for (int i = 0; i < 8; ++i) asio::co_spawn(pool, KeepCalling(*node.raft, counts, 200), asio::detached);
    pool.join();
    CHECK(counts.good == 1600);
    CHECK(counts.alive == 0);
  }

  TEST_CASE("a call that is refused at once ends at once") {
    OneNode node(true);
    node.raft->Stop();
    asio::io_context io;
    Errc code = Errc::kOk;
    asio::co_spawn(io, CallOnce(*node.raft, code), asio::detached);
    io.run();
    CHECK(code == Errc::kStopped);
  }

  TEST_CASE("several commands in a call that was named before it was awaited") {
    OneNode node(true);
    asio::io_context io;
    std::string answer;
    asio::co_spawn(io, CallNamed(*node.raft, answer), asio::detached);
    io.run();
    CHECK(answer == "ab");
  }

  TEST_CASE("destroying the io_context destroys the callers that wait") {
    OneNode node(false);
    Counts counts;
    {
      asio::io_context io;
      for (int i = 0; i < 10; ++i) asio::co_spawn(io, KeepCalling(*node.raft, counts, 1), asio::detached);
      io.poll();
      CHECK(counts.alive == 10);
    }
    CHECK(counts.alive == 0);
    CHECK(counts.good + counts.failed == 0);
  }

  TEST_CASE("an io_context may be destroyed at any turn of its callers") {
    OneNode node(true);
    Counts counts;
    for (int turns = 0; turns < 60; ++turns) {
      asio::io_context io;
      for (int i = 0; i < 4; ++i) asio::co_spawn(io, KeepCalling(*node.raft, counts, 20), asio::detached);
      for (int turn = 0; turn < turns; ++turn) io.run_one();
    }
    CHECK(counts.alive == 0);
    CHECK(counts.failed == 0);
  }

  TEST_CASE("a thread pool may be stopped while its callers are served") {
    OneNode node(true);
    Counts counts;
    for (int round = 0; round < 30; ++round) {
      asio::thread_pool pool(2);
      for (int i = 0; i < 4; ++i) asio::co_spawn(pool, KeepCalling(*node.raft, counts, 1000), asio::detached);
      while (counts.good < 20 * (round + 1)) std::this_thread::yield();
      pool.stop();
    }
    CHECK(counts.alive == 0);
    CHECK(counts.failed == 0);
  }

  TEST_CASE("the node may be destroyed while callers wait: each gets an error") {
    Counts counts;
    asio::io_context io;
    {
      OneNode node(false);
      for (int i = 0; i < 10; ++i) asio::co_spawn(io, KeepCalling(*node.raft, counts, 1), asio::detached);
      io.poll();
      CHECK(counts.alive == 10);
    }
    io.run();
    CHECK(counts.failed == 10);
    CHECK(counts.alive == 0);
  }
}

}  // namespace ringraft

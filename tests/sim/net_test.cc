// The simulated network alone: which faults connections have, and what they must preserve.
#include "sim/net.h"

#include <doctest/doctest.h>
#include <kj/async-io.h>

#include <memory>
#include <optional>
#include <string>

#include "coro/kj_await.h"
#include "coro/scope.h"
#include "silence.h"

namespace ringraft::sim {
namespace {

constexpr size_t kMessage = 1000;
const std::string kCaller = "10.0.0.1:1";
const std::string kServer = "10.0.0.2:1";

// A host with one connection.
class End {
 public:
  End(World& world, Net& net, const std::string& address, uint64_t node)
      : world_(world), host_(world, net, address, node, logger_) {
    host_.Deliver([this] { scope_.emplace(host_.loop()); });
    RunFor(kMilli);
  }
  ~End() {
    host_.Crash();
    coro::Loop::Entered entered(host_.loop());
    scope_.reset();
    stream_ = nullptr;
    listener_.reset();
  }

  void Listen() {
    host_.Deliver([this] {
      listener_ = host_.network().Listen(Addr(host_.address())).value();
      scope_->Start(Accept());
    });
    RunFor(kMilli);
  }
  void Connect() {
    host_.Deliver([this] { scope_->Start(Call()); });
    RunFor(10 * kMilli);
  }
  void Send(size_t bytes) {
    host_.Deliver([this, text = std::string(bytes, 'x')] {
      if (stream_.get() != nullptr) scope_->Start(Write(text));
    });
  }
  void RunFor(Nanos duration) {
    const Nanos until = world_.now() + duration;
    while (world_.Step(until)) {
    }
  }
  SimHost& host() { return host_; }
  size_t received() const { return received_; }
  bool has_ended() const { return has_ended_; }  // by a reset

 private:
  Task<void> Accept() {
    auto accepting = listener_->Accept();
    Result<reactor::KjStream> accepted = co_await accepting;
    stream_ = accepted.value().Take();
    auto reading = Read();
    co_await reading;
  }
  Task<void> Call() {
    auto connecting = host_.network().Connect(Addr(kServer), std::chrono::seconds(1));
    Result<reactor::KjStream> connected = co_await connecting;
    stream_ = connected.value().Take();
    auto reading = Read();
    co_await reading;
  }
  Task<void> Read() {
    while (true) {
      auto reading = coro::Await(host_.loop(), stream_->tryRead(buffer_, 1, sizeof buffer_));
      auto read = co_await reading;
      if (read.exception != nullptr) has_ended_ = true;
      if (read.exception != nullptr) co_return;
      KJ_IF_MAYBE (got, read.value) received_ += *got;
    }
  }
  Task<void> Write(std::string text) {
    auto writing = coro::Await(host_.loop(), stream_->write(text.data(), text.size()));
    [[maybe_unused]] auto written = co_await writing;
  }

  World& world_;
  Silence logger_;
  SimHost host_;
  std::unique_ptr<reactor::KjListener> listener_;
  kj::Own<kj::AsyncIoStream> stream_;
  std::optional<coro::Scope> scope_;
  char buffer_[4 * kMessage];
  size_t received_ = 0;
  bool has_ended_ = false;
};

}  // namespace

TEST_SUITE_BEGIN("simulated network");

TEST_CASE("a reset ends a connection at both ends, between two messages or within one") {
  size_t whole = 0, cut = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    World world(seed);
    Net net(world);
    NetFaults faults;
    faults.tear = 0.5;
    net.SetFaults(faults);
    End server(world, net, kServer, 2), caller(world, net, kCaller, 1);
    server.Listen();
    caller.Connect();
    for (int i = 0; i < 20; ++i) {
      caller.Send(kMessage);
      caller.RunFor(kMilli);
      if (i == 10) REQUIRE(net.ResetOne());
    }
    caller.RunFor(kSecond);
    CHECK(server.has_ended());
    CHECK(caller.has_ended());
    const bool is_whole = server.received() % kMessage == 0;
    ++(is_whole ? whole : cut);
    if (!is_whole) CHECK(net.messages_cut() > 0);
  }
  CHECK(whole > 0);
  CHECK(cut > 0);
}

TEST_CASE("bytes arrive complete and in order, also in two parts and after a cut") {
  World world(1);
  Net net(world);
  NetFaults faults;
  faults.tear = 0.5;
  net.SetFaults(faults);
  End server(world, net, kServer, 2), caller(world, net, kCaller, 1);
  server.Listen();
  caller.Connect();
  for (int i = 0; i < 20; ++i) {
    if (i == 5) net.Cut(kCaller, kServer);
    caller.Send(kMessage);
    caller.RunFor(kMilli);
  }
  CHECK(server.received() < 20 * kMessage);
  net.Mend(kCaller, kServer);
  caller.RunFor(kSecond);
  CHECK(server.received() == 20 * kMessage);
  CHECK_FALSE(server.has_ended());
}

TEST_CASE("mending one of two cuts leaves the link cut") {
  World world(1);
  Net net(world);
  net.Cut(kCaller, kServer);
  net.Cut(kCaller, kServer);
  net.Mend(kCaller, kServer);
  CHECK(net.IsCut(kCaller, kServer));
  net.Mend(kCaller, kServer);
  CHECK_FALSE(net.IsCut(kCaller, kServer));
  net.Mend(kCaller, kServer);
  net.Cut(kCaller, kServer);
  CHECK(net.IsCut(kCaller, kServer));
  net.Cut(kCaller, kServer);
  net.MendAll();
  CHECK_FALSE(net.IsCut(kCaller, kServer));
}

TEST_CASE("a host that crashed silently and restarted resets an old connection only when bytes are sent on it") {
  World world(1);
  Net net(world);
  auto server = std::make_unique<End>(world, net, kServer, 2);
  End caller(world, net, kCaller, 1);
  server->Listen();
  caller.Connect();
  net.OnHostGone(server->host(), true);
  server.reset();
  End again(world, net, kServer, 2);
  again.Listen();
  net.OnHostBack(kServer);
  caller.RunFor(10 * kSecond);
  CHECK_FALSE(caller.has_ended());
  caller.Send(kMessage);
  caller.RunFor(kSecond);
  CHECK(caller.has_ended());
}

TEST_CASE("bytes sent to a host that crashed silently are answered with a reset once it is back") {
  World world(1);
  Net net(world);
  auto server = std::make_unique<End>(world, net, kServer, 2);
  End caller(world, net, kCaller, 1);
  server->Listen();
  caller.Connect();
  net.OnHostGone(server->host(), true);
  server.reset();
  caller.Send(kMessage);
  caller.RunFor(10 * kSecond);
  CHECK_FALSE(caller.has_ended());
  End again(world, net, kServer, 2);
  again.Listen();
  net.OnHostBack(kServer);
  caller.RunFor(kSecond);
  CHECK(caller.has_ended());
}

TEST_SUITE_END();

}  // namespace ringraft::sim

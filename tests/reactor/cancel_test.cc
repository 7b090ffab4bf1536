// A scenario that uses every awaitable is dropped after turn k, for every k. G3 to H10 are rows of the catalogue of
// hazards (tests/CATALOGUE.md).
#include <doctest/doctest.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <thread>

#include "coro/kj_await.h"
#include "coro/signal.h"
#include "support.h"

namespace ringraft::reactor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Life {
 public:
  explicit Life(int& count) : count_(count) { ++count_; }
  Life(const Life&) = delete;
  ~Life() { --count_; }

 private:
  int& count_;
};

struct World {
  explicit World(RingHost& host)
      : host(host),
        listener(std::move(host.ring_network().ListenSocket(Addr("127.0.0.1:0"))).value()),
        signal(host.loop()) {}
  RingHost& host;
  Listener listener;
  coro::Signal signal;
  int living = 0;
  int finished = 0;
};

Task<void> Blocking(World& world) {
  Life life(world.living);
  auto run = world.host.RunBlocking([] {});
  co_await run;
}

Task<void> Serve(World& world) {
  Life life(world.living);
  auto accept = world.listener.Accept();
  auto accepted = co_await accept;
  Socket socket = std::move(accepted).value();
  char buffer[1000];
  while (true) {
    auto read = socket.Read(std::span<char>(buffer, sizeof(buffer)));
    auto got = co_await read;
    if (!got || got.value() == 0) break;
    auto yield = world.host.loop().Yield();
    co_await yield;
    auto write = socket.Write(std::string_view(buffer, got.value()));
    auto written = co_await write;
    if (!written) break;
  }
  ++world.finished;
}

Task<void> Use(World& world) {
  Life life(world.living);
  auto connect = world.host.ring_network().ConnectSocket(world.listener.BoundAddr(), seconds(30));
  auto connected = co_await connect;
  Socket socket = std::move(connected).value();
  char buffer[1000];
  for (int i = 0; i < 3; ++i) {
    auto write = socket.Write("ping");
    auto written = co_await write;
    auto read = socket.Read(std::span<char>(buffer, sizeof(buffer)));
    auto got = co_await read;
    auto work = Blocking(world);
    co_await work;
    auto later = coro::Await<void>(world.host.loop(), kj::evalLater([] {}));
    auto outcome = co_await later;
    auto sleep = world.host.loop().SleepUntil(world.host.loop().Now());
    co_await sleep;
  }
  world.signal.Notify();
  ++world.finished;
}

Task<void> WaitForIt(World& world) {
  Life life(world.living);
  auto woken = world.signal.WaitUntil(world.host.loop().Now() + seconds(30));
  co_await woken;
  ++world.finished;
}

}  // namespace

TEST_CASE("G3, G4, G15, H10: dropping everything after any turn frees everything and leaves nothing in flight") {
  bool is_complete = false;
  int turns = 0;
  for (; !is_complete && turns < 500; ++turns) {
    auto host = MakeHost(16);
    World world(*host);
    TurnScope scope(host->loop());
    scope.Start(Serve(world));
    scope.Start(WaitForIt(world));
    scope.Start(Use(world));
    // Whole turns: a node is dropped between turns. The next case drops between passes.
    for (int turn = 0; turn < turns && world.finished < 3; ++turn) host->Turn(milliseconds(1000));
    is_complete = world.finished == 3;
    scope.Drop();
    CHECK(world.living == 0);
    CHECK(TurnUntil(*host, [&] { return host->in_flight() == 0; }));
    CHECK_FALSE(host->loop().NextTimer().has_value());
  }
  CHECK(is_complete);
  CHECK(turns > 5);
}

TEST_CASE("G3, G4, G15, H10: dropping everything after any pass frees everything and leaves nothing in flight") {
  bool is_complete = false;
  int passes = 0;
  for (; !is_complete && passes < 2000; ++passes) {
    auto host = MakeHost(16);
    World world(*host);
    TurnScope scope(host->loop());
    scope.Start(Serve(world));
    scope.Start(WaitForIt(world));
    scope.Start(Use(world));
    for (int pass = 0; pass < passes && world.finished < 3; ++pass) {
      host->loop().Turn([] {}, 1);
      if (!host->loop().HasWork()) host->Turn(milliseconds(1000));
    }
    is_complete = world.finished == 3;
    scope.Drop();
    CHECK(world.living == 0);
    CHECK(TurnUntil(*host, [&] { return host->in_flight() == 0; }));
  }
  CHECK(is_complete);
}

TEST_CASE("H10: a host may be destroyed after its thread has ended, with operations in flight") {
  auto host = MakeHost();
  auto world = std::make_unique<World>(*host);
  auto scope = std::make_unique<TurnScope>(host->loop());
  std::thread([&] {
    scope->Start(Serve(*world));
    host->Turn(Duration::zero());
  }).join();
  CHECK(host->in_flight() == 1);
  scope.reset();
  CHECK(world->living == 0);
  world.reset();
  host.reset();
}

}  // namespace ringraft::reactor

// The simulated disk alone.
#include "sim/disk.h"

#include <doctest/doctest.h>

#include <memory>

#include "silence.h"
#include "sim/net.h"

namespace ringraft::sim {
namespace {

class NullObserver final : public DiskObserver {
 public:
  void OnSubmitted(uint64_t, const storage::WriteRequest&) override {}
  void OnFlushed(uint64_t, const storage::WriteRequest&) override {}
};

// A node's disk and its commit queue.
struct Fixture {
  Fixture() {
    disk->Attach(host);
    queue = disk->MakeQueue([this](uint64_t number, Result<void> result) { persisted = result ? number : 0; });
  }
  void Submit(uint64_t number, uint64_t term) {
    storage::WriteRequest request;
    request.number = number;
    request.hard_state.emplace().term = Term(term);
    queue->Submit(std::move(request));
  }
  void Run() {
    const Nanos until = world.now() + kSecond;
    while (world.Step(until)) {
    }
  }

  World world{1};
  Silence logger;
  NullObserver observer;
  Net net{world};
  SimHost host{world, net, "10.0.0.1:1", 1, logger};
  std::unique_ptr<SimDisk> disk = std::make_unique<SimDisk>(world, 1, observer);
  uint64_t persisted = 0;  // the last write
  std::unique_ptr<storage::CommitQueue> queue;
};

}  // namespace

TEST_SUITE_BEGIN("disk");

TEST_CASE("a write is on the disk and reported when its flush has ended") {
  Fixture fixture;
  fixture.Submit(1, 7);
  CHECK(fixture.disk->hard_state().term == Term(0));
  CHECK(fixture.persisted == 0);
  fixture.Run();
  CHECK(fixture.disk->hard_state().term == Term(7));
  CHECK(fixture.persisted == 1);
}

// A use after free otherwise. Found by seed 7966: a restored backup was refused, and then emptied.
TEST_CASE("destroying a disk cancels its flush in progress") {
  Fixture fixture;
  fixture.Submit(1, 7);
  fixture.host.Crash();
  fixture.disk->Crash();
  fixture.queue.reset();
  fixture.disk.reset();
  fixture.Run();
  CHECK(fixture.persisted == 0);
}

TEST_SUITE_END();

}  // namespace ringraft::sim

// Power cuts between and within all calls of a storage under load. F1, F2 and F13 are rows of the catalogue of hazards
// (tests/CATALOGUE.md).
//
//   RINGRAFT_CRASH_IMAGES=100000 RINGRAFT_CRASH_SEED=7 test_crash_images      more images, another seed
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "explorer.h"
#include "worker.h"

namespace ringraft::crash {
namespace {

constexpr int kWorkers = 2;
constexpr uint64_t kImages = 20'000;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// One history after the other; each begins with the state that a power cut left of the one before.
void ExploreUntil(const std::string& directory, Report& report, uint64_t seed, Flushes flushes, uint64_t enough) {
  Random random(seed);
  Explorer explorer(directory, flushes, random, [&](const std::string& where) { report.SetWhere(where); });
  DiskImage start;
  while (report.images < enough && report.problem[0] == '\0') {
    History history = RecordWorkload(directory + "/data", start, 8, random);
    report.SetProblem(explorer.Explore(history, Effort(), enough));
    start = explorer.kept();
    ++report.histories;
    report.commits += history.states.empty() ? 0 : history.states.size() - 1;
    report.points = explorer.points();
    report.images = explorer.images();
  }
}

TEST_CASE("F1, F2, F13: any disk state after a power cut opens, with all acknowledged commits and no partial one") {
  uint64_t images = FromEnvironment("RINGRAFT_CRASH_IMAGES", kImages);
  if (std::getenv("RINGRAFT_TEST_SHORT") != nullptr) images /= 10;
  uint64_t seed = FromEnvironment("RINGRAFT_CRASH_SEED", 1);
  auto begun = std::chrono::steady_clock::now();
  std::vector<std::unique_ptr<Worker>> workers;
  for (uint64_t i = 0; i < kWorkers; ++i)
    workers.push_back(std::make_unique<Worker>([&, i](const std::string& directory, Report& report) {
      ExploreUntil(directory, report, seed * kWorkers + i, Flushes::kHonest, images / kWorkers + 1);
    }));
  Report all;
  for (auto& worker : workers) {
    const Report& report = worker->Wait();
    CHECK_MESSAGE(report.problem[0] == '\0', "RINGRAFT_CRASH_SEED=", seed, ": ", report.problem);
    all.histories += report.histories;
    all.commits += report.commits;
    all.points += report.points;
    all.images += report.images;
  }
  std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begun;
  CHECK(all.images >= images);
  MESSAGE(fmt::format("{} different images at {} crash points of {} commits in {} histories, {:.0f} images a second",
                      all.images, all.points, all.commits, all.histories, all.images / seconds.count()));
}

// The test must be able to fail: otherwise seeds that pass would prove nothing.
TEST_CASE("F1, F2: a storage with flushes that do nothing is detected") {
  const std::pair<Flushes, std::string> kinds[] = {{Flushes::kNone, "no flush, no synchronous write"},
                                                   {Flushes::kNoData, "no flush, but synchronous writes"},
                                                   {Flushes::kNoMeta, "flushes, but no synchronous write"}};
  for (const auto& [flushes, name] : kinds) {
    CAPTURE(name);
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      Worker worker([&, kind = flushes](const std::string& directory, Report& report) {
        ExploreUntil(directory, report, seed, kind, 5000);
      });
      const Report& report = worker.Wait();
      CHECK(report.problem[0] != '\0');
      MESSAGE(fmt::format("{}: found in image {}, {:.200}", name, report.images, report.problem));
    }
  }
}

TEST_CASE("the same seed gives the same images") {
  std::string counts[2];
  for (std::string& text : counts) {
    Worker worker([&](const std::string& directory, Report& report) {
      ExploreUntil(directory, report, 5, Flushes::kHonest, 1000);
    });
    const Report& report = worker.Wait();
    CHECK(report.problem[0] == '\0');
    text = fmt::format("{} {} {} {}", report.where, report.images, report.points, report.commits);
  }
  CHECK(counts[0] == counts[1]);
}

}  // namespace
}  // namespace ringraft::crash
